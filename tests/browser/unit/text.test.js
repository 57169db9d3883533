import assert from "node:assert/strict";
import test from "node:test";

import { formatAge, formatDuration, formatPercent, parseDuration, ticks } from "../../../traced-viewer/ui/format.js";
import { outcomeOf } from "../../../traced-viewer/ui/outcome.js";
import { isFiltered, serverQuery } from "../../../traced-viewer/ui/search.js";
import { span } from "../spans.js";

test("durations have three digits that count", () => {
  const cases = {
    0: "0 µs",
    6.1: "6.1 µs",
    900: "900 µs",
    1_000: "1 ms",
    48_200: "48.2 ms",
    999_499: "999 ms",
    999_500: "1 s",
    1_250_000: "1.25 s",
    59_949_999: "59.9 s",
    59_950_000: "1 min 00 s",
    125_000_000: "2 min 05 s",
    3_720_000_000: "1 h 02 min",
    172_800_000_000: "2 d",
  };
  for (const [micros, text] of Object.entries(cases)) {
    assert.equal(formatDuration(Number(micros)), text);
  }
  assert.equal(formatDuration(-1_500), "−1.5 ms");
});

test("what is typed as a duration is understood, or explained", () => {
  assert.deepEqual(["", "10ms", "1.5 s", "2m", "300us", "7", "0,5s"].map(parseDuration), [
    null,
    10_000,
    1_500_000,
    120_000_000,
    300,
    7_000,
    500_000,
  ]);
  assert.throws(() => parseDuration("soon"), /“soon” is not a duration: write/);
});

test("marks of a scale are round numbers within it", () => {
  assert.deepEqual(ticks(0, 182_000, 4), [0, 50_000, 100_000, 150_000]);
  assert.deepEqual(ticks(37, 41, 4), [37, 38, 39, 40, 41]);
  assert.deepEqual(ticks(5, 5, 4), [5]);
});

test("ages and parts", () => {
  assert.deepEqual(
    [0, 3, 61, 7_200, 200_000].map((seconds) => formatAge(1e15 - seconds * 1e6, 1e12)),
    ["now", "3 s ago", "1 min ago", "2 h ago", "2 d ago"],
  );
  assert.deepEqual([formatPercent(1, 3), formatPercent(1, 1_000), formatPercent(1, 0)], ["33 %", "<1 %", "0 %"]);
});

test("outcomes are read from the tags that traced-runtime and others write", () => {
  const outcome = (tags) => outcomeOf(span(1, 0, 0, 1, tags === null ? {} : { tags }));
  assert.equal(outcome(null), null);
  assert.equal(outcome({ error: "" }), "error");
  assert.equal(outcome({ error: "false" }), null);
  assert.equal(outcome({ error: "panicked" }), "panicked");
  assert.equal(outcome({ outcome: "cancelled" }), "cancelled");
  assert.equal(outcome({ error: "CANCELLED" }), "cancelled");
  assert.equal(outcome({ outcome: "unfinished" }), "unfinished");
  assert.equal(outcome({ outcome: "unfinished", error: "late" }), "error");
});

test("the address becomes the server's query", () => {
  const query = serverQuery(new URLSearchParams("serviceName=shop&minDuration=10&view=x&spanName="));
  assert.deepEqual(
    [query.get("serviceName"), query.get("minDuration"), query.get("limit"), query.has("view"), query.has("spanName")],
    ["shop", "10", "100", false, false],
  );
  assert.equal(isFiltered(new URLSearchParams("limit=50")), false);
  assert.equal(isFiltered(new URLSearchParams("annotationQuery=error")), true);
});
