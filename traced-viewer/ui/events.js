// All events of a trace in the order of time, whichever span they belong to.

import { hued, html } from "./element.js";
import { formatDuration, formatTime } from "./format.js";
import { errorText, isError } from "./outcome.js";
import { rowHeight, Rows } from "./rows.js";

/** @import {SpanNode} from "./trace.js" */
/** @import {View} from "./view.js" */

/** In rem. */
const EVENT_ROW = 2;

/** @typedef {{at: number, node: SpanNode, text: string, error: boolean}} TraceEvent */

/**
 * Annotations, and errors at the end of their span.
 * @param {readonly SpanNode[]} nodes
 * @returns {TraceEvent[]}
 */
export function traceEvents(nodes) {
  const events = nodes.flatMap((node) => {
    const own = (node.span.annotations ?? []).map(({ timestamp, value }) => ({
      at: timestamp - node.skew,
      node,
      text: value,
      error: false,
    }));
    if (isError(node.outcome)) {
      own.push({ at: node.end, node, text: errorText(node.span) || String(node.outcome), error: true });
    }
    return own;
  });
  return events.sort((left, right) => left.at - right.at);
}

/**
 * @param {View} view
 * @param {(node: SpanNode) => void} pick
 * @returns {HTMLElement}
 */
export function eventList(view, pick) {
  const events = traceEvents(view.trace.nodes);
  if (events.length === 0) {
    return html("p", { class: "empty" }, "No span of this trace has an event or an error.");
  }
  const head = html(
    "div",
    { class: "event head", role: "row" },
    ...["At", "Event", "Span"].map((title) => html("span", { role: "columnheader" }, title)),
  );
  const list = html(
    "div",
    {
      class: "events-list scroll",
      role: "table",
      "aria-label": "Events in order of time",
      "aria-rowcount": events.length + 1,
    },
    head,
  );
  const rows = new Rows(
    list,
    rowHeight(EVENT_ROW),
    (index) => {
      const { at, node, text, error } = /** @type {TraceEvent} */ (events[index]);
      return hued(
        html(
          "div",
          { class: error ? "event error" : "event", role: "row", "aria-rowindex": index + 2 },
          html("span", { role: "cell", class: "number", title: formatTime(at) }, formatDuration(at - view.trace.start)),
          html("span", { role: "cell", class: "text", title: text }, error ? `✗ ${text}` : text),
          html(
            "span",
            { role: "cell", class: "of" },
            html("span", { class: "dot", "aria-hidden": "true" }),
            html("button", { type: "button", class: "link", click: () => pick(node) }, node.name || "(no name)"),
          ),
        ),
        view.hue(node),
      );
    },
    head,
  );
  rows.redraw(events.length);
  return list;
}
