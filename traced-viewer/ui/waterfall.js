// The tree of spans over time. Solid is what lies on the critical path, pale what does not.

import { hued, html, place, spoken } from "./element.js";
import { formatDuration, plural, ticks } from "./format.js";
import { isError, OUTCOME_SIGNS } from "./outcome.js";
import { rowHeight, Rows } from "./rows.js";
import { columnSplitter } from "./splitter.js";

/** @import {Binding} from "./keyboard.js" */
/** @import {SpanNode} from "./trace.js" */
/** @import {View} from "./view.js" */

/** In rem; the style sheet has it, too. */
const SPAN_ROW = 1.85;
/** Sections of a span that are closer than this part of the picture are drawn as one. */
const SECTION_GAP = 0.000_5;
/** Annotations of one span that are marked. */
const MARKS = 100;
/** Beyond this many levels lines that guide the eye are a grey area. */
const GUIDED_LEVELS = 40;

/** A tree grid: one element takes the focus and names the row that has it. */
export class Waterfall {
  #view;
  #open;
  #scale = html("div", { class: "scale", role: "columnheader", "aria-label": "Time" });
  #lines = html("div", { class: "lines", "aria-hidden": "true" });
  #head;
  #grid;
  #rows;

  /**
   * @param {View} view
   * @param {() => void} open shows the selected span's detail
   */
  constructor(view, open) {
    this.#view = view;
    this.#open = open;
    this.#grid = html("div", {
      class: "waterfall",
      role: "treegrid",
      tabindex: "0",
      "aria-label": "Spans",
      "aria-colcount": "2",
    });
    this.#head = html(
      "div",
      { class: "span-row head", role: "row", "aria-rowindex": "1" },
      html(
        "div",
        { class: "label", role: "columnheader" },
        "Span",
        columnSplitter(this.#grid, () => this.#drawScale()),
      ),
      this.#scale,
    );
    this.#grid.append(this.#head, this.#lines);
    this.#grid.classList.toggle("deep", view.trace.depth > GUIDED_LEVELS);
    this.#grid.style.setProperty("--levels", String(Math.max(1, view.trace.depth)));
    this.#rows = new Rows(this.#grid, rowHeight(SPAN_ROW), (index) => this.#row(index), this.#head);
    new ResizeObserver(() => this.#drawScale()).observe(this.#grid);
    this.#listen();
    this.#drawRows();
  }

  get element() {
    return this.#grid;
  }

  /** @returns {Binding[]} */
  get bindings() {
    const view = this.#view;
    const selected = () => view.selected;
    /** @param {(node: SpanNode) => void} run */
    const withSelected = (run) => () => {
      const node = selected();
      if (node !== null) {
        run(node);
      }
    };
    return [
      { keys: ["j", "ArrowDown"], does: "next span", run: () => this.#step(1) },
      { keys: ["k", "ArrowUp"], does: "span before", run: () => this.#step(-1) },
      { keys: ["ArrowRight"], does: "open the subtree, or go into it", run: withSelected((node) => this.#enter(node)) },
      {
        keys: ["ArrowLeft"],
        does: "close the subtree, or go to the parent",
        run: withSelected((node) => this.#leave(node)),
      },
      { keys: ["Home"], does: "first span", run: () => this.#go(0) },
      { keys: ["End"], does: "last span", run: () => this.#go(view.rows.length - 1) },
      { keys: ["PageDown"], does: "a page down", run: () => this.#step(this.#rows.page) },
      { keys: ["PageUp"], does: "a page up", run: () => this.#step(-this.#rows.page) },
      { keys: ["Enter", " "], does: "detail of the span", run: () => this.#open() },
      { keys: ["e"], does: "open all subtrees", run: () => view.collapseAll(false) },
      { keys: ["c"], does: "close all subtrees", run: () => view.collapseAll(true) },
      { keys: ["z"], does: "zoom to the span", run: withSelected((node) => view.zoomTo(node)) },
      { keys: ["+", "="], does: "zoom in", run: () => view.scale(0.5) },
      { keys: ["-"], does: "zoom out", run: () => view.scale(2) },
      { keys: ["["], does: "earlier", run: () => view.pan(-0.25) },
      { keys: ["]"], does: "later", run: () => view.pan(0.25) },
      { keys: ["0"], does: "the whole trace", run: () => view.resetZoom() },
      { keys: ["n"], does: "next error, or next match", run: () => this.#next(1) },
      { keys: ["N"], does: "error or match before", run: () => this.#next(-1) },
      {
        keys: ["p"],
        does: "next on the critical path",
        run: () => view.selectNext(1, (node) => view.critical.has(node.index)),
      },
    ];
  }

  #listen() {
    const view = this.#view;
    view.on("rows", () => this.#drawRows());
    view.on("window", () => {
      this.#drawScale();
      this.#rows.redraw();
    });
    let before = view.selected;
    view.on("selection", () => {
      const at = view.selected === null ? -1 : view.rows.indexOf(view.selected);
      if (before !== null) {
        this.#rows.update(view.rows.indexOf(before));
      }
      before = view.selected;
      if (at >= 0) {
        this.#rows.reveal(at);
        this.#rows.update(at);
      }
      this.#pointAt();
    });
    this.#grid.addEventListener("focus", () => {
      if (view.selected === null) {
        this.#go(0);
      }
    });
    this.#grid.addEventListener(
      "wheel",
      (event) => {
        if (event.ctrlKey) {
          event.preventDefault();
          const box = this.#scale.getBoundingClientRect();
          const about = Math.min(1, Math.max(0, (event.clientX - box.left) / box.width));
          view.scale(event.deltaY > 0 ? 1.25 : 0.8, about);
        }
      },
      { passive: false },
    );
  }

  /** @param {number} rows */
  #step(rows) {
    const { selected, rows: all } = this.#view;
    const at = selected === null ? -1 : all.indexOf(selected);
    this.#go(at < 0 ? 0 : at + rows);
  }

  /** @param {number} at */
  #go(at) {
    const { rows } = this.#view;
    const node = rows[Math.max(0, Math.min(rows.length - 1, at))];
    if (node !== undefined) {
      this.#view.select(node);
      this.#grid.focus({ preventScroll: true });
    }
  }

  /** @param {SpanNode} node */
  #enter(node) {
    if (this.#view.isCollapsed(node)) {
      this.#view.collapse(node, false);
    } else if (node.children.length > 0) {
      this.#step(1);
    }
  }

  /** @param {SpanNode} node */
  #leave(node) {
    if (node.children.length > 0 && !this.#view.isCollapsed(node)) {
      this.#view.collapse(node, true);
    } else if (node.parent !== null) {
      this.#view.select(node.parent);
    }
  }

  /** @param {1 | -1} step */
  #next(step) {
    const { matches } = this.#view;
    this.#view.selectNext(step, (node) => (matches === null ? isError(node.outcome) : matches.has(node.index)));
  }

  #drawRows() {
    const { rows } = this.#view;
    this.#grid.setAttribute("aria-rowcount", String(rows.length + 1));
    this.#drawScale();
    this.#rows.redraw(rows.length);
    this.#pointAt();
  }

  #pointAt() {
    const { selected } = this.#view;
    if (selected === null) {
      this.#grid.removeAttribute("aria-activedescendant");
    } else {
      this.#grid.setAttribute("aria-activedescendant", `span-${selected.index}`);
    }
  }

  #drawScale() {
    const { from, to, trace } = this.#view;
    const parts = Math.max(1, Math.floor(this.#scale.clientWidth / 120));
    const marks = ticks(from - trace.start, to - trace.start, parts);
    /** @param {number} mark */
    const part = (mark) => (mark + trace.start - from) / (to - from);
    this.#scale.replaceChildren(
      ...marks.map((mark) =>
        place(html("span", { class: "tick" }, mark === 0 ? "0" : formatDuration(mark)), part(mark), 0),
      ),
    );
    this.#lines.replaceChildren(...marks.map((mark) => place(html("span", { class: "line" }), part(mark), 0)));
    this.#grid.style.setProperty("--lines", `${this.#grid.clientHeight - this.#head.offsetHeight}px`);
  }

  /** @param {number} index */
  #row(index) {
    const view = this.#view;
    const node = /** @type {SpanNode} */ (view.rows[index]);
    const selected = node === view.selected;
    const parent = node.children.length > 0;
    const collapsed = parent && view.isCollapsed(node);
    const row = html(
      "div",
      {
        class: rowClass(view, node),
        role: "row",
        id: `span-${node.index}`,
        "aria-level": node.depth + 1,
        "aria-rowindex": index + 2,
        "aria-selected": String(selected),
        "aria-expanded": parent ? String(!collapsed) : null,
        click: () => {
          view.select(node);
          this.#open();
        },
        dblclick: () => view.zoomTo(node),
      },
      this.#label(node, parent, collapsed),
      this.#track(node),
    );
    return hued(row, view.hue(node));
  }

  /**
   * @param {SpanNode} node
   * @param {boolean} parent
   * @param {boolean} collapsed
   */
  #label(node, parent, collapsed) {
    const label = html(
      "div",
      { class: "label", role: "rowheader" },
      html("span", { class: "guides" }),
      parent
        ? html(
            "span",
            {
              class: "expander",
              "aria-hidden": "true",
              title: collapsed ? "Open the subtree" : "Close the subtree",
              click: (event) => {
                event.stopPropagation();
                this.#view.collapse(node, !collapsed);
              },
            },
            collapsed ? "▸" : "▾",
          )
        : html("span", { class: "expander" }),
      node.outcome !== null &&
        html("span", { class: "sign", title: node.outcome }, OUTCOME_SIGNS[node.outcome], spoken(` ${node.outcome} `)),
      html("span", { class: "name" }, node.name || "(no name)"),
      " ",
      html("span", { class: "service" }, node.service),
      collapsed && html("span", { class: "hidden-count" }, `+${plural(node.size - 1, "span")}`),
      node.span.kind !== undefined &&
        html("span", { class: "kind", title: node.span.kind.toLowerCase() }, kindSign(node.span.kind)),
    );
    label.style.setProperty("--depth", String(node.depth));
    label.title = `${node.name}\n${node.service}`;
    return label;
  }

  /** @param {SpanNode} node */
  #track(node) {
    const { from, to, trace, critical } = this.#view;
    const length = to - from;
    const [left, right] = [(node.start - from) / length, (node.end - from) / length];
    const sections = critical.get(node.index);
    const track = html("div", { class: "track", role: "gridcell" });
    if (right < 0 || left > 1) {
      track.append(html("span", { class: right < 0 ? "beyond left" : "beyond right" }, right < 0 ? "◂" : "▸"));
    } else {
      // Percentages of millions are beyond what a browser lays out exactly.
      const [start, end] = [Math.max(-1, left), Math.min(2, right)];
      track.append(place(html("div", { class: "bar" }), start, end - start));
      for (const [sectionStart, sectionEnd] of joined(sections ?? [], from, length)) {
        track.append(place(html("div", { class: "section" }), sectionStart, sectionEnd - sectionStart));
      }
      for (const { timestamp, value } of (node.span.annotations ?? []).slice(0, MARKS)) {
        const at = (timestamp - node.skew - from) / length;
        if (at >= 0 && at <= 1) {
          track.append(place(html("div", { class: "mark", title: value }), at, 0));
        }
      }
    }
    const text = node.timed ? (node.open ? "no end" : formatDuration(node.end - node.start)) : "no time";
    const duration = html(
      "span",
      { class: "duration" },
      text,
      spoken(
        ` from ${formatDuration(node.start - trace.start)}${sections === undefined ? "" : ", on the critical path"}`,
      ),
    );
    setBeside(duration, Math.min(1, Math.max(0, left)), Math.min(1, Math.max(0, right)));
    track.append(duration);
    return track;
  }
}

