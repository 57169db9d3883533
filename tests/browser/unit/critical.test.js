import assert from "node:assert/strict";
import test from "node:test";

import { criticalPath, selfTimes } from "../../../traced-viewer/ui/critical.js";
import { buildTrace } from "../../../traced-viewer/ui/trace.js";
import { randomTrace, span, START } from "../spans.js";

/** Sections from first to last: `name from-to`. */
function path(spans) {
  return criticalPath(buildTrace(spans).root)
    .map(({ node, start, end }) => `${node.span.id.slice(-1)} ${start - START}-${end - START}`)
    .reverse();
}

test("the child that ended last is on the path, and before its start the one that ended last before that", () => {
  assert.deepEqual(path([span(1, 0, 0, 100), span(2, 1, 10, 30), span(3, 1, 20, 60), span(4, 1, 5, 10)]), [
    "1 0-5",
    "4 5-15",
    "1 15-20",
    "3 20-80",
    "1 80-100",
  ]);
});

test("a child that ends where the next starts is on the path", () => {
  assert.deepEqual(path([span(1, 0, 0, 30), span(2, 1, 0, 10), span(3, 1, 10, 10), span(4, 1, 20, 10)]), [
    "2 0-10",
    "3 10-20",
    "4 20-30",
  ]);
});

test("of children that end together the one that began first is on the path", () => {
  assert.deepEqual(path([span(1, 0, 0, 30), span(2, 1, 20, 10), span(3, 1, 10, 20)]), ["1 0-10", "3 10-30"]);
});

test("what outlasts its parent counts as far as the parent lasted", () => {
  assert.deepEqual(path([span(1, 0, 10, 20), span(2, 1, 0, 90), span(3, 2, 5, 80)]), ["3 10-30"]);
});

test("sections follow one another from the root's start to its end", () => {
  for (let seed = 0; seed < 500; seed++) {
    const trace = buildTrace(randomTrace(1 + (seed % 40), seed));
    const sections = criticalPath(trace.root).reverse();
    let at = trace.root?.start;
    for (const section of sections) {
      assert.equal(section.start, at, `seed ${seed}`);
      assert.ok(section.end > section.start);
      assert.ok(section.start >= section.node.start && section.end <= section.node.end);
      at = section.end;
    }
    assert.equal(at, trace.root?.end, `seed ${seed}`);
  }
});

test("20,000 levels need no stack", () => {
  const spans = Array.from({ length: 20_000 }, (_, at) => span(at + 1, at, at, 50_000 - 2 * at));
  const total = criticalPath(buildTrace(spans).root).reduce((sum, { start, end }) => sum + end - start, 0);
  assert.equal(total, 50_000);
});

test("a span's own time is what none of its children covers", () => {
  const trace = buildTrace([span(1, 0, 0, 100), span(2, 1, 10, 30), span(3, 1, 20, 40), span(4, 1, 90, 40)]);
  assert.deepEqual([...selfTimes(trace)], [40, 30, 40, 40]);
});
