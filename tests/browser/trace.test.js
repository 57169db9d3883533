import assert from "node:assert/strict";
import test from "node:test";

import { visit, waitForTexts } from "./chromium.js";
import { checkout, hexId, span } from "./spans.js";

const TRACE = hexId(7);
const NAMES = ".span-row:not(.head) .name";
const ALL = [
  "post /checkout",
  "session::load",
  "checkout/pay",
  "checkout/pay",
  "cart::load",
  "db::query",
  "db::query",
  "stock/reserve",
  "stock/reserve",
  "lock::wait",
  "payments/charge",
  "payments/charge",
  "ledger::append",
  "audit::send",
];

/** @param {import("./chromium.js").Visit} visit */
async function openCheckout({ page, viewer }) {
  await viewer.send(checkout(TRACE, Date.now() * 1_000 - 5_000_000));
  await page.goto(`${viewer.origin}/zipkin/traces/${TRACE}`);
  await waitForTexts(page, NAMES, ALL);
}

/** @param {import("playwright-core").Page} page */
const selected = (page) => page.locator(".span-row.selected .name").textContent();

test(
  "the waterfall has a row for each half of a shared span, and says how each span ended",
  visit(async (at) => {
    await openCheckout(at);
    const { page } = at;
    assert.equal(
      await page.locator(".span-row", { hasText: "ledger::append" }).locator(".sign").textContent(),
      "‼ panicked ",
    );
    assert.equal(
      await page.locator(".span-row", { hasText: "lock::wait" }).locator(".sign").textContent(),
      "⊘ cancelled ",
    );
    assert.equal(
      await page.locator(".span-row", { hasText: "audit::send" }).locator(".sign").textContent(),
      "… unfinished ",
    );
    assert.equal(await page.locator(".span-row .sign", { hasText: "✗" }).count(), 2);
    assert.equal(await page.getByRole("row", { name: /lock::wait/ }).getAttribute("aria-level"), "6");
    assert.match(String(await page.locator(".critical-line").textContent()), /critical path.*db::query 36 ms 20 %/);
    assert.ok((await page.locator(".section").count()) > 10);
  }),
);

test(
  "keys move, open, close, and show the detail",
  visit(async (at) => {
    await openCheckout(at);
    const { page } = at;
    for (const key of ["j", "j", "j"]) {
      await page.keyboard.press(key);
    }
    assert.equal(await selected(page), "checkout/pay");
    const grid = page.getByRole("treegrid");
    const active = await grid.getAttribute("aria-activedescendant");
    assert.equal(await page.locator(`#${active}`).getAttribute("aria-selected"), "true");
    await page.keyboard.press("ArrowLeft");
    await waitForTexts(page, NAMES, ALL.slice(0, 4));
    assert.equal(await page.locator(`#${active}`).getAttribute("aria-expanded"), "false");
    await page.keyboard.press("ArrowRight");
    await waitForTexts(page, NAMES, ALL);
    await page.keyboard.press("ArrowRight");
    await page.keyboard.press("End");
    assert.equal(await selected(page), "audit::send");
    await page.keyboard.press("ArrowLeft");
    await page.keyboard.press("Enter");
    const detail = page.getByRole("complementary", { name: "Detail of the span" });
    await detail.getByText("card declined").first().waitFor();
    await detail.getByText("ahead of its caller's").or(detail.getByText("payments 10.0.0.4:8080")).first().waitFor();
    await page.keyboard.press("Escape");
    await detail.waitFor({ state: "hidden" });
    await page.keyboard.press("c");
    await waitForTexts(page, NAMES, ALL.slice(0, 1));
    await page.keyboard.press("e");
    await waitForTexts(page, NAMES, ALL);
    await page.keyboard.press("Home");
    await page.keyboard.press("n");
    assert.equal(await selected(page), "payments/charge");
    await page.keyboard.press("?");
    await page.getByRole("dialog").getByText("the whole trace").waitFor();
    await page.keyboard.press("Escape");
    await page.getByRole("dialog").waitFor({ state: "detached" });
  }),
);

test(
  "single letters can be switched off",
  visit(async (at) => {
    await openCheckout(at);
    const { page } = at;
    await page.getByRole("button", { name: "Keys" }).click();
    await page.getByLabel("Single letters are keys").uncheck();
    await page.getByRole("button", { name: "Close", exact: true }).click();
    await page.getByRole("treegrid").focus();
    await page.keyboard.press("c");
    await page.keyboard.press("ArrowDown");
    assert.equal(await selected(page), "session::load");
    await waitForTexts(page, NAMES, ALL);
  }),
);

