import assert from "node:assert/strict";
import test from "node:test";

import { visit, waitForTexts } from "./chromium.js";
import { checkout, hexId, span } from "./spans.js";

const now = () => Date.now() * 1_000;
/** A trace of one span, `seconds` ago. @param {number} id @param {string} name @param {number} seconds @param {object} [more] */
const single = (id, name, seconds, more = {}) => [
  { ...span(id, 0, 0, 1_000, { name, timestamp: now() - seconds * 1_000_000, ...more }), traceId: hexId(id) },
];
const NAMES = ".trace-row:not(.head) .name";

test(
  "what is there is listed, newest first",
  visit(async ({ page, viewer }) => {
    await viewer.send([...single(1, "first", 30), ...single(3, "third", 10), ...single(2, "second", 20)]);
    await page.goto(`${viewer.origin}/zipkin/`);
    await waitForTexts(page, NAMES, ["third", "second", "first"]);
  }),
);

test(
  "what comes is listed at once, and read out, without taking the focus",
  visit(async ({ page, viewer }) => {
    await viewer.send(single(1, "first", 30));
    await page.goto(`${viewer.origin}/zipkin/`);
    await page.locator(".live-state.on").waitFor();
    await waitForTexts(page, NAMES, ["first"]);
    await page.keyboard.press("j");
    assert.equal(await page.evaluate(() => document.activeElement?.textContent), "first shop");
    await viewer.send(single(2, "second", 10));
    await waitForTexts(page, NAMES, ["second", "first"]);
    await page.locator("[role=log]", { hasText: "1 new trace" }).waitFor({ state: "attached" });
    assert.equal(await page.evaluate(() => document.activeElement?.textContent), "first shop");
    // The rest of a trace that is in the list changes its row.
    await viewer.send([{ ...span(9, 1, 0, 10, { tags: { error: "no" }, timestamp: now() }), traceId: hexId(1) }]);
    await page.locator(".trace-row.error", { hasText: "first" }).waitFor();
  }),
);

test(
  "a pause keeps the list as it is, until it goes on",
  visit(async ({ page, viewer }) => {
    await viewer.send(single(1, "first", 30));
    await page.goto(`${viewer.origin}/zipkin/`);
    await page.locator(".live-state.on").waitFor();
    await page.getByRole("button", { name: "Pause" }).click();
    const seen = page.evaluate(
      () =>
        new Promise((told) => {
          const source = new EventSource("/zipkin/api/private/live");
          source.addEventListener("traces", () => {
            source.close();
            told(true);
          });
          source.addEventListener("open", () => (document.documentElement.dataset["listening"] = ""));
        }),
    );
    await page.locator("html[data-listening]").waitFor();
    await viewer.send(single(2, "second", 10));
    await seen;
    await waitForTexts(page, NAMES, ["first"]);
    await page.getByRole("button", { name: "Go on" }).click();
    await waitForTexts(page, NAMES, ["second", "first"]);
  }),
);

test(
  "the search finds by service, name, tag, and duration, and the address keeps it",
  visit(async ({ page, viewer }) => {
    await viewer.send([
      ...single(1, "short", 10, { duration: 900, tags: { user: "ann" } }),
      ...single(2, "long", 20, { duration: 2_500_000 }),
      ...single(3, "other", 30, { localEndpoint: { serviceName: "stock" } }),
    ]);
    await page.goto(`${viewer.origin}/zipkin/`);
    await waitForTexts(page, NAMES, ["short", "long", "other"]);
    await page.selectOption("#serviceName", "stock");
    await waitForTexts(page, NAMES, ["other"]);
    assert.match(page.url(), /\?serviceName=stock$/);
    await page.getByRole("button", { name: "Reset" }).click();
    await waitForTexts(page, NAMES, ["short", "long", "other"]);
    await page.fill("#minDuration", "2s");
    await page.keyboard.press("Enter");
    await waitForTexts(page, NAMES, ["long"]);
    await page.reload();
    await waitForTexts(page, NAMES, ["long"]);
    assert.equal(await page.inputValue("#minDuration"), "2 s");
    await page.goBack();
    await waitForTexts(page, NAMES, ["short", "long", "other"]);
    await page.fill("#annotationQuery", "user=ann");
    await page.keyboard.press("Enter");
    await waitForTexts(page, NAMES, ["short"]);
    await page.getByRole("button", { name: "Reset" }).click();
    await page.fill("#spanName", "other");
    await page.keyboard.press("Enter");
    await waitForTexts(page, NAMES, ["other"]);
    await page.fill("#maxDuration", "soon");
    await page.keyboard.press("Enter");
    await page.getByRole("alert").filter({ hasText: "“soon” is not a duration" }).waitFor();
  }),
);

