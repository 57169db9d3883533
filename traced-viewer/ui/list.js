// The traces, newest first, as they come.

import { clearTraces, fetchSummaries, fetchTraces } from "./api.js";
import { selfTimes } from "./critical.js";
import { errorLine, html } from "./element.js";
import { plural } from "./format.js";
import { listHead, ListRow } from "./listrow.js";
import { nameRows, nameTable } from "./names.js";
import { openSpans } from "./open.js";
import { isFiltered, searchForm, serverQuery } from "./search.js";
import { buildTrace } from "./trace.js";

/** @import {Summary} from "./api.js" */
/** @import {App, Page} from "./main.js" */

/** Milliseconds for which changes are gathered before the list is asked for again, and before they are told. */
const GATHER = 400;
/** Milliseconds between two looks at the clock, for "3 s ago". */
const AGE_EVERY = 5_000;

/**
 * @param {App} app
 * @param {URLSearchParams} start
 * @returns {Page}
 */
export function listPage(app, start) {
  let address = start;
  /** @type {Map<string, Summary>} */
  let known = new Map();
  /** @type {Map<string, ListRow>} */
  const rows = new Map();
  /** @type {Set<string>} */
  const marked = new Set();
  let paused = false;
  let waiting = 0;
  let asked = new AbortController();

  const count = html("p", { class: "list-count", role: "status" });
  const state = html("span", { class: "live-state" }, "○ connecting");
  const pause = html("button", { type: "button", "aria-pressed": "false", click: () => setPaused(!paused) }, "Pause");
  const compare = html("a", { class: "button", "aria-disabled": "true" }, "Compare");
  const list = html("div", { class: "traces", role: "table", "aria-label": "Traces, newest first" });
  const body = html("div", { role: "rowgroup" });
  const message = html("div", { class: "empty", hidden: true });
  const namesArea = html("div", { class: "names-area", hidden: true });
  const tracesTab = tab("Traces", () => showNames(false));
  const namesTab = tab("Names", () => showNames(true));
  const open = openSpans();
  list.append(listHead(), body);

  /** @param {URLSearchParams} changed */
  const setAddress = (changed) => {
    address = changed;
    const text = changed.toString();
    // Enter in a changed field asks twice: once for the change.
    if (text !== location.search.slice(1)) {
      history.pushState(null, "", text === "" ? "/zipkin/" : `/zipkin/?${text}`);
    }
    if (text === "") {
      form.element.replaceWith((form = searchForm(address, setAddress)).element);
    }
    load();
  };
  let form = searchForm(address, setAddress);

  const load = async () => {
    asked.abort();
    asked = new AbortController();
    try {
      const summaries = await fetchSummaries(serverQuery(address), asked.signal);
      known = new Map(summaries.map((summary) => [summary.traceId, summary]));
      draw();
      if (!namesArea.hidden) {
        await loadNames();
      }
    } catch (error) {
      if (!(error instanceof DOMException)) {
        known = new Map();
        draw();
        message.replaceChildren(errorLine(error));
      }
    }
  };

  const draw = () => {
    const newest = [...known.values()].sort(
      (left, right) => right.timestamp - left.timestamp || (left.traceId < right.traceId ? -1 : 1),
    );
    const limit = Number(serverQuery(address).get("limit"));
    newest.slice(limit).forEach(({ traceId }) => known.delete(traceId));
    const shown = newest.slice(0, limit);
    const longest = Math.max(1, ...shown.map(({ duration }) => duration));
    for (const [traceId, row] of rows) {
      if (!known.has(traceId)) {
        row.element.remove();
        rows.delete(traceId);
        marked.delete(traceId);
      }
    }
    shown.forEach((summary, at) => {
      let row = rows.get(summary.traceId);
      if (row === undefined) {
        row = new ListRow(summary.traceId, (on) => mark(summary.traceId, on));
        rows.set(summary.traceId, row);
      }
      row.show(summary, longest);
      // A row that is in its place stays there: moving it would take the focus from it.
      if (body.children[at] !== row.element) {
        body.insertBefore(row.element, body.children[at] ?? null);
      }
    });
    count.textContent = shown.length >= limit ? `the newest ${plural(limit, "trace")}` : plural(shown.length, "trace");
    list.hidden = shown.length === 0;
    message.hidden = shown.length > 0;
    if (shown.length === 0) {
      message.replaceChildren(...(isFiltered(address) ? noMatch() : noTraces()));
    }
    showMarked();
  };

  /**
   * @param {string} traceId
   * @param {boolean} on
   */
  const mark = (traceId, on) => {
    if (on) {
      marked.add(traceId);
    } else {
      marked.delete(traceId);
    }
    // Two can be compared; the third takes the place of the one that was marked first.
    const [first] = marked;
    if (marked.size > 2 && first !== undefined) {
      marked.delete(first);
      rows.get(first)?.unmark();
    }
    showMarked();
  };
  const showMarked = () => {
    const [left, right] = [...marked];
    if (left !== undefined && right !== undefined) {
      compare.href = `/zipkin/traces/${left}?compare=${right}`;
      compare.removeAttribute("aria-disabled");
    } else {
      compare.removeAttribute("href");
      compare.setAttribute("aria-disabled", "true");
    }
    compare.textContent = `Compare ${marked.size}/2`;
    compare.title = "Mark two traces to compare them";
  };

  let isConnected = false;
  const showState = () => {
    state.textContent = !isConnected ? "○ not connected" : paused ? "‖ paused" : "● live";
    state.classList.toggle("on", isConnected && !paused);
  };
  /** @param {boolean} on */
  const setPaused = (on) => {
    paused = on;
    pause.setAttribute("aria-pressed", String(on));
    pause.textContent = on ? "Go on" : "Pause";
    showState();
    if (!on) {
      load();
    }
  };

  /** @param {boolean} on */
  const showNames = (on) => {
    namesArea.hidden = !on;
    body.parentElement?.classList.toggle("away", on);
    tracesTab.setAttribute("aria-pressed", String(!on));
    namesTab.setAttribute("aria-pressed", String(on));
    if (on) {
      loadNames();
    }
  };
  const loadNames = async () => {
    let traces;
    try {
      traces = (await fetchTraces(serverQuery(address))).map(buildTrace);
    } catch (error) {
      namesArea.replaceChildren(errorLine(error));
      return;
    }
    const names = nameRows(traces.map((trace) => ({ nodes: trace.nodes, self: selfTimes(trace) })));
    namesArea.replaceChildren(
      nameTable(names, `Span names of ${plural(traces.length, "trace")}`, (row) => {
        showNames(false);
        setAddress(new URLSearchParams({ serviceName: row.service, spanName: row.name }));
        form.element.replaceWith((form = searchForm(address, setAddress)).element);
      }),
    );
  };

  const clear = async () => {
    if (confirm("Forget all traces that the viewer keeps?")) {
      try {
        await clearTraces();
      } catch (error) {
        app.say(error instanceof Error ? error.message : String(error));
      }
    }
  };

  /** @type {Set<string>} */
  const fresh = new Set();
  const gathered = () => {
    waiting = 0;
    if (fresh.size > 0) {
      app.whisper(`${plural(fresh.size, "new trace")}`);
      fresh.clear();
    }
    form.refresh();
    if (isFiltered(address) || !namesArea.hidden) {
      load();
    }
  };
  /** @param {Summary[]} summaries */
  const changed = (summaries) => {
    if (paused) {
      return;
    }
    for (const summary of summaries) {
      if (!known.has(summary.traceId)) {
        fresh.add(summary.traceId);
      }
      if (!isFiltered(address)) {
        known.set(summary.traceId, summary);
      }
    }
    if (!isFiltered(address)) {
      draw();
    }
    waiting ||= setTimeout(gathered, GATHER);
  };

  showMarked();
  tracesTab.setAttribute("aria-pressed", "true");
  namesTab.setAttribute("aria-pressed", "false");
  const element = html(
    "div",
    { class: "page list-page" },
    html("h1", { class: "spoken" }, "Traces"),
    form.element,
    html(
      "div",
      { class: "toolbar" },
      html("div", { class: "tabs", role: "group", "aria-label": "Show" }, tracesTab, namesTab),
      count,
      state,
      pause,
      compare,
      html("button", { type: "button", class: "last", click: clear }, "Clear"),
    ),
    open.element,
    message,
    list,
    namesArea,
  );

  /** @param {1 | -1} step */
  const move = (step) => {
    const links = [...body.querySelectorAll("a.trace-link")];
    const at = links.findIndex(
      (link) => link === document.activeElement || link.closest(".trace-row")?.contains(document.activeElement),
    );
    const target = links[at < 0 ? 0 : Math.max(0, Math.min(links.length - 1, at + step))];
    if (target instanceof HTMLElement) {
      target.focus();
      target.scrollIntoView({ block: "nearest" });
    }
  };
  let stopListening = () => {};
  let ages = 0;
  return {
    title: "Traces",
    element,
    bindings: [
      { keys: ["j", "ArrowDown"], does: "next trace", run: () => move(1) },
      { keys: ["k", "ArrowUp"], does: "trace before", run: () => move(-1) },
      { keys: ["Enter"], does: "open the trace", run: () => move(1) },
      { keys: ["x"], does: "mark the trace for comparing", run: () => focusedMark(body)?.click() },
      { keys: ["/"], does: "search", run: () => form.focus() },
      { keys: ["p"], does: "pause, or go on", run: () => setPaused(!paused) },
    ],
    entered: () => {
      load();
      open.start();
      stopListening = app.live.listen({
        traces: changed,
        cleared: () => {
          known.clear();
          draw();
        },
        connected: (connected) => {
          isConnected = connected;
          showState();
          // What came while there was no connection is in no event.
          if (connected && !paused) {
            load();
          }
        },
      });
      ages = setInterval(() => rows.forEach((row) => row.showAge()), AGE_EVERY);
    },
    leave: () => {
      stopListening();
      open.stop();
      clearInterval(ages);
      clearTimeout(waiting);
      asked.abort();
    },
  };
}

/**
 * @param {string} title
 * @param {() => void} show
 */
function tab(title, show) {
  return html("button", { type: "button", click: show }, title);
}

/**
 * @param {HTMLElement} body
 * @returns {HTMLElement | null}
 */
function focusedMark(body) {
  const row = [...body.children].find((child) => child.contains(document.activeElement));
  return row?.querySelector("input") ?? null;
}

function noMatch() {
  return [html("p", {}, "No trace matches."), html("p", {}, html("a", { href: "/zipkin/" }, "Show all traces"))];
}

function noTraces() {
  return [
    html("h2", {}, "No traces yet"),
    html(
      "p",
      {},
      "They show here the moment they arrive. Annotate functions with ",
      html("code", {}, "#[traced]"),
      " and write one line in ",
      html("code", {}, "main"),
      ":",
    ),
    html("pre", { tabindex: "0" }, 'let _tracing = traced_viewer::init("my-service");'),
    html(
      "p",
      {},
      "Any other Zipkin client may send to ",
      html("code", {}, `${location.origin}/api/v2/spans`),
      ". A file of spans can be dropped anywhere on this page.",
    ),
  ];
}
