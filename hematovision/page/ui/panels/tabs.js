/**
 * The tabs of the panel: one is open, arrows go from one to the next.
 */
import { byId } from "../elements.js";

/** @param {() => void} opened what to do when another is open */
export function startTabs(opened) {
  const tabs = /** @type {any[]} */ ([...document.querySelectorAll("[role=tab]")]);
  /** @param {any} chosen */
  const open = (chosen) => {
    for (const tab of tabs) {
      tab.setAttribute("aria-selected", tab === chosen);
      tab.tabIndex = tab === chosen ? 0 : -1;
      byId(tab.getAttribute("aria-controls")).hidden = tab !== chosen;
    }
    opened();
  };
  tabs.forEach((tab, k) => {
    tab.addEventListener("click", () => open(tab));
    tab.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => {
      const step = { ArrowLeft: -1, ArrowRight: 1 }[/** @type {"ArrowLeft"} */ (event.key)];
      if (!step) return;
      const next = tabs[(k + step + tabs.length) % tabs.length];
      open(next);
      next.focus();
    });
  });
  open(tabs[0]);
}
