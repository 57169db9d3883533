// Everything known about one span.

import { hued, html } from "./element.js";
import { formatDuration, formatPercent, formatTime, plural } from "./format.js";
import { errorText, OUTCOME_SIGNS } from "./outcome.js";

/** @import {Endpoint, SpanNode} from "./trace.js" */
/** @import {View} from "./view.js" */

/**
 * @typedef {Object} DetailActions
 * @property {() => void} close
 * @property {() => void} copy the subtree as text
 */

/**
 * @param {View} view
 * @param {SpanNode} node
 * @param {DetailActions} actions
 * @returns {Node[]}
 */
export function spanDetail(view, node, { close, copy }) {
  const { span, outcome } = node;
  const error = errorText(span);
  return [
    html(
      "header",
      {},
      html("h2", { tabindex: "-1" }, node.name || "(no name)"),
      html(
        "button",
        { type: "button", class: "plain", "aria-label": "Close the detail", title: "Close (Esc)", click: close },
        "✕",
      ),
    ),
    html(
      "p",
      { class: "where" },
      hued(html("span", { class: "dot", "aria-hidden": "true" }), view.hue(node)),
      node.service || "no service",
      span.kind !== undefined && html("span", { class: "chip" }, span.kind.toLowerCase()),
      outcome !== null && html("span", { class: `chip ${outcome}` }, `${OUTCOME_SIGNS[outcome]} ${outcome}`),
      span.shared === true && html("span", { class: "chip", title: "Client and server report one id" }, "shared"),
    ),
    ...(error !== "" && error !== outcome ? [html("p", { class: "error-text" }, error)] : []),
    html(
      "p",
      { class: "actions" },
      html("button", { type: "button", click: () => view.zoomTo(node) }, "Zoom to it"),
      html("button", { type: "button", click: copy }, "Copy subtree as text"),
    ),
    facts(timesOf(view, node)),
    ...section("Tags", Object.entries(span.tags ?? {}).length, () => tagTable(span.tags ?? {})),
    ...section("Events", (span.annotations ?? []).length, () => eventTable(node)),
    html("h3", {}, "Identity"),
    facts([
      ["span", html("code", {}, span.id)],
      ["parent", span.parentId === undefined ? "none" : html("code", {}, span.parentId)],
      ["here", endpointText(span.localEndpoint)],
      ["remote", endpointText(span.remoteEndpoint)],
    ]),
    html(
      "details",
      {},
      html("summary", {}, "As reported"),
      html("pre", { tabindex: "0" }, JSON.stringify(span, null, 2)),
    ),
  ];
}

/**
 * @param {View} view
 * @param {SpanNode} node
 * @returns {[string, string | Node][]}
 */
function timesOf(view, node) {
  const duration = node.end - node.start;
  const self = view.self[node.index] ?? 0;
  const critical = (view.critical.get(node.index) ?? []).reduce((sum, { start, end }) => sum + end - start, 0);
  const root = view.trace.root;
  const whole = root === null ? 0 : root.end - root.start;
  /** @type {[string, string][]} */
  const facts = [
    [
      "starts at",
      node.timed ? `${formatDuration(node.start - view.trace.start)} · ${formatTime(node.start)}` : "not reported",
    ],
    [
      "lasts",
      node.open ? "not reported" : `${formatDuration(duration)} · ${formatPercent(duration, whole)} of the trace`,
    ],
    ["itself", `${formatDuration(self)} · ${formatPercent(self, duration)} of it`],
    [
      "critical path",
      critical > 0 ? `${formatDuration(critical)} · ${formatPercent(critical, whole)} of the trace` : "not on it",
    ],
    ["below it", plural(node.size - 1, "span")],
  ];
  if (node.skew !== 0) {
    facts.push([
      "clock",
      `${formatDuration(Math.abs(node.skew))} ${node.skew > 0 ? "ahead of" : "behind"} its caller's: moved`,
    ]);
  }
  if (node.oddity !== null) {
    facts.push(["shown as a root", node.oddity]);
  }
  return facts;
}

/** @param {[string, string | Node | null][]} pairs */
function facts(pairs) {
  return html(
    "dl",
    {},
    ...pairs
      .filter(([, value]) => value !== null)
      .flatMap(([term, value]) => [html("dt", {}, term), html("dd", {}, value)]),
  );
}

/**
 * @param {string} title
 * @param {number} count
 * @param {() => Node} body
 * @returns {Node[]}
 */
function section(title, count, body) {
  return count === 0 ? [] : [html("h3", {}, title, " ", html("span", { class: "count" }, count)), body()];
}

/** @param {Record<string, string>} tags */
function tagTable(tags) {
  return html(
    "table",
    { class: "tags" },
    html(
      "tbody",
      {},
      ...Object.entries(tags).map(([key, value]) =>
        html(
          "tr",
          { class: key === "error" ? "error" : null },
          html("th", { scope: "row" }, key),
          html("td", {}, value === "" ? html("i", {}, "empty") : value),
        ),
      ),
    ),
  );
}

/** @param {SpanNode} node */
function eventTable(node) {
  return html(
    "table",
    { class: "tags events" },
    html(
      "tbody",
      {},
      ...(node.span.annotations ?? []).map(({ timestamp, value }) =>
        html(
          "tr",
          {},
          html(
            "th",
            { scope: "row", title: formatTime(timestamp - node.skew) },
            `+${formatDuration(timestamp - node.skew - node.start)}`,
          ),
          html("td", {}, value),
        ),
      ),
    ),
  );
}

/**
 * @param {Endpoint | undefined} endpoint
 * @returns {string | null}
 */
function endpointText(endpoint) {
  if (endpoint === undefined) {
    return null;
  }
  const address = endpoint.ipv4 ?? (endpoint.ipv6 === undefined ? "" : `[${endpoint.ipv6}]`);
  const port = endpoint.port === undefined ? "" : `:${endpoint.port}`;
  return [endpoint.serviceName, `${address}${port}`].filter((part) => part !== undefined && part !== "").join(" ");
}