/**
 * @param {View} view
 * @param {SpanNode} node
 */
function rowClass(view, node) {
  const classes = ["span-row"];
  if (node.outcome !== null) {
    classes.push(node.outcome);
  }
  if (node === view.selected) {
    classes.push("selected");
  }
  if (view.matches !== null) {
    classes.push(view.matches.has(node.index) ? "match" : "no-match");
  }
  if (node.open) {
    classes.push("endless");
  }
  return classes.join(" ");
}

/**
 * Sections as parts of the picture, those that touch drawn as one.
 * @param {readonly {start: number, end: number}[]} sections latest first
 * @param {number} from
 * @param {number} length
 * @returns {[number, number][]}
 */
function joined(sections, from, length) {
  /** @type {[number, number][]} */
  const parts = [];
  for (const section of sections) {
    const start = Math.max(0, (section.start - from) / length);
    const end = Math.min(1, (section.end - from) / length);
    if (end <= 0 || start >= 1) {
      continue;
    }
    const last = parts.at(-1);
    if (last !== undefined && last[0] - end < SECTION_GAP) {
      last[0] = start;
    } else {
      parts.push([start, end]);
    }
  }
  return parts;
}

/**
 * Puts the duration behind the bar, or before it where there is more room, or into it.
 * @param {HTMLElement} duration
 * @param {number} left
 * @param {number} right
 */
function setBeside(duration, left, right) {
  const [before, behind] = [left, 1 - right];
  if (behind >= 0.2 || (behind >= before && behind > 0.12)) {
    duration.style.left = `${100 * right}%`;
  } else if (before > 0.12) {
    duration.style.right = `${100 * (1 - left)}%`;
  } else {
    duration.style.right = `${100 * behind}%`;
    duration.classList.add("inside");
  }
}

/** @param {string} kind */
function kindSign(kind) {
  return kind.slice(0, 1).toUpperCase();
}
