// Two traces side by side: the same path of names in both, and by how much the times differ.

import { fetchTrace } from "./api.js";
import { hued, html, place, spoken } from "./element.js";
import { foldFrames } from "./flame.js";
import { formatCount, formatDuration, formatTime, plural, shortId } from "./format.js";
import { serviceHue } from "./hue.js";
import { selfTimes } from "./critical.js";
import { rowHeight, Rows } from "./rows.js";
import { buildTrace } from "./trace.js";

/** @import {Frame} from "./flame.js" */
/** @import {Page} from "./main.js" */
/** @import {Trace} from "./trace.js" */

/** In rem; the style sheet has it, too. */
const COMPARE_ROW = 2;

/**
 * One path of names; null where a trace does not have it.
 * @typedef {{service: string, name: string, depth: number, left: Frame | null, right: Frame | null}} ComparedRow
 */

/**
 * @param {Trace} left
 * @param {Trace} right
 * @returns {ComparedRow[]} parents before children, what takes longest first
 */
export function comparedRows(left, right) {
  const [leftTop, rightTop] = [left, right].map((trace) => foldFrames(trace.nodes, selfTimes(trace)));
  /** @type {ComparedRow[]} */
  const rows = [];
  const stack = pairs(leftTop ?? null, rightTop ?? null, 0);
  for (let row = stack.pop(); row !== undefined; row = stack.pop()) {
    rows.push(row);
    stack.push(...pairs(row.left, row.right, row.depth + 1));
  }
  return rows;
}

/**
 * @param {string} leftId
 * @param {string} rightId
 * @returns {Promise<Page>}
 */
export async function comparePage(leftId, rightId) {
  const [left, right] = (await Promise.all([fetchTrace(leftId), fetchTrace(rightId)])).map(buildTrace);
  if (left === undefined || right === undefined) {
    throw new Error("Two traces are needed to compare");
  }
  const rows = comparedRows(left, right);
  const largest = rows.reduce((most, row) => Math.max(most, Math.abs(difference(row))), 1);
  const head = html(
    "div",
    { class: "compared head", role: "row", "aria-rowindex": "1" },
    ...["Name", "A", "B", "B − A"].map((title) => html("span", { role: "columnheader" }, title)),
  );
  const table = html(
    "div",
    {
      class: "compare scroll",
      role: "table",
      tabindex: "0",
      "aria-label": "Times by path of names",
      "aria-rowcount": rows.length + 1,
    },
    head,
  );
  const list = new Rows(
    table,
    rowHeight(COMPARE_ROW),
    (index) => comparedRow(/** @type {ComparedRow} */ (rows[index]), index, largest),
    head,
  );
  const swap = html("a", { href: `/zipkin/traces/${rightId}?compare=${leftId}` }, "Swap");
  const element = html(
    "div",
    { class: "page compare-page" },
    html(
      "header",
      { class: "trace-head" },
      html("h1", {}, "Two traces"),
      swap,
      html("p", { class: "note" }, "Time in a span and below it, added up over all spans of the same path."),
    ),
    html("div", { class: "sides" }, side("A", left), side("B", right)),
    table,
  );
  return { title: "Compare", element, entered: () => list.redraw(rows.length) };
}

/**
 * @param {string} letter
 * @param {Trace} trace
 */
function side(letter, trace) {
  const { root, traceId, nodes, errors } = trace;
  return html(
    "p",
    {},
    html("b", {}, letter),
    " ",
    html("a", { href: `/zipkin/traces/${traceId}` }, root?.name || "(no name)"),
    ` ${formatTime(trace.start)} · ${formatDuration(trace.end - trace.start)} · ${plural(nodes.length, "span")}`,
    errors > 0 && html("span", { class: "error-text" }, ` ✗ ${plural(errors, "error")}`),
    " ",
    html("code", {}, shortId(traceId)),
  );
}

/**
 * @param {ComparedRow} row
 * @param {number} index
 * @param {number} largest
 */
function comparedRow(row, index, largest) {
  const change = difference(row);
  const only = row.right === null ? "only in A" : row.left === null ? "only in B" : null;
  const bar = html("span", { class: change > 0 ? "slower" : "faster" });
  const width = Math.abs(change) / largest / 2;
  place(bar, change > 0 ? 0.5 : 0.5 - width, width);
  const label = html(
    "span",
    { class: "label", role: "rowheader" },
    html("span", { class: "guides" }),
    html("span", { class: "dot", "aria-hidden": "true" }),
    html("span", { class: "name" }, row.name || "(no name)"),
    " ",
    html("span", { class: "service" }, row.service),
    only !== null && html("span", { class: "chip" }, only),
  );
  label.style.setProperty("--depth", String(row.depth));
  return hued(
    html(
      "div",
      { class: "compared", role: "row", "aria-rowindex": index + 2 },
      label,
      html("span", { class: "number", role: "cell" }, frameText(row.left)),
      html("span", { class: "number", role: "cell" }, frameText(row.right)),
      html(
        "span",
        { class: "change", role: "cell" },
        bar,
        html(
          "span",
          { class: "number" },
          change === 0 ? "=" : `${change > 0 ? "+" : ""}${formatDuration(change)}`,
          spoken(change > 0 ? " slower in B" : change < 0 ? " faster in B" : " the same"),
        ),
      ),
    ),
    serviceHue(row.service),
  );
}

/** @param {Frame | null} frame */
function frameText(frame) {
  if (frame === null) {
    return "–";
  }
  return frame.count > 1 ? `${formatDuration(frame.total)} ×${formatCount(frame.count)}` : formatDuration(frame.total);
}

/** @param {ComparedRow} row */
function difference({ left, right }) {
  return (right?.total ?? 0) - (left?.total ?? 0);
}

/**
 * Frames of either side by name, the last to be shown first: the order of a stack.
 * @param {Frame | null} left
 * @param {Frame | null} right
 * @param {number} depth
 * @returns {ComparedRow[]}
 */
function pairs(left, right, depth) {
  const keys = new Set([...(left?.children.keys() ?? []), ...(right?.children.keys() ?? [])]);
  const rows = [...keys].map((key) => {
    const [one, other] = [left?.children.get(key) ?? null, right?.children.get(key) ?? null];
    return { service: (one ?? other)?.service ?? "", name: (one ?? other)?.name ?? "", depth, left: one, right: other };
  });
  const total = (/** @type {ComparedRow} */ row) => Math.max(row.left?.total ?? 0, row.right?.total ?? 0);
  return rows.sort((one, other) => total(one) - total(other));
}
