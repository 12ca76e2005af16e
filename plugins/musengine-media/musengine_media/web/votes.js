// The votes of a listening test: a choice for each pair, saved to a file.

/** What a vote may be, and what it is called. */
const CHOICES = { first: "The first", second: "The second", none: "No difference" };

/** @param {HTMLElement} place where the button goes that saves the votes */
function makeBallot(place) {
  /** @type {Record<string, string>} */
  const votes = {};
  const pairs = /** @type {HTMLElement[]} */ ([...document.querySelectorAll(".pair")]);
  const status = make("p", "", { role: "status" });

  function tell() {
    status.textContent = `${Object.keys(votes).length} of ${pairs.length} pairs are decided.`;
  }

  for (const pair of pairs) {
    const number = String(pair.dataset.pair);
    const group = make("fieldset");
    group.append(make("legend", `Which of pair ${number} do you like better?`));
    for (const [choice, text] of Object.entries(CHOICES)) {
      const label = make("label");
      const input = make("input", "", { type: "radio", name: `pair-${number}`, value: choice });
      input.addEventListener("change", () => {
        votes[number] = choice;
        tell();
      });
      label.append(input, ` ${text}`);
      group.append(label);
    }
    pair.append(group);
  }
  const save = button("Save your votes", "Save your votes as a file", () => {
    const text = JSON.stringify({ test: data.test, votes }, null, 1);
    offer(new Blob([text], { type: "application/json" }), "votes.json");
  });
  place.append(status, save);
  tell();
}
