// The edge between the names of the spans and their bars.

import { html } from "./element.js";
import { readSetting, writeSetting } from "./setting.js";

const COLUMN_SETTING = "traced.column";

/**
 * @param {HTMLElement} grid gets the width as its property `--column`
 * @param {() => void} changed
 * @returns {HTMLElement}
 */
export function columnSplitter(grid, changed) {
  const splitter = html("span", {
    class: "splitter",
    role: "separator",
    tabindex: "0",
    "aria-orientation": "vertical",
    "aria-label": "Width of the names",
    "aria-valuemin": "10",
    "aria-valuemax": "80",
    "aria-valuenow": "34",
    title: "Drag, or ← →, to change the width",
  });
  /** @param {number} percent */
  const set = (percent) => {
    const width = Math.round(Math.min(80, Math.max(10, percent)));
    splitter.setAttribute("aria-valuenow", String(width));
    grid.style.setProperty("--column", `${width}%`);
    writeSetting(COLUMN_SETTING, String(width));
    changed();
  };
  const kept = Number(readSetting(COLUMN_SETTING) ?? "");
  if (kept >= 10 && kept <= 80) {
    splitter.setAttribute("aria-valuenow", String(kept));
    grid.style.setProperty("--column", `${kept}%`);
  }
  splitter.addEventListener("pointerdown", (event) => {
    event.preventDefault();
    splitter.setPointerCapture(event.pointerId);
  });
  splitter.addEventListener("pointermove", (event) => {
    if (splitter.hasPointerCapture(event.pointerId)) {
      const box = grid.getBoundingClientRect();
      set((100 * (event.clientX - box.left)) / box.width);
    }
  });
  splitter.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -2, ArrowRight: 2 }[event.key];
    if (step !== undefined) {
      event.preventDefault();
      event.stopPropagation();
      set(Number(splitter.getAttribute("aria-valuenow")) + step);
    }
  });
  return splitter;
}
