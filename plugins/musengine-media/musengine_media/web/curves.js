// The values of a chart's curves at the place that is pointed at, or walked to with the keys.

/**
 * @typedef {object} Curve
 * @property {string} name
 * @property {number[]} x
 * @property {number[]} y
 */

/**
 * @typedef {object} Chart
 * @property {string} x what runs to the right
 * @property {number[]} range the first and last of it
 * @property {number[]} box left, right, top and bottom of the curves, in the picture's units
 * @property {Curve[]} curves
 */

/**
 * The index of the value nearest to a number, in ascending values.
 * @param {number[]} values
 * @param {number} wanted
 */
function nearest(values, wanted) {
  let best = 0;
  values.forEach((value, index) => {
    if (Math.abs(value - wanted) < Math.abs(values[best] - wanted)) best = index;
  });
  return best;
}

/**
 * @param {HTMLElement} figure
 * @param {Chart} chart
 */
function makeChart(figure, chart) {
  const box = /** @type {HTMLElement} */ (figure.querySelector(".chart"));
  const svg = /** @type {SVGSVGElement} */ (box.querySelector("svg"));
  const told = /** @type {HTMLElement} */ (figure.querySelector(".told"));
  const probe = document.createElementNS("http://www.w3.org/2000/svg", "line");
  const [left, right, top, bottom] = chart.box;
  const [first, last] = chart.range;
  const steps = [...new Set(chart.curves.flatMap((curve) => curve.x))].sort((a, b) => a - b);
  let at = steps.length - 1;
  probe.setAttribute("class", "probe");
  svg.append(probe);

  /** @param {number} index */
  function tell(index) {
    at = Math.max(0, Math.min(index, steps.length - 1));
    const x = left + ((steps[at] - first) / Math.max(last - first, 1e-9)) * (right - left);
    for (const [key, value] of Object.entries({ x1: x, x2: x, y1: top, y2: bottom })) {
      probe.setAttribute(key, String(value));
    }
    const values = chart.curves.map((curve) => {
      const index = nearest(curve.x, steps[at]);
      return `${curve.name} ${Number(curve.y[index].toPrecision(5))}`;
    });
    told.textContent = `${chart.x} ${Number(steps[at].toPrecision(6))}: ${values.join(", ")}`;
  }

  box.addEventListener("pointermove", (event) => {
    const place = svg.getBoundingClientRect();
    const x = ((event.clientX - place.left) / place.width) * svg.viewBox.baseVal.width;
    tell(nearest(steps, first + ((x - left) / (right - left)) * (last - first)));
  });
  box.addEventListener("keydown", (event) => {
    /** @type {Record<string, number>} */
    const places = { ArrowLeft: at - 1, ArrowRight: at + 1, Home: 0, End: steps.length - 1 };
    if (!(event.key in places)) return;
    event.preventDefault();
    tell(places[event.key]);
  });
}
