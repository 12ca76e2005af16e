// What the page was made with.

/** The element's text is JSON, whatever stands in names and titles. */
const data = JSON.parse(/** @type {HTMLElement} */ (document.getElementById("data")).textContent || "{}");
