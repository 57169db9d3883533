// The whole trace in small, with the stretch that the waterfall shows. Dragging chooses a stretch.

import { html, place } from "./element.js";
import { formatDuration } from "./format.js";
import { isError } from "./outcome.js";

/** @import {View} from "./view.js" */

const MINIMAP_HEIGHT = 56;
/** A drag over fewer pixels is a click. */
const CLICK_PIXELS = 4;
/** What an arrow key moves an edge by. */
const KEY_STEP = 0.02;

/**
 * @param {View} view
 * @returns {HTMLElement}
 */
export function minimap(view) {
  const canvas = html("canvas", { "aria-hidden": "true" });
  const before = html("div", { class: "shade before" });
  const behind = html("div", { class: "shade behind" });
  const edges = [edge(view, "from"), edge(view, "to")];
  const reset = html("button", { type: "button", class: "reset", click: () => view.resetZoom() }, "Whole trace");
  const picture = html("div", { class: "picture" }, canvas, before, behind, ...edges.map(({ element }) => element));
  const map = html("div", { class: "minimap", role: "group", "aria-label": "Overview and zoom" }, picture, reset);

  const show = () => {
    const length = Math.max(1, view.trace.end - view.trace.start);
    const [from, to] = [(view.from - view.trace.start) / length, (view.to - view.trace.start) / length];
    place(before, 0, from);
    place(behind, to, 1 - to);
    edges.forEach(({ update }) => update());
    reset.hidden = !view.zoomed;
  };
  view.on("window", show);
  show();

  drag(picture, view);
  picture.addEventListener("dblclick", () => view.resetZoom());
  new ResizeObserver(() => paint(canvas, view)).observe(picture);
  // The colours of a canvas do not follow the style sheet.
  const scheme = new MutationObserver(() => paint(canvas, view));
  scheme.observe(document.documentElement, { attributeFilter: ["data-theme"] });
  const dark = matchMedia("(prefers-color-scheme: dark)");
  dark.addEventListener("change", () => paint(canvas, view));
  return map;
}

/**
 * @param {View} view
 * @param {"from" | "to"} side
 */
function edge(view, side) {
  const element = html("div", {
    class: `edge ${side}`,
    role: "slider",
    tabindex: "0",
    "aria-orientation": "horizontal",
    "aria-valuemin": "0",
    "aria-label": side === "from" ? "Start of what is shown" : "End of what is shown",
  });
  /** @param {number} at */
  const move = (at) =>
    side === "from" ? view.zoom(Math.min(at, view.to - 1), view.to) : view.zoom(view.from, Math.max(at, view.from + 1));
  element.addEventListener("keydown", (event) => {
    const whole = view.trace.end - view.trace.start;
    const target = {
      ArrowLeft: view[side] - whole * KEY_STEP,
      ArrowRight: view[side] + whole * KEY_STEP,
      Home: view.trace.start,
      End: view.trace.end,
    }[event.key];
    if (target !== undefined) {
      event.preventDefault();
      event.stopPropagation();
      move(target);
    }
  });
  const update = () => {
    const { start, end } = view.trace;
    const offset = view[side] - start;
    place(element, offset / Math.max(1, end - start), 0);
    element.setAttribute("aria-valuemax", String(end - start));
    element.setAttribute("aria-valuenow", String(Math.round(offset)));
    element.setAttribute("aria-valuetext", formatDuration(offset));
  };
  return { element, update };
}

/**
 * @param {HTMLElement} picture
 * @param {View} view
 */
function drag(picture, view) {
  /** @type {{at: number, x: number, side: "from" | "to" | null} | null} */
  let begun = null;
  const selection = html("div", { class: "selection" });
  /** @param {PointerEvent} event */
  const timeAt = (event) => {
    const box = picture.getBoundingClientRect();
    const part = Math.min(1, Math.max(0, (event.clientX - box.left) / box.width));
    return view.trace.start + part * (view.trace.end - view.trace.start);
  };
  picture.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) {
      return;
    }
    const side = event.target instanceof Element ? event.target.closest(".edge") : null;
    begun = { at: timeAt(event), x: event.clientX, side: side === null ? null : side.matches(".from") ? "from" : "to" };
    picture.setPointerCapture(event.pointerId);
  });
  picture.addEventListener("pointermove", (event) => {
    if (begun === null) {
      return;
    }
    const at = timeAt(event);
    if (begun.side === "from") {
      view.zoom(Math.min(at, view.to - 1), view.to);
    } else if (begun.side === "to") {
      view.zoom(view.from, Math.max(at, view.from + 1));
    } else if (Math.abs(event.clientX - begun.x) >= CLICK_PIXELS) {
      const length = Math.max(1, view.trace.end - view.trace.start);
      const from = Math.min(at, begun.at);
      picture.append(place(selection, (from - view.trace.start) / length, Math.abs(at - begun.at) / length));
    }
  });
  const end = (/** @type {PointerEvent} */ event) => {
    const start = begun;
    begun = null;
    selection.remove();
    if (
      event.type === "pointerup" &&
      start !== null &&
      start.side === null &&
      Math.abs(event.clientX - start.x) >= CLICK_PIXELS
    ) {
      const at = timeAt(event);
      view.zoom(Math.min(at, start.at), Math.max(at, start.at));
    }
  };
  picture.addEventListener("pointerup", end);
  picture.addEventListener("pointercancel", end);
}

/**
 * Each span is a line at its place in the tree; a long trace's lines fall into one another.
 * @param {HTMLCanvasElement} canvas
 * @param {View} view
 */
function paint(canvas, view) {
  const width = canvas.parentElement?.clientWidth ?? 0;
  const sharpness = devicePixelRatio || 1;
  canvas.width = Math.max(1, Math.round(width * sharpness));
  canvas.height = Math.round(MINIMAP_HEIGHT * sharpness);
  const pen = canvas.getContext("2d");
  const { nodes, start, end } = view.trace;
  if (pen === null || nodes.length === 0) {
    return;
  }
  const style = getComputedStyle(canvas);
  // A custom property is not resolved when it is read; `color` is.
  const red = style.color;
  const light = style.getPropertyValue("--minimap-light");
  const length = Math.max(1, end - start);
  const line = Math.max(sharpness, Math.min(4 * sharpness, (canvas.height / nodes.length) * 0.7));
  for (const node of nodes) {
    pen.fillStyle = isError(node.outcome) ? red : `oklch(${light} 0.12 ${view.hue(node)})`;
    const x = ((node.start - start) / length) * canvas.width;
    const y = (node.index / nodes.length) * (canvas.height - line);
    pen.fillRect(x, y, Math.max(sharpness, ((node.end - node.start) / length) * canvas.width), line);
  }
}
