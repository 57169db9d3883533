// One trace: its head, the overview, and the pictures of it.

import { exportUrl } from "./api.js";
import { spanDetail } from "./detail.js";
import { hued, html } from "./element.js";
import { eventList } from "./events.js";
import { flameView } from "./flame.js";
import { formatDuration, formatPercent, formatTime, plural } from "./format.js";
import { serviceHue } from "./hue.js";
import { minimap } from "./minimap.js";
import { nameRows, nameTable } from "./names.js";
import { OUTCOME_SIGNS } from "./outcome.js";
import { copyText, subtreeText } from "./subtree.js";
import { buildTrace } from "./trace.js";
import { View } from "./view.js";
import { Waterfall } from "./waterfall.js";

/** @import {App, Page} from "./main.js" */
/** @import {Outcome} from "./outcome.js" */
/** @import {Span, Trace} from "./trace.js" */

/** @type {readonly {format: import("./api.js").ExportFormat, title: string}[]} */
const FORMATS = [
  { format: "html", title: "One HTML file" },
  { format: "zipkin", title: "Zipkin JSON" },
  { format: "chrome", title: "Chrome and Perfetto" },
  { format: "folded", title: "Folded stacks" },
];
/** Names of the critical path that the head lists. */
const NAMED_SECTIONS = 3;

/**
 * @param {App} app
 * @param {Span[]} spans
 * @param {"server" | "file"} source a trace from a file can be exported only as what it is
 * @param {boolean} truncated whether the server may have dropped spans of it
 * @returns {Page}
 */
export function tracePage(app, spans, source, truncated) {
  const trace = buildTrace(spans);
  const view = new View(trace);
  const panel = html("aside", { class: "detail", "aria-label": "Detail of the span", hidden: true });
  const show = () => {
    const node = view.selected;
    panel.hidden = node === null;
    if (node !== null) {
      panel.replaceChildren(...spanDetail(view, node, { close: hide, copy }));
    }
  };
  const hide = () => {
    panel.hidden = true;
    panel.replaceChildren();
    waterfall.element.focus({ preventScroll: true });
  };
  const copy = async () => {
    const node = view.selected ?? trace.root;
    if (node !== null) {
      const copied = await copyText(subtreeText(trace, node));
      app.say(copied ? `Copied ${plural(node.size, "line")}` : "The browser does not allow copying here");
    }
  };
  const waterfall = new Waterfall(view, show);
  view.on("selection", () => {
    if (!panel.hidden) {
      show();
    }
  });
  const filter = filterBar(view);
  const pictures = html("div", { class: "pictures" });
  const waterfallArea = html("div", { class: "waterfall-area" }, minimap(view), filter.element, waterfall.element);
  /** @type {{title: string, make: () => HTMLElement}[]} */
  const views = [
    { title: "Waterfall", make: () => waterfallArea },
    { title: "Flame", make: () => flameView(view) },
    {
      title: "Names",
      make: () =>
        nameTable(nameRows([{ nodes: trace.nodes, self: view.self }]), "Span names of this trace", (row) => {
          choose(0);
          filter.set(row.name);
        }),
    },
    {
      title: "Events",
      make: () =>
        eventList(view, (node) => {
          choose(0);
          view.select(node);
          show();
        }),
    },
  ];
  const tabs = views.map(({ title }, at) => html("button", { type: "button", click: () => choose(at) }, title));
  /** @param {number} at */
  const choose = (at) => {
    tabs.forEach((tab, index) => tab.setAttribute("aria-pressed", String(index === at)));
    pictures.replaceChildren(views[at]?.make() ?? waterfallArea);
    if (at !== 0) {
      panel.hidden = true;
    }
  };
  choose(0);
  const fresh = html("button", { type: "button", class: "fresh", hidden: true, click: () => app.reload() });
  const element = html(
    "div",
    { class: "page trace-page" },
    traceHead(view, source, app, truncated),
    html(
      "div",
      { class: "toolbar" },
      html("div", { class: "tabs", role: "group", "aria-label": "Picture" }, ...tabs),
      criticalLine(view),
      fresh,
    ),
    html("div", { class: "trace-body" }, pictures, panel),
  );

  let stopListening = () => {};
  return {
    title: trace.root?.name || trace.traceId,
    element,
    bindings: [
      ...waterfall.bindings,
      { keys: ["/"], does: "filter", run: () => filter.focus() },
      { keys: ["y"], does: "copy the subtree as text", run: copy },
      {
        keys: ["1", "2", "3", "4"],
        does: "waterfall, flame, names, events",
        run: (event) => choose(Number(event.key) - 1),
      },
      {
        keys: ["Escape"],
        does: "close the detail, then drop the filter, then the zoom",
        run: () => stepBack(view, panel, hide, filter),
      },
    ],
    entered: () => {
      waterfall.element.focus({ preventScroll: true });
      if (source === "server") {
        stopListening = app.live.listen({
          traces: (summaries) => {
            const now = summaries.find(({ traceId }) => traceId === trace.traceId);
            if (now !== undefined && now.spanCount > spans.length) {
              fresh.hidden = false;
              fresh.textContent = `Show ${plural(now.spanCount - spans.length, "new span")}`;
              app.whisper(fresh.textContent);
            }
          },
          cleared: () => {},
          connected: () => {},
        });
      }
    },
    leave: () => stopListening(),
  };
}

/**
 * @param {View} view
 * @param {HTMLElement} panel
 * @param {() => void} hide
 * @param {{set: (text: string) => void}} filter
 */
