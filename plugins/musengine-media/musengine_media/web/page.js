// Brings the page to life: pieces as they come into sight, charts at once.

/** @type {Map<Element, Piece>} */
const waiting = new Map();
const sight = new IntersectionObserver(
  (entries) => {
    for (const entry of entries) if (entry.isIntersecting) wake(entry.target);
  },
  { rootMargin: "600px" },
);

/** @param {Element} article */
function wake(article) {
  const piece = waiting.get(article);
  if (!piece) return;
  waiting.delete(article);
  sight.unobserve(article);
  new PieceView(/** @type {HTMLElement} */ (article), piece);
}

for (const [id, piece] of Object.entries(data.pieces ?? {})) {
  const article = document.getElementById(id);
  if (!article) continue;
  waiting.set(article, /** @type {Piece} */ (piece));
  sight.observe(article);
}
for (const [id, chart] of Object.entries(data.charts ?? {})) {
  const figure = document.getElementById(id);
  if (figure) makeChart(figure, /** @type {Chart} */ (chart));
}
const ballot = document.getElementById("votes");
if (ballot) makeBallot(ballot);
