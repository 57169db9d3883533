import assert from "node:assert/strict";
import test from "node:test";

import { buildTrace } from "../../../traced-viewer/ui/trace.js";
import { checkout, hexId, randomNumbers, randomTrace, span, START } from "../spans.js";

/** The tree as text: two blanks for a level. */
function outline(trace) {
  return trace.nodes.map((node) => `${"  ".repeat(node.depth)}${node.name}`).join("\n");
}

test("children stand below their parents, in the order of their start", () => {
  const trace = buildTrace([span(3, 1, 20, 5), span(1, 0, 0, 100), span(4, 2, 12, 2), span(2, 1, 10, 30)]);
  assert.equal(outline(trace), "span 1\n  span 2\n    span 4\n  span 3");
  assert.deepEqual(
    trace.nodes.map(({ size }) => size),
    [4, 2, 1, 1],
  );
  assert.equal(trace.end - trace.start, 100);
  assert.equal(trace.depth, 3);
});

test("client and server of a shared span are two rows, and what the server did is below the server", () => {
  const trace = buildTrace(checkout(hexId(7), START));
  const servers = trace.nodes.filter((node) => node.span.shared);
  assert.equal(servers.length, 3);
  for (const server of servers) {
    assert.equal(server.parent?.span.id, server.span.id);
    assert.equal(server.parent?.span.kind, "CLIENT");
  }
  const lookup = trace.nodes.find(({ name }) => name === "cart::load");
  assert.equal(lookup?.parent?.service, "checkout");
  assert.equal(lookup?.parent?.span.kind, "SERVER");
});

test("a server's clock that is behind is put right, with everything below it on that host", () => {
  const trace = buildTrace(checkout(hexId(7), START));
  const server = trace.nodes.find(({ service, name }) => service === "stock" && name === "stock/reserve");
  assert.ok(server?.parent);
  assert.equal(server.start - server.parent.start, server.parent.end - server.end);
  const below = trace.nodes.find(({ name }) => name === "lock::wait");
  assert.equal(below?.skew, server.skew);
  assert.equal(below.start - server.start, 2_000);
  assert.equal(trace.start, START);
});

test("a server that starts within its client's time is left where it is", () => {
  const trace = buildTrace([
    span(1, 0, 0, 100, { kind: "CLIENT" }),
    span(1, 0, 5, 300, { kind: "SERVER", shared: true, localEndpoint: { serviceName: "b", ipv4: "10.0.0.2" } }),
  ]);
  assert.equal(trace.nodes[1]?.start, START + 5);
});

test("one host is never corrected, whatever its spans say", () => {
  const trace = buildTrace([span(1, 0, 50, 100, { kind: "CLIENT" }), span(2, 1, 5, 10, { kind: "SERVER" })]);
  assert.equal(trace.nodes[1]?.start, START + 5);
});

test("a span that was reported twice is one, with all that both reports said", () => {
  const trace = buildTrace([
    span(1, 0, 0, 100, { tags: { a: "1" }, annotations: [{ timestamp: START + 2, value: "x" }] }),
    span(1, 0, 0, 100, {
      tags: { b: "2" },
      annotations: [
        { timestamp: START + 2, value: "x" },
        { timestamp: START + 1, value: "y" },
      ],
    }),
  ]);
  assert.equal(trace.nodes.length, 1);
  assert.deepEqual(trace.nodes[0]?.span.tags, { a: "1", b: "2" });
  assert.deepEqual(
    trace.nodes[0]?.span.annotations?.map(({ value }) => value),
    ["y", "x"],
  );
});

test("a span whose parent is missing is a root that says so, after the true root", () => {
  const trace = buildTrace([span(2, 99, 0, 10), span(1, 0, 50, 10)]);
  assert.equal(outline(trace), "span 1\nspan 2");
  assert.equal(trace.root?.name, "span 1");
  assert.equal(trace.nodes[1]?.oddity, "its parent is not in this trace");
});

test("parents in a circle are cut at the earliest span", () => {
  const trace = buildTrace([span(1, 3, 30, 5), span(2, 1, 10, 5), span(3, 2, 20, 5), span(4, 4, 0, 1)]);
  assert.equal(outline(trace), "span 4\nspan 2\n  span 3\n    span 1");
  assert.equal(trace.nodes[1]?.oddity, "its parents run in a circle");
});

