// What of a trace is shown: the stretch of time, the open subtrees, the spans that match, the one that is selected.

import { criticalPath, sectionsByNode, selfTimes } from "./critical.js";
import { serviceHue } from "./hue.js";
import { isError } from "./outcome.js";

/** @import {Section} from "./critical.js" */
/** @import {SpanNode, Trace} from "./trace.js" */

/** @typedef {"rows" | "window" | "selection"} Change */

/** The state that the pictures of one trace share. Whoever draws listens for what changed. */
export class View {
  /** Zoomed-in stretch, microseconds since the epoch. */
  from;
  to;
  /** @type {SpanNode[]} rows from top to bottom */
  rows = [];
  /** @type {Set<number> | null} indexes of spans that match the filter; null without one */
  matches = null;
  /** @type {SpanNode | null} */
  selected = null;
  filter = "";
  onlyErrors = false;
  onlyCritical = false;
  /** @type {Set<number>} */
  #collapsed = new Set();
  /** @type {{change: Change, run: () => void}[]} */
  #listeners = [];

  /** @param {Trace} trace */
  constructor(trace) {
    this.trace = trace;
    this.from = trace.start;
    this.to = Math.max(trace.end, trace.start + 1);
    /** @type {Section[]} */
    this.sections = criticalPath(trace.root);
    this.critical = sectionsByNode(this.sections);
    this.self = selfTimes(trace);
    this.#layOut();
  }

  /**
   * @param {Change} change
   * @param {() => void} run
   */
  on(change, run) {
    this.#listeners.push({ change, run });
  }

  /** @param {SpanNode} node */
  hue(node) {
    return serviceHue(node.service);
  }

  /** Whether less than the whole trace is shown. */
  get zoomed() {
    return this.from > this.trace.start || this.to < Math.max(this.trace.end, this.trace.start + 1);
  }

  /**
   * Shows a stretch of time; what lies outside the trace is cut off. At least one microsecond.
   * @param {number} from
   * @param {number} to
   */
  zoom(from, to) {
    const end = Math.max(this.trace.end, this.trace.start + 1);
    const start = Math.min(Math.max(from, this.trace.start), end - 1);
    this.from = start;
    this.to = Math.max(Math.min(to, end), start + 1);
    this.#tell("window");
  }

  resetZoom() {
    this.zoom(this.trace.start, this.trace.end);
  }

  /**
   * Zooms by a factor about a point.
   * @param {number} factor below 1 shows less
   * @param {number} [about] 0 the left edge, 1 the right one
   */
  scale(factor, about = 0.5) {
    const length = this.to - this.from;
    const middle = this.from + length * about;
    this.zoom(middle - length * factor * about, middle + length * factor * (1 - about));
  }

  /** @param {number} part of what is shown, negative to the left */
  pan(part) {
    const length = this.to - this.from;
    const end = Math.max(this.trace.end, this.trace.start + 1);
    const from = Math.max(this.trace.start, Math.min(this.from + length * part, end - length));
    this.zoom(from, from + length);
  }

  /** @param {SpanNode} node */
  zoomTo(node) {
    const margin = Math.max(1, (node.end - node.start) * 0.05);
    this.zoom(node.start - margin, node.end + margin);
  }

  /** @param {SpanNode} node */
  isCollapsed(node) {
    return this.#collapsed.has(node.index);
  }

  /**
   * @param {SpanNode} node
   * @param {boolean} collapsed
   */
  collapse(node, collapsed) {
    if (node.children.length === 0 || collapsed === this.isCollapsed(node)) {
      return;
    }
    if (collapsed) {
      this.#collapsed.add(node.index);
    } else {
      this.#collapsed.delete(node.index);
    }
    this.#layOut();
    this.#tell("rows");
  }

  /** @param {boolean} collapsed whether the roots alone, or everything is shown */
  collapseAll(collapsed) {
    this.#collapsed = new Set(
      collapsed ? this.trace.nodes.filter((node) => node.children.length > 0).map((node) => node.index) : [],
    );
    this.#layOut();
    this.#tell("rows");
    if (this.selected !== null && !this.rows.includes(this.selected)) {
      this.select(this.rows[0] ?? null);
    }
  }

  /** @param {{filter?: string, onlyErrors?: boolean, onlyCritical?: boolean}} filter what is left out stays */
  setFilter(filter) {
    Object.assign(this, filter);
    this.#layOut();
    this.#tell("rows");
  }

  get filtered() {
    return this.matches !== null;
  }

  /** @param {SpanNode | null} node its ancestors are opened */
  select(node) {
    this.selected = node;
    if (node !== null && !this.rows.includes(node)) {
      for (let above = node.parent; above !== null; above = above.parent) {
        this.#collapsed.delete(above.index);
      }
      if (this.matches !== null && !this.matches.has(node.index)) {
        Object.assign(this, { filter: "", onlyErrors: false, onlyCritical: false });
      }
      this.#layOut();
      this.#tell("rows");
    }
    this.#tell("selection");
  }

  /**
   * Selects the next span of a kind in the trace's order, going round at its end.
   * @param {1 | -1} step
   * @param {(node: SpanNode) => boolean} wanted
   */
  selectNext(step, wanted) {
    const { nodes } = this.trace;
    const start = this.selected?.index ?? (step > 0 ? -1 : nodes.length);
    for (let distance = 1; distance <= nodes.length; distance++) {
      const node = nodes[(((start + step * distance) % nodes.length) + nodes.length) % nodes.length];
      if (node !== undefined && wanted(node)) {
        this.select(node);
        return;
      }
    }
  }

  #layOut() {
    const words = this.filter
      .toLowerCase()
      .split(/\s+/)
      .filter((word) => word !== "");
    const { nodes } = this.trace;
    /** @type {Set<number> | null} */
    let kept = null;
    this.matches = null;
    if (words.length > 0 || this.onlyErrors || this.onlyCritical) {
      this.matches = new Set();
      kept = new Set();
      for (const node of nodes) {
        if (
          (!this.onlyErrors || isError(node.outcome)) &&
          (!this.onlyCritical || this.critical.has(node.index)) &&
          words.every((word) => hasWord(node, word))
        ) {
          this.matches.add(node.index);
          for (
            let above = /** @type {SpanNode | null} */ (node);
            above && !kept.has(above.index);
            above = above.parent
          ) {
            kept.add(above.index);
          }
        }
      }
    }
    this.rows = [];
    for (let index = 0; index < nodes.length;) {
      const node = /** @type {SpanNode} */ (nodes[index]);
      if (kept !== null && !kept.has(index)) {
        index += node.size;
        continue;
      }
      this.rows.push(node);
      index += this.#collapsed.has(index) ? node.size : 1;
    }
  }

  /** @param {Change} change */
  #tell(change) {
    for (const listener of this.#listeners) {
      if (listener.change === change) {
        listener.run();
      }
    }
  }
}

/**
 * @param {SpanNode} node
 * @param {string} word lower case
 */
function hasWord({ span, name, service, outcome }, word) {
  return (
    name.toLowerCase().includes(word) ||
    service.toLowerCase().includes(word) ||
    outcome === word ||
    span.id.startsWith(word) ||
    Object.entries(span.tags ?? {}).some(([key, value]) => `${key}=${value}`.toLowerCase().includes(word)) ||
    (span.annotations ?? []).some(({ value }) => value.toLowerCase().includes(word))
  );
}
