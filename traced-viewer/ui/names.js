// How often each span name occurs, and how long it takes.

import { hued, html } from "./element.js";
import { formatCount, formatDuration } from "./format.js";
import { serviceHue } from "./hue.js";
import { isError } from "./outcome.js";

/** @import {SpanNode} from "./trace.js" */

/**
 * Durations are microseconds; percentiles are of the spans that have an end.
 * @typedef {{service: string, name: string, count: number, errors: number, p50: number, p95: number, max: number,
 *   total: number, self: number}} NameRow
 */

/** @typedef {"name" | "count" | "errors" | "p50" | "p95" | "max" | "total" | "self"} NameColumn */

/** @type {readonly {column: NameColumn, title: string, hint: string}[]} */
const COLUMNS = [
  { column: "name", title: "Name", hint: "" },
  { column: "count", title: "Count", hint: "spans of the name" },
  { column: "errors", title: "Errors", hint: "of them errors" },
  { column: "p50", title: "p50", hint: "half of them took no longer" },
  { column: "p95", title: "p95", hint: "19 of 20 took no longer" },
  { column: "max", title: "Max", hint: "the longest one" },
  { column: "self", title: "Self", hint: "time in none of their children, added up" },
  { column: "total", title: "Total", hint: "durations added up" },
];

/**
 * @param {Iterable<{nodes: readonly SpanNode[], self: Float64Array}>} traces
 * @returns {NameRow[]}
 */
export function nameRows(traces) {
  /** @type {Map<string, NameRow & {durations: number[]}>} */
  const rows = new Map();
  for (const { nodes, self } of traces) {
    for (const node of nodes) {
      const key = JSON.stringify([node.service, node.name]);
      let row = rows.get(key);
      if (row === undefined) {
        const { service, name } = node;
        row = { service, name, count: 0, errors: 0, p50: 0, p95: 0, max: 0, total: 0, self: 0, durations: [] };
        rows.set(key, row);
      }
      row.count += 1;
      row.errors += isError(node.outcome) ? 1 : 0;
      row.self += self[node.index] ?? 0;
      if (node.timed && !node.open) {
        row.total += node.end - node.start;
        row.durations.push(node.end - node.start);
      }
    }
  }
  return [...rows.values()].map(({ durations, ...row }) => {
    durations.sort((left, right) => left - right);
    return { ...row, p50: percentile(durations, 0.5), p95: percentile(durations, 0.95), max: durations.at(-1) ?? 0 };
  });
}

/**
 * The smallest value that at least that part of the values does not exceed.
 * @param {readonly number[]} sorted
 * @param {number} part
 */
export function percentile(sorted, part) {
  return sorted[Math.max(0, Math.ceil(part * sorted.length) - 1)] ?? 0;
}

/**
 * @param {NameRow[]} rows
 * @param {string} caption
 * @param {((row: NameRow) => void) | null} pick what a click on a name does
 * @returns {HTMLElement}
 */
export function nameTable(rows, caption, pick) {
  /** @type {{column: NameColumn, down: boolean}} */
  let order = { column: "total", down: true };
  const body = html("tbody");
  const most = rows.reduce((largest, { self }) => Math.max(largest, self), 1);
  const heads = COLUMNS.map(({ column, title, hint }) =>
    html(
      "th",
      { scope: "col", class: column === "name" ? null : "number" },
      html("button", { type: "button", class: "plain", title: hint, click: () => sort(column) }, title),
    ),
  );
  /** @param {NameColumn} column */
  const sort = (column) => {
    order = { column, down: order.column === column ? !order.down : column !== "name" };
    draw();
  };
  const draw = () => {
    const sign = order.down ? -1 : 1;
    rows.sort(
      (left, right) =>
        sign *
        (order.column === "name"
          ? compareText(left.name, right.name) || compareText(left.service, right.service)
          : left[order.column] - right[order.column]),
    );
    COLUMNS.forEach(({ column }, at) => {
      const direction = order.down ? "descending" : "ascending";
      heads[at]?.setAttribute("aria-sort", column === order.column ? direction : "none");
    });
    body.replaceChildren(...rows.map((row) => tableRow(row, most, pick)));
  };
  draw();
  return html(
    "div",
    { class: "scroll", tabindex: "0", role: "region", "aria-label": caption },
    html(
      "table",
      { class: "names" },
      html("caption", { class: "spoken" }, caption),
      html("thead", {}, html("tr", {}, ...heads)),
      body,
    ),
  );
}

/**
 * @param {NameRow} row
 * @param {number} most
 * @param {((row: NameRow) => void) | null} pick
 */
function tableRow(row, most, pick) {
  const name = row.name || "(no name)";
  const bar = html("span", { class: "share", "aria-hidden": "true" });
  bar.style.width = `${(100 * row.self) / most}%`;
  return hued(
    html(
      "tr",
      {},
      html(
        "th",
        { scope: "row" },
        html("span", { class: "dot", "aria-hidden": "true" }),
        pick === null
          ? html("span", { class: "name" }, name)
          : html("button", { type: "button", class: "link", click: () => pick(row) }, name),
        " ",
        html("span", { class: "service" }, row.service),
      ),
      html("td", { class: "number" }, formatCount(row.count)),
      html(
        "td",
        { class: row.errors > 0 ? "number error" : "number" },
        row.errors > 0 ? `✗ ${formatCount(row.errors)}` : "–",
      ),
      ...[row.p50, row.p95, row.max].map((value) => html("td", { class: "number" }, durationText(value))),
      html("td", { class: "number self" }, bar, html("span", {}, durationText(row.self))),
      html("td", { class: "number" }, durationText(row.total)),
    ),
    serviceHue(row.service),
  );
}

/**
 * @param {string} left
 * @param {string} right
 */
function compareText(left, right) {
  return left < right ? -1 : left > right ? 1 : 0;
}

/** @param {number} micros */
function durationText(micros) {
  return micros > 0 ? formatDuration(micros) : "–";
}