test(
  "a list that is filtered takes what matches of what comes",
  visit(async ({ page, viewer }) => {
    await viewer.send(single(1, "first", 30));
    await page.goto(`${viewer.origin}/zipkin/?spanName=second`);
    await page.locator(".live-state.on").waitFor();
    await page.getByText("No trace matches.").waitFor();
    await viewer.send([...single(2, "second", 10), ...single(3, "third", 5)]);
    await waitForTexts(page, NAMES, ["second"]);
  }),
);

test(
  "j, k and Enter open a trace, and the way back leads to the list",
  visit(async ({ page, viewer }) => {
    await viewer.send([...single(1, "first", 30), ...single(2, "second", 20)]);
    await page.goto(`${viewer.origin}/zipkin/`);
    await waitForTexts(page, NAMES, ["second", "first"]);
    for (const key of ["j", "j", "k", "j", "Enter"]) {
      await page.keyboard.press(key);
    }
    await page.locator("h1", { hasText: "first" }).waitFor();
    assert.equal(new URL(page.url()).pathname, `/zipkin/traces/${hexId(1)}`);
    await page.goBack();
    await waitForTexts(page, NAMES, ["second", "first"]);
  }),
);

test(
  "an empty list says what to do, and clearing asks first",
  visit(async ({ page, viewer }) => {
    await page.goto(`${viewer.origin}/zipkin/`);
    await page.getByText("No traces yet").waitFor();
    await page.getByText(`${viewer.origin}/api/v2/spans`).waitFor();
    await page.locator(".live-state.on").waitFor();
    await viewer.send(single(1, "first", 30));
    await waitForTexts(page, NAMES, ["first"]);
    page.once("dialog", (dialog) => dialog.dismiss());
    await page.getByRole("button", { name: "Clear" }).click();
    await waitForTexts(page, NAMES, ["first"]);
    page.once("dialog", (dialog) => dialog.accept());
    await page.getByRole("button", { name: "Clear" }).click();
    await page.getByText("No traces yet").waitFor();
  }),
);

test(
  "the names of all listed traces have their counts and percentiles",
  visit(async ({ page, viewer }) => {
    await viewer.send([...checkout(hexId(1), now() - 5_000_000), ...checkout(hexId(2), now() - 4_000_000)]);
    await page.goto(`${viewer.origin}/zipkin/`);
    await page.getByRole("button", { name: "Names" }).click();
    const row = page.getByRole("row", { name: /db::query checkout/ });
    await row.waitFor();
    assert.deepEqual((await row.getByRole("cell").allTextContents()).slice(0, 4), ["4", "–", "11.5 ms", "24.5 ms"]);
    await page.getByRole("button", { name: "Count" }).click();
    assert.equal(await page.getByRole("columnheader", { name: "Count" }).getAttribute("aria-sort"), "descending");
    await page.getByRole("button", { name: "cart::load" }).click();
    await page.waitForURL(/serviceName=checkout&spanName=cart/);
  }),
);

test(
  "two marked traces are compared path by path",
  visit(async ({ page, viewer }) => {
    const slower = checkout(hexId(2), now() - 4_000_000).map((one) =>
      one.name === "cart::load" ? { ...one, duration: 43_000 } : one,
    );
    await viewer.send([...checkout(hexId(1), now() - 5_000_000), ...slower, ...single(3, "third", 1)]);
    await page.goto(`${viewer.origin}/zipkin/`);
    await page.locator(".trace-row input").nth(2).check();
    await page.locator(".trace-row input").nth(1).check();
    await page.getByRole("link", { name: "Compare 2/2" }).click();
    const row = page.locator(".compared", { hasText: "cart::load" });
    await row.waitFor();
    assert.deepEqual(await row.getByRole("cell").allTextContents(), ["42 ms", "43 ms", "+1 ms slower in B"]);
  }),
);

test(
  "the graph shows who calls whom, and a service's callers on demand",
  visit(async ({ page, viewer }) => {
    await viewer.send(checkout(hexId(1), now() - 5_000_000));
    await page.goto(`${viewer.origin}/zipkin/dependency`);
    const box = page.getByRole("button", { name: /^checkout: calls/ });
    await box.waitFor();
    assert.match(String(await box.getAttribute("aria-label")), /called by web$/);
    await box.focus();
    await page.keyboard.press("Enter");
    await page.getByRole("heading", { name: "checkout" }).waitFor();
    assert.equal(await page.locator(".about tbody tr").count(), 4);
  }),
);
