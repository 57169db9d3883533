// The page reads files as the server does: both are tested with the same cases.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test from "node:test";

import { decodeFile } from "../../../traced-viewer/ui/decode.js";
import { readTraces } from "../../../traced-viewer/ui/upload.js";
import { hexId, span } from "../spans.js";

/** @type {{format?: 1, body: string, spans?: object[], file?: object[]}[]} */
const CASES = JSON.parse(readFileSync(new URL("../../../traced-viewer/cases/decode.json", import.meta.url), "utf8"));

test("what the server takes is taken, with the same result, and what it refuses is refused", () => {
  let taken = 0;
  for (const { format, body, spans, file } of CASES) {
    if (format === 1) {
      continue;
    }
    const expected = file ?? spans;
    if (expected === undefined) {
      assert.throws(() => decodeFile(body), Error, body);
    } else {
      assert.deepEqual(decodeFile(body), expected, body);
      taken += 1;
    }
  }
  assert.ok(taken > 300, `${taken}`);
});

test("a file cut anywhere is an error", () => {
  const whole = JSON.stringify([span(1, 0, 0, 5, { tags: { a: "é\n" }, annotations: [{ timestamp: 1, value: "x" }] })]);
  for (let end = 0; end < whole.length; end++) {
    assert.throws(() => decodeFile(whole.slice(0, end)), /^Error: This is not JSON: it ends early at line 1, column/);
  }
});

test("values nested in one another exhaust no stack", () => {
  const deep = `[{"traceId":"1","id":"1","x":${"[".repeat(100_000)}${"]".repeat(100_000)}}]`;
  assert.deepEqual(decodeFile(deep), [{ traceId: hexId(1), id: hexId(1) }]);
});

test("files of spans and of traces are read", () => {
  const [one, two] = [span(1, 0, 0, 5), { ...span(2, 0, 0, 5), traceId: hexId(9) }];
  assert.deepEqual(
    readTraces(JSON.stringify([one, two])).map((spans) => spans.length),
    [1, 1],
  );
  assert.deepEqual(readTraces(JSON.stringify([[one], [two]])).length, 2);
  const odd = readTraces(
    '[{"traceId":"abc","id":"1","tags":{"n":7},"duration":0,"parentId":null,"localEndpoint":null}]',
  );
  assert.deepEqual(odd, [[{ traceId: "0000000000000abc", id: hexId(1), tags: { n: "7" } }]]);
});

test("a file that cannot be read says where and why", () => {
  const cases = {
    "{": /This is not JSON: it ends early at line 1, column 2/,
    '[\n {"traceId" "1"}]': /This is not JSON: it goes wrong at line 2, column 13/,
    "{}": /not a list of spans/,
    "[]": /holds no spans/,
    "[7]": /\[0\] is not a span/,
    '[{"traceId":"1","id":"xyz"}]': /\[0\]\.id is not an id of 1 to 16/,
    '[{"traceId":"ABC","id":"1"}]': /\[0\]\.traceId is not an id of 1 to 32 hexadecimal digits in lower case/,
    '[[{"traceId":"1"}]]': /\[0\]\[0\]\.id/,
    '[{"traceId":"1","id":"1","duration":"x"}]': /\[0\]\.duration is not a number/,
    '[{"traceId":"1","id":"1","tags":{"b":true}}]': /\[0\]\.tags\.b is not a text/,
    '[{"traceId":"1","id":"1","binaryAnnotations":[]}]': /format 1/,
    '[{"traceId":"1","id":"1","annotations":[{"value":"x"}]}]': /annotations\[0\] has no timestamp/,
    '[{"traceId":"1","id":"1","localEndpoint":{"port":65536}}]': /\[0\]\.localEndpoint\.port is not a port/,
  };
  for (const [text, message] of Object.entries(cases)) {
    assert.throws(() => readTraces(text), message, text);
  }
});