function stepBack(view, panel, hide, filter) {
  if (!panel.hidden) {
    hide();
  } else if (view.filtered) {
    filter.set("");
  } else {
    view.resetZoom();
  }
}

/**
 * @param {View} view
 * @param {"server" | "file"} source
 * @param {App} app
 * @param {boolean} truncated
 */
function traceHead(view, source, app, truncated) {
  const { trace } = view;
  const { root, traceId, nodes, services } = trace;
  /** @type {Map<Outcome, number>} */
  const outcomes = new Map();
  for (const { outcome } of nodes) {
    if (outcome !== null) {
      outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
    }
  }
  const copyId = html(
    "button",
    {
      type: "button",
      class: "plain",
      title: "Copy the trace id",
      click: async () =>
        app.say((await copyText(traceId)) ? "Copied the trace id" : "The browser does not allow copying here"),
    },
    html("code", {}, traceId),
  );
  return html(
    "header",
    { class: "trace-head" },
    html("h1", {}, root?.name || "(no name)", " ", html("span", { class: "service" }, root?.service ?? "")),
    html("div", { class: "trace-id" }, html("span", {}, formatTime(trace.start)), copyId),
    exportMenu(trace, source),
    html(
      "div",
      { class: "trace-facts" },
      html("b", {}, formatDuration(trace.end - trace.start)),
      html("span", {}, plural(nodes.length, "span")),
      truncated &&
        html("span", { class: "chip cancelled", title: "The viewer keeps no more spans of one trace" }, "truncated"),
      html("span", {}, plural(services.length, "service")),
      html("span", {}, plural(trace.depth, "level")),
      ...[...outcomes].map(([outcome, count]) =>
        html(
          "span",
          { class: `chip ${outcome}` },
          `${OUTCOME_SIGNS[outcome]} ${outcome === "error" ? plural(count, "error") : `${count} ${outcome}`}`,
        ),
      ),
      html(
        "span",
        { class: "services" },
        ...services.map(({ name, count }) =>
          hued(html("span", { class: "chip hue" }, `${name || "no service"} ${count}`), serviceHue(name)),
        ),
      ),
    ),
  );
}

/**
 * @param {Trace} trace
 * @param {"server" | "file"} source
 */
function exportMenu(trace, source) {
  if (source === "server") {
    return html(
      "details",
      { class: "menu" },
      html("summary", {}, "Download"),
      html(
        "ul",
        {},
        ...FORMATS.map(({ format, title }) =>
          html("li", {}, html("a", { href: exportUrl(trace.traceId, format), download: true }, title)),
        ),
      ),
    );
  }
  return html(
    "button",
    {
      type: "button",
      click: () => {
        const blob = new Blob([JSON.stringify(trace.nodes.map(({ span }) => span))], { type: "application/json" });
        const link = html("a", { href: URL.createObjectURL(blob), download: `trace-${trace.traceId}.json` });
        link.click();
        URL.revokeObjectURL(link.href);
      },
    },
    "Download JSON",
  );
}

/**
 * @param {View} view
 */
function criticalLine(view) {
  const { root } = view.trace;
  const whole = root === null ? 0 : root.end - root.start;
  /** @type {Map<string, number>} */
  const byName = new Map();
  for (const { node, start, end } of view.sections) {
    const name = node.name || "(no name)";
    byName.set(name, (byName.get(name) ?? 0) + end - start);
  }
  const largest = [...byName].sort(([, left], [, right]) => right - left).slice(0, NAMED_SECTIONS);
  return html(
    "p",
    { class: "critical-line", hidden: largest.length === 0 },
    html("span", {}, "critical path"),
    ...largest.map(([name, time]) =>
      html("span", {}, html("b", {}, name), ` ${formatDuration(time)} ${formatPercent(time, whole)}`),
    ),
  );
}

/**
 * @param {View} view
 */
function filterBar(view) {
  const input = html("input", {
    type: "search",
    id: "filter",
    placeholder: "name, service, tag=value, text of an event",
    autocomplete: "off",
    spellcheck: "false",
    "aria-label": "Filter the spans",
    input: () => view.setFilter({ filter: input.value }),
    keydown: (event) => {
      if (event.key === "Enter") {
        view.selectNext(1, (node) => view.matches?.has(node.index) ?? false);
      }
    },
  });
  const status = html("span", { class: "filter-count", role: "status" });
  const errors = toggle("✗ Errors", () => view.setFilter({ onlyErrors: !view.onlyErrors }));
  const critical = toggle("Critical path", () => view.setFilter({ onlyCritical: !view.onlyCritical }));
  const show = () => {
    if (input.value !== view.filter) {
      input.value = view.filter;
    }
    errors.setAttribute("aria-pressed", String(view.onlyErrors));
    critical.setAttribute("aria-pressed", String(view.onlyCritical));
    status.textContent = view.matches === null ? "" : plural(view.matches.size, "match", "matches");
  };
  view.on("rows", show);
  const element = html(
    "div",
    { class: "filter", role: "search", "aria-label": "Spans" },
    input,
    errors,
    critical,
    status,
    html(
      "span",
      { class: "last tree-buttons" },
      html("button", { type: "button", click: () => view.collapseAll(false) }, "Open all"),
      html("button", { type: "button", click: () => view.collapseAll(true) }, "Close all"),
    ),
  );
  return {
    element,
    focus: () => input.focus(),
    set: (/** @type {string} */ text) => view.setFilter({ filter: text, onlyErrors: false, onlyCritical: false }),
  };
}

/**
 * @param {string} title
 * @param {() => void} click
 */
function toggle(title, click) {
  return html("button", { type: "button", "aria-pressed": "false", click }, title);
}