test("a span without a time stands where its parent begins, one without a duration lasts as long as what is below", () => {
  const timeless = span(2, 1, 0, 0);
  delete timeless.timestamp;
  const endless = span(3, 1, 10, 0);
  delete endless.duration;
  const trace = buildTrace([span(1, 0, 5, 50), timeless, endless, span(4, 3, 12, 30)]);
  assert.equal(trace.nodes[1]?.start, START + 5);
  assert.equal(trace.nodes[1]?.timed, false);
  assert.equal(trace.nodes[2]?.end, START + 42);
});

test("an empty list is an empty trace", () => {
  const trace = buildTrace([]);
  assert.equal(trace.root, null);
  assert.equal(trace.end - trace.start, 0);
});

test("a chain of 20,000 spans is as good as any", () => {
  const trace = buildTrace(Array.from({ length: 20_000 }, (_, at) => span(at + 1, at, at, 50_000 - at)));
  assert.equal(trace.depth, 20_000);
});

test("whatever the parents are, each span is in the tree once, below its parent", () => {
  const random = randomNumbers(11);
  for (let round = 0; round < 300; round++) {
    const spans = randomTrace(1 + Math.floor(random() * 30), round).map((one) => ({
      ...one,
      // Any parent, itself and a stranger included.
      ...(random() < 0.4 ? { parentId: hexId(1 + Math.floor(random() * 32)) } : {}),
      ...(random() < 0.3 ? { kind: "CLIENT" } : random() < 0.5 ? { kind: "SERVER", shared: true } : {}),
    }));
    const trace = buildTrace(spans);
    assert.equal(trace.nodes.length, spans.length);
    assert.equal(new Set(trace.nodes.map(({ span: { id } }) => id)).size, spans.length);
    trace.nodes.forEach((node, index) => {
      assert.equal(node.index, index);
      assert.equal(node.depth, node.parent === null ? 0 : node.parent.depth + 1);
      assert.ok(node.parent === null || (node.parent.index < index && index < node.parent.index + node.parent.size));
      assert.ok(node.end >= node.start);
    });
  }
});

/**
 * How often fields of spans are read while a tree is made of them.
 * @param {number} count
 * @param {(at: number) => Partial<import("../spans.js").Span>} fields
 */
function reads(count, fields) {
  let reads = 0;
  const counted = (/** @type {object} */ one) =>
    new Proxy(one, { get: (target, field) => (++reads, Reflect.get(target, field)) });
  const spans = Array.from({ length: count }, (_, at) => counted({ traceId: "1", id: hexId(at + 1), ...fields(at) }));
  buildTrace(/** @type {any} */ (spans));
  return reads;
}

test("the work grows with the spans of a trace, and no faster", () => {
  const at = (/** @type {number} */ service) => ({ localEndpoint: { serviceName: `s${service}` } });
  /** @type {Record<string, (at: number) => Partial<import("../spans.js").Span>>} */
  const shapes = {
    siblings: () => ({ parentId: hexId(1) }),
    levels: (index) => ({ parentId: hexId(index), timestamp: 1_000 - index }),
    "a circle": (index) => ({ parentId: hexId(index === 0 ? 200 : index) }),
    "parts of one span": (index) => ({
      id: hexId(1),
      tags: { [`k${index}`]: "v" },
      annotations: [{ timestamp: index, value: "v" }],
    }),
    "halves of one span": (index) => ({ id: hexId(1), kind: "SERVER", shared: true, ...at(index) }),
    "halves that say no side": (index) => ({ id: hexId(1), ...at(index) }),
    "halves whose side comes later": (index) => ({
      id: hexId(1),
      ...(index % 2 === 0 ? {} : { kind: "SERVER" }),
      ...at(index >> 1),
    }),
    "children of halves": (index) =>
      index % 2 === 0 ? { id: hexId(1), kind: "SERVER", ...at(index) } : { parentId: hexId(1), ...at(index - 1) },
  };
  for (const [name, fields] of Object.entries(shapes)) {
    const [small, large] = [reads(200, fields), reads(800, fields)];
    assert.ok(large < small * 5, `${name}: ${small} reads for 200 spans, ${large} for 800`);
  }
});