test(
  "the detail has tags, events with their times, and the clock's correction",
  visit(async (at) => {
    await openCheckout(at);
    const { page } = at;
    await page.locator(".span-row", { hasText: "session::load" }).click();
    const detail = page.getByRole("complementary", { name: "Detail of the span" });
    await detail.getByRole("row", { name: "+1.8 ms cache miss" }).waitFor();
    await page.locator(".span-row", { hasText: "stock/reserve" }).nth(1).click();
    await detail.getByText(/463 ms behind its caller's: moved/).waitFor();
    await page.locator(".span-row", { hasText: "post /checkout" }).click();
    await detail.getByRole("row", { name: "http.method POST" }).waitFor();
  }),
);

test(
  "a drag over the overview zooms, and the button goes back",
  visit(async (at) => {
    await openCheckout(at);
    const { page } = at;
    const box = await page.locator(".picture").boundingBox();
    assert.ok(box);
    const ticks = () => page.locator(".tick").allTextContents();
    const whole = await ticks();
    await page.mouse.move(box.x + box.width * 0.3, box.y + 20);
    await page.mouse.down();
    await page.mouse.move(box.x + box.width * 0.5, box.y + 20, { steps: 4 });
    await page.mouse.up();
    const reset = page.getByRole("button", { name: "Whole trace" });
    await reset.waitFor();
    assert.notDeepEqual(await ticks(), whole);
    assert.equal(await page.locator(".beyond.left").count(), 2);
    assert.ok((await page.locator(".beyond.right").count()) > 1);
    await reset.click();
    assert.deepEqual(await ticks(), whole);
    const end = page.getByRole("slider", { name: "End of what is shown" });
    await end.focus();
    await page.keyboard.press("ArrowLeft");
    assert.equal(await end.getAttribute("aria-valuenow"), String(182_000 * 0.98));
    await page.getByRole("treegrid").focus();
    await page.keyboard.press("0");
    assert.deepEqual(await ticks(), whole);
    await page.keyboard.press("End");
    await page.keyboard.press("ArrowUp");
    await page.keyboard.press("z");
    await reset.waitFor();
    await page.keyboard.press("Escape");
    await reset.waitFor({ state: "hidden" });
  }),
);

test(
  "the filter shows matches below what leads to them, and Esc drops it",
  visit(async (at) => {
    await openCheckout(at);
    const { page } = at;
    await page.keyboard.press("/");
    await page.keyboard.type("cart");
    await waitForTexts(page, NAMES, ["post /checkout", "checkout/pay", "checkout/pay", "cart::load"]);
    await waitForTexts(page, ".filter-count", ["1 match"]);
    await page.keyboard.press("Escape");
    await page.keyboard.press("Escape");
    await waitForTexts(page, NAMES, ALL);
    await page.getByRole("button", { name: "✗ Errors" }).click();
    await waitForTexts(page, ".filter-count", ["3 matches"]);
  }),
);

test(
  "a subtree is copied as text",
  visit(async (at) => {
    await at.page.context().grantPermissions(["clipboard-read", "clipboard-write"]);
    await openCheckout(at);
    const { page } = at;
    await page.locator(".span-row", { hasText: "cart::load" }).click();
    await page.getByRole("button", { name: "Copy subtree as text" }).click();
    await page.getByText("Copied 3 lines").waitFor();
    const text = await page.evaluate(() => navigator.clipboard.readText());
    assert.match(
      text,
      /^trace 0000000000000007 · 42 ms · 3 spans\ncart::load +checkout +42 ms  items=3\n├─ db::query +checkout  C +11\.5 ms\n└─ db::query/,
    );
  }),
);

test(
  "flame, names and events are pictures of the same trace",
  visit(async (at) => {
    await openCheckout(at);
    const { page } = at;
    await page.getByRole("button", { name: "Flame" }).click();
    const frame = page.getByRole("treeitem", { name: /^cart::load · checkout, 42 ms/ });
    await frame.click();
    assert.equal(await frame.getAttribute("aria-selected"), "true");
    await page.keyboard.press("ArrowDown");
    assert.match(String(await page.evaluate(() => document.activeElement?.getAttribute("aria-label"))), /^db::query/);
    await page.keyboard.press("3");
    await page.getByRole("row", { name: /db::query checkout 2 – 11.5 ms 24.5 ms/ }).waitFor();
    await page.keyboard.press("4");
    const events = page.getByRole("table", { name: "Events in order of time" });
    assert.deepEqual(await events.locator(".event:not(.head) .text").allTextContents(), [
      "cache miss",
      "✗ panicked",
      "✗ card declined",
      "✗ card declined",
    ]);
    await events.getByRole("button", { name: "ledger::append" }).click();
    assert.equal(await selected(page), "ledger::append");
  }),
);

test(
  "hostile texts stay texts",
  visit(async ({ page, viewer }) => {
    const evil = '<img src=x onerror="document.title=1">';
    const script = "</script><script>document.title=2</script>";
    await viewer.send([
      span(1, 0, 0, 100, {
        name: evil,
        timestamp: Date.now() * 1_000,
        tags: { [evil]: script, error: evil },
        localEndpoint: { serviceName: script },
        annotations: [{ timestamp: Date.now() * 1_000, value: evil }],
      }),
    ]);
    await page.goto(`${viewer.origin}/zipkin/`);
    await page.locator(".trace-row .name", { hasText: evil }).waitFor();
    await page.locator(".trace-link").click();
    await page.locator(".span-row .name", { hasText: evil }).waitFor();
    await page.keyboard.press("j");
    await page.keyboard.press("Enter");
    await page.locator(".detail .error-text", { hasText: evil }).waitFor();
    for (const key of ["2", "3", "4", "1"]) {
      await page.keyboard.press(key);
    }
    assert.equal(await page.locator("img").count(), 0);
    assert.equal(await page.title(), `${evil} · traced`);
  }),
);

test(
  "spans that come later are offered",
  visit(async (at) => {
    await openCheckout(at);
    const { page, viewer } = at;
    await viewer.send([
      { ...span(99, 1, 0, 10, { name: "late", timestamp: Date.now() * 1_000 - 4_900_000 }), traceId: TRACE },
    ]);
    await page.getByRole("button", { name: "Show 1 new span" }).click();
    await page.locator(".span-row .name", { hasText: "late" }).waitFor();
  }),
);

test(
  "a trace that is not there says so",
  visit(
    async ({ page, viewer }) => {
      await page.goto(`${viewer.origin}/zipkin/traces/${hexId(5)}`);
      await page
        .getByRole("alert")
        .filter({ hasText: hexId(5) })
        .waitFor();
      await page.getByRole("link", { name: "All traces" }).click();
      await page.getByText("No traces yet").waitFor();
    },
    { expected: /404/ },
  ),
);
