// Zipkin's own UI on top of the viewer.

import assert from "node:assert/strict";
import test from "node:test";

import { launch } from "./chromium.js";
import { startProxy } from "./proxy.js";
import { checkout, hexId } from "./spans.js";
import { Viewer } from "./viewer.js";
import { Zipkin } from "./zipkin.js";

/** Milliseconds: a Java server that has just started serves megabytes of script. */
const LENS_PATIENCE = 240_000;

/** What is waited for is what the page shows. */
const COMMITTED = /** @type {const} */ ({ waitUntil: "commit" });

const { missing } = Zipkin;
if (missing !== null && process.env["TRACED_REQUIRE_PEERS"] === "1") {
  throw new Error(missing);
}

test("Lens lists a trace of the viewer, shows it, and draws its services", { skip: missing ?? false }, async () => {
  const context = await (await launch()).newContext({ viewport: { width: 1280, height: 800 } });
  const [zipkin, viewer] = await Promise.all([Zipkin.start(), Viewer.start()]);
  const isApi = (/** @type {string} */ path) => /^(\/zipkin)?\/api\/|^\/zipkin\/config\.json/.test(path);
  const proxy = await startProxy((path) => (isApi(path) ? viewer.origin : zipkin.origin));
  try {
    const now = Date.now();
    await viewer.send(checkout(hexId(7), (now - 5_000) * 1_000));
    const page = await context.newPage();
    page.setDefaultTimeout(LENS_PATIENCE);
    await page.goto(`${proxy.origin}/zipkin/?serviceName=web&lookback=15m&endTs=${now}&limit=10`, COMMITTED);
    await page.getByText("post /checkout").first().waitFor();
    await page.goto(`${proxy.origin}/zipkin/traces/${hexId(7)}`, COMMITTED);
    await page.getByText("ledger::append").first().waitFor();
    const dependencies = page.waitForResponse(/\/api\/v2\/dependencies/);
    await page.goto(`${proxy.origin}/zipkin/dependency?startTime=${now - 600_000}&endTime=${now}`, COMMITTED);
    assert.equal((await dependencies).status(), 200);
    const asked = (/** @type {RegExp} */ path) => proxy.asked.some((line) => path.test(line));
    // The spans were never Zipkin's, so what was shown came from the viewer.
    assert.deepEqual(await (await fetch(`${zipkin.origin}/api/v2/services`)).json(), []);
    assert.ok(asked(/^200 \/zipkin\/api\/v2\/traces\?/), proxy.asked.join("\n"));
    assert.ok(asked(/^200 \/zipkin\/api\/v2\/trace\//), proxy.asked.join("\n"));
    assert.deepEqual(
      proxy.asked.filter((line) => isApi(line.slice(4)) && !line.startsWith("200 ") && !line.startsWith("304 ")),
      [],
    );
  } finally {
    await context.close();
    await proxy.stop();
    await viewer.stop();
    await zipkin.stop();
  }
});
