// Where the time went: spans of the same path added up, each as wide as the time spent in it and below it.

import { hued, html } from "./element.js";
import { formatDuration, formatPercent, plural } from "./format.js";
import { serviceHue } from "./hue.js";

/** @import {SpanNode} from "./trace.js" */
/** @import {View} from "./view.js" */

/** In rem; the style sheet has it, too. */
const FRAME_HEIGHT = 1.7;
/** Frames narrower than this part of the picture are left out: they cannot be seen. */
const NARROWEST = 0.001;

/**
 * Spans with the same names from the root down.
 * @typedef {Object} Frame
 * @property {string} service
 * @property {string} name
 * @property {number} count
 * @property {number} self microseconds in none of their children
 * @property {number} total `self` of it and of all frames below
 * @property {Frame | null} parent
 * @property {Map<string, Frame>} children
 */

/**
 * @param {readonly SpanNode[]} nodes parents before children
 * @param {Float64Array} self by index
 * @returns {Frame} one that holds the roots
 */
export function foldFrames(nodes, self) {
  const top = newFrame("", "all", null);
  const frames = [top];
  /** @type {Frame[]} */
  const frameOf = [];
  for (const node of nodes) {
    const parent = node.parent === null ? top : /** @type {Frame} */ (frameOf[node.parent.index]);
    const key = JSON.stringify([node.service, node.name]);
    let frame = parent.children.get(key);
    if (frame === undefined) {
      frame = newFrame(node.service, node.name, parent);
      parent.children.set(key, frame);
      frames.push(frame);
    }
    frame.count += 1;
    frame.self += self[node.index] ?? 0;
    frameOf[node.index] = frame;
  }
  for (const frame of frames.reverse()) {
    frame.total += frame.self;
    if (frame.parent !== null) {
      frame.parent.total += frame.total;
    }
  }
  return top;
}

/**
 * @param {string} service
 * @param {string} name
 * @param {Frame | null} parent
 * @returns {Frame}
 */
function newFrame(service, name, parent) {
  return { service, name, count: 0, self: 0, total: 0, parent, children: new Map() };
}

/**
 * Frames that can be seen, with their place: `left` and `width` are parts of the picture.
 * @param {Frame} zoomed
 * @returns {{frame: Frame, left: number, width: number, level: number}[]} level by level
 */
export function layFrames(zoomed) {
  const placed = [{ frame: zoomed, left: 0, width: 1, level: 0 }];
  for (let at = 0; at < placed.length; at++) {
    const { frame, left, level } = /** @type {typeof placed[0]} */ (placed[at]);
    let start = left;
    for (const child of [...frame.children.values()].sort((one, other) => other.total - one.total)) {
      const width = zoomed.total > 0 ? child.total / zoomed.total : 0;
      if (width >= NARROWEST) {
        placed.push({ frame: child, left: start, width, level: level + 1 });
      }
      start += width;
    }
  }
  return placed;
}

/**
 * @param {View} view
 * @returns {HTMLElement}
 */
export function flameView(view) {
  const top = foldFrames(view.trace.nodes, view.self);
  const picture = html("div", { class: "flame", role: "tree", "aria-label": "Time by path of names" });
  const note = html(
    "p",
    { class: "note" },
    "Width is time spent in a span or below it; parallel work adds up. Choose a frame to zoom in, the lowest row to go back.",
  );
  /** @param {Frame} zoomed */
  const show = (zoomed) => {
    const above = [];
    for (let frame = zoomed.parent; frame !== null; frame = frame.parent) {
      above.unshift({ frame, left: 0, width: 1, level: above.length });
    }
    above.forEach((placed, level) => (placed.level = level));
    const placed = [...above, ...layFrames(zoomed).map((one) => ({ ...one, level: one.level + above.length }))];
    const levels = Math.max(...placed.map(({ level }) => level)) + 1;
    picture.style.height = `${levels * FRAME_HEIGHT}rem`;
    picture.replaceChildren(...placed.map((one) => frameElement(top, one, one.frame === zoomed)));
    placed.forEach(({ frame }, at) => {
      picture.children[at]?.addEventListener("click", () => {
        show(frame);
        /** @type {HTMLElement | null} */ (picture.querySelector("[tabindex='0']"))?.focus();
      });
    });
  };
  picture.addEventListener("keydown", (event) => moveFocus(picture, event));
  show(top);
  return html("div", { class: "scroll" }, note, picture);
}

/**
 * @param {Frame} top
 * @param {{frame: Frame, left: number, width: number, level: number}} placed
 * @param {boolean} zoomed
 */
function frameElement(top, { frame, left, width, level }, zoomed) {
  const title = `${frame.name || "(no name)"}${frame.service === "" ? "" : ` · ${frame.service}`}`;
  const numbers = [formatDuration(frame.total), formatPercent(frame.total, top.total)];
  if (frame !== top) {
    numbers.push(`itself ${formatDuration(frame.self)}`, plural(frame.count, "span"));
  }
  const element = html(
    "div",
    {
      class: zoomed ? "frame zoomed" : "frame",
      role: "treeitem",
      tabindex: zoomed ? "0" : "-1",
      "aria-level": level + 1,
      "aria-selected": String(zoomed),
      title: `${title}\n${numbers.join(" · ")}`,
      "aria-label": `${title}, ${numbers.join(", ")}`,
    },
    html("span", {}, frame.name || "(no name)"),
  );
  element.style.left = `${100 * left}%`;
  element.style.width = `${100 * width}%`;
  element.style.top = `${level * FRAME_HEIGHT}rem`;
  return frame === top ? element : hued(element, serviceHue(frame.service));
}

/**
 * @param {HTMLElement} picture
 * @param {KeyboardEvent} event
 */
function moveFocus(picture, event) {
  const frames = /** @type {HTMLElement[]} */ ([...picture.children]);
  const current = frames.find((frame) => frame === document.activeElement);
  if (current === undefined || event.ctrlKey || event.altKey || event.metaKey) {
    return;
  }
  if (event.key === "Enter" || event.key === " ") {
    event.preventDefault();
    current.click();
    return;
  }
  const step = { ArrowUp: -1, ArrowDown: 1, ArrowLeft: 0, ArrowRight: 0 }[event.key];
  if (step === undefined) {
    return;
  }
  event.preventDefault();
  const level = Number(current.getAttribute("aria-level"));
  const row = frames.filter((frame) => Number(frame.getAttribute("aria-level")) === level + step);
  const [left, width] = [parseFloat(current.style.left), parseFloat(current.style.width)];
  const at = row.indexOf(current);
  const target =
    step === 0
      ? row[at + (event.key === "ArrowLeft" ? -1 : 1)]
      : row.find((frame) => {
          const start = parseFloat(frame.style.left);
          return start + parseFloat(frame.style.width) > left && start < left + width;
        });
  if (target !== undefined) {
    current.tabIndex = -1;
    target.tabIndex = 0;
    target.focus();
  }
}
