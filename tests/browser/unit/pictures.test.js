import assert from "node:assert/strict";
import test from "node:test";

import { comparedRows } from "../../../traced-viewer/ui/compare.js";
import { selfTimes } from "../../../traced-viewer/ui/critical.js";
import { traceEvents } from "../../../traced-viewer/ui/events.js";
import { foldFrames, layFrames } from "../../../traced-viewer/ui/flame.js";
import { layServices } from "../../../traced-viewer/ui/layers.js";
import { nameRows, percentile } from "../../../traced-viewer/ui/names.js";
import { subtreeText } from "../../../traced-viewer/ui/subtree.js";
import { buildTrace } from "../../../traced-viewer/ui/trace.js";
import { View } from "../../../traced-viewer/ui/view.js";
import { checkout, hexId, randomTrace, span, START } from "../spans.js";

test("percentiles are values that occurred", () => {
  const hundred = Array.from({ length: 100 }, (_, at) => at + 1);
  assert.deepEqual(
    [percentile(hundred, 0.5), percentile(hundred, 0.95), percentile([7], 0.95), percentile([], 0.5)],
    [50, 95, 7, 0],
  );
});

test("names are counted for each service", () => {
  const trace = buildTrace(checkout(hexId(1), START));
  const rows = nameRows([{ nodes: trace.nodes, self: selfTimes(trace) }]);
  const query = rows.find(({ name }) => name === "db::query");
  assert.deepEqual([query?.count, query?.p50, query?.p95, query?.total], [2, 11_500, 24_500, 36_000]);
  assert.equal(rows.filter(({ name }) => name === "payments/charge").length, 2);
  assert.equal(
    rows.reduce((sum, { errors }) => sum + errors, 0),
    3,
  );
});

test("frames are as wide as the time below them, and nothing is lost", () => {
  for (let seed = 0; seed < 50; seed++) {
    const trace = buildTrace(randomTrace(60, seed));
    const self = selfTimes(trace);
    const top = foldFrames(trace.nodes, self);
    assert.equal(
      top.total,
      self.reduce((sum, time) => sum + time, 0),
    );
    for (const { frame, left, width } of layFrames(top)) {
      assert.ok(left >= 0 && left + width <= 1 + 1e-9);
      assert.equal(frame.total, frame.self + [...frame.children.values()].reduce((sum, child) => sum + child.total, 0));
    }
  }
});

test("two traces have a row for each path of either", () => {
  const left = buildTrace([span(1, 0, 0, 100), span(2, 1, 10, 30)]);
  const right = buildTrace([span(1, 0, 0, 150), span(3, 1, 10, 50)]);
  const rows = comparedRows(left, right).map((row) => [
    row.depth,
    row.name,
    row.left?.total ?? null,
    row.right?.total ?? null,
  ]);
  assert.deepEqual(rows, [
    [0, "span 1", 100, 150],
    [1, "span 3", null, 50],
    [1, "span 2", 30, null],
  ]);
});

test("callers stand left of what they call, and a circle closes backwards", () => {
  const edges = [
    ["web", "shop"],
    ["shop", "stock"],
    ["web", "stock"],
    ["stock", "shop"],
    ["shop", "shop"],
  ].map(([from, to]) => ({ from: String(from), to: String(to) }));
  const layers = layServices(edges);
  assert.deepEqual(
    layers.map((layer) => layer.filter(({ passing }) => passing === null).map(({ name }) => name)),
    [["web"], ["shop"], ["stock"]],
  );
  // What web calls beyond the layer of shop passes it at a place of its own.
  assert.deepEqual(
    layers
      .flat()
      .filter(({ passing }) => passing !== null)
      .map(({ layer, passing }) => [layer, passing]),
    [[1, { from: "web", to: "stock" }]],
  );
  assert.deepEqual(
    layers[1]?.map(({ place }) => place),
    [0, 1],
  );
  assert.deepEqual(layServices([]), []);
});

test("a large graph keeps every service once", () => {
  const edges = Array.from({ length: 300 }, (_, at) => ({ from: `s${(at * 7) % 60}`, to: `s${(at * 13) % 60}` }));
  const names = layServices(edges)
    .flat()
    .filter(({ passing }) => passing === null)
    .map(({ name }) => name);
  assert.equal(new Set(names).size, names.length);
  assert.equal(names.length, new Set(edges.flatMap(({ from, to }) => [from, to])).size);
});

test("events and errors stand in the order of time", () => {
  const events = traceEvents(buildTrace(checkout(hexId(1), START)).nodes);
  assert.deepEqual(
    events.map(({ at, text }) => `${at - START} ${text}`),
    ["3000 cache miss", "140000 panicked", "158000 card declined", "163000 card declined"],
  );
});

test("a subtree as text is the terminal's tree without bars", () => {
  const trace = buildTrace([
    span(1, 0, 0, 100_000, { name: "top" }),
    span(2, 1, 10_000, 30_000, { name: "first", kind: "CLIENT", tags: { error: "dead\nlock", table: "users" } }),
    span(3, 2, 12_000, 900, {
      name: "inner",
      tags: { outcome: "cancelled" },
      annotations: [{ timestamp: START, value: "miss" }],
    }),
    span(4, 1, 50_000, 1_000, { name: "last" }),
  ]);
  assert.equal(
    subtreeText(trace, /** @type {any} */ (trace.root)),
    [
      "trace 0000000000000001 · 100 ms · 4 spans",
      "top          shop       100 ms",
      "├─ first     shop  C     30 ms  error: dead lock  table=users",
      "│  └─ inner  shop       900 µs  cancelled  @ miss",
      "└─ last      shop         1 ms",
      "",
    ].join("\n"),
  );
});

test("a filter keeps what matches and what is above it", () => {
  const view = new View(buildTrace(checkout(hexId(1), START)));
  const shown = () => view.rows.map(({ name, service }) => `${name} ${service}`);
  view.setFilter({ filter: "db::QUERY" });
  assert.deepEqual(shown(), [
    "post /checkout web",
    "checkout/pay web",
    "checkout/pay checkout",
    "cart::load checkout",
    "db::query checkout",
    "db::query checkout",
  ]);
  assert.equal(view.matches?.size, 2);
  view.setFilter({ filter: "items=3" });
  assert.equal(view.matches?.size, 1);
  view.setFilter({ filter: "cache miss" });
  assert.equal(view.matches?.size, 1);
  view.setFilter({ filter: "", onlyErrors: true });
  assert.equal(view.matches?.size, 3);
  view.setFilter({ onlyErrors: false });
  assert.equal(view.rows.length, 14);
});

test("a closed subtree is left out, and opened by selecting into it", () => {
  const trace = buildTrace(checkout(hexId(1), START));
  const view = new View(trace);
  view.collapseAll(true);
  assert.equal(view.rows.length, 1);
  const deep = /** @type {any} */ (trace.nodes.find(({ name }) => name === "ledger::append"));
  view.select(deep);
  assert.ok(view.rows.includes(deep));
});

test("zoom stays within the trace and never shows nothing", () => {
  const view = new View(buildTrace([span(1, 0, 0, 1_000)]));
  view.zoom(START + 10, START + 10);
  assert.deepEqual([view.from - START, view.to - START], [10, 11]);
  view.zoom(START - 500, START + 5_000);
  assert.equal(view.zoomed, false);
  view.scale(0.5, 0);
  assert.deepEqual([view.from - START, view.to - START], [0, 500]);
  view.pan(5);
  assert.deepEqual([view.from - START, view.to - START], [500, 1_000]);
});
