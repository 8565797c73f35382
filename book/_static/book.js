// What the theme leaves undone for those who read by keyboard or by ear.

const BOXES = ".bd-article figure, .bd-article dt.sig, .bd-article mjx-container[display='true']";

// A box that scrolls can be reached by the Tab key, as the theme does for tables and code.
function reachable() {
  for (const box of document.querySelectorAll(BOXES)) {
    if (box.scrollWidth > box.clientWidth) box.tabIndex = 0;
    else box.removeAttribute("tabindex");
  }
}

// A name that is spoken holds the words that are seen, and there is one where there are none.
function named() {
  document.querySelector(".search-button-field")?.removeAttribute("aria-label");
  for (const icon of document.querySelectorAll(".theme-switch")) icon.removeAttribute("title");
  for (const summary of document.querySelectorAll("summary")) {
    if (summary.textContent.trim()) summary.removeAttribute("aria-label");
    else summary.setAttribute("aria-label", "Pages of this part");
  }
  for (const item of document.querySelectorAll(".citation-list > *")) {
    item.setAttribute("role", "listitem");
  }
}

document.addEventListener("DOMContentLoaded", named);
window.addEventListener("load", async () => {
  await window.MathJax?.startup?.promise;
  reachable();
  window.addEventListener("resize", reachable);
});
