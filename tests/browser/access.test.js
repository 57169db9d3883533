// Anyone can use it: by keyboard, by screen reader, in the dark, on a small screen and on a large one.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import test from "node:test";

import { visit, waitForTexts } from "./chromium.js";
import { checkout, hexId } from "./spans.js";

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const TRACE = hexId(7);
/** @type {[string, string, (page: import("playwright-core").Page) => Promise<unknown>][]} */
const PAGES = [
  ["list", "/zipkin/", (page) => page.locator(".trace-row:not(.head)").first().waitFor()],
  [
    "waterfall",
    `/zipkin/traces/${TRACE}`,
    async (page) => {
      await page.locator(".section").first().waitFor();
      await page.keyboard.press("End");
      await page.keyboard.press("ArrowUp");
      await page.keyboard.press("Enter");
      await page.locator(".detail .error-text").or(page.locator(".detail .chip.panicked")).first().waitFor();
    },
  ],
  ["flame", `/zipkin/traces/${TRACE}`, (page) => page.getByRole("button", { name: "Flame" }).click()],
  ["names", `/zipkin/traces/${TRACE}`, (page) => page.getByRole("button", { name: "Names" }).click()],
  ["events", `/zipkin/traces/${TRACE}`, (page) => page.getByRole("button", { name: "Events" }).click()],
  ["comparison", `/zipkin/traces/${TRACE}?compare=${hexId(8)}`, (page) => page.locator(".compared").nth(1).waitFor()],
  [
    "dependencies",
    "/zipkin/dependency",
    async (page) => {
      await page.locator(".service-box").first().focus();
      await page.keyboard.press("Enter");
      await page.locator(".about h2").waitFor();
    },
  ],
  ["help", "/zipkin/", (page) => page.getByRole("button", { name: "Keys" }).click()],
];

/** @param {import("./chromium.js").Visit["viewer"]} viewer */
async function fill(viewer) {
  const now = Date.now() * 1_000;
  await viewer.send([...checkout(TRACE, now - 5_000_000), ...checkout(hexId(8), now - 4_000_000)]);
}

for (const colorScheme of /** @type {const} */ (["light", "dark"])) {
  test(
    `axe finds nothing on any page, ${colorScheme}`,
    visit(
      async ({ page, viewer }) => {
        await fill(viewer);
        const session = await page.context().newCDPSession(page);
        /** @param {string} expression */
        const evaluate = async (expression) => {
          // By the protocol, because the page's policy allows no script but the viewer's.
          const { result, exceptionDetails } = await session.send("Runtime.evaluate", {
            expression,
            awaitPromise: true,
            returnByValue: true,
          });
          assert.equal(exceptionDetails, undefined);
          return result.value;
        };
        for (const [name, path, ready] of PAGES) {
          await page.goto(viewer.origin + path);
          await ready(page);
          await evaluate(`${AXE};0`);
          const found = await evaluate(
            "axe.run().then(({violations}) => violations.map(({id, nodes}) => id + ': ' + nodes.map(({html, any}) => html.slice(0, 160) + ' ' + (any[0]?.message ?? '')).join('; ')))",
          );
          assert.deepEqual(found, [], name);
        }
      },
      { colorScheme },
    ),
  );
}

test(
  "the switch goes from the system's colours to light to dark, and is remembered",
  visit(async ({ page, viewer }) => {
    await page.goto(`${viewer.origin}/zipkin/`);
    const ground = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
    const [light, dark] = ["rgb(255, 255, 255)", "rgb(22, 24, 29)"];
    assert.equal(await ground(), light);
    await page.emulateMedia({ colorScheme: "dark" });
    assert.equal(await ground(), dark);
    await page.locator("#theme").click();
    assert.equal(await ground(), light);
    await page.emulateMedia({ colorScheme: "light" });
    await page.locator("#theme").click();
    assert.equal(await ground(), dark);
    await page.reload();
    await page.locator("#theme").waitFor();
    assert.equal(await ground(), dark);
  }),
);

for (const [width, height] of [
  [360, 640],
  [3840, 2160],
]) {
  test(
    `nothing is wider than a screen of ${width} pixels`,
    visit(
      async ({ page, viewer }) => {
        await fill(viewer);
        for (const [name, path, ready] of PAGES) {
          await page.goto(viewer.origin + path);
          await ready(page);
          const widths = await page.evaluate(() => [
            document.documentElement.scrollWidth,
            document.querySelector("main")?.scrollWidth,
          ]);
          assert.deepEqual(
            widths.map((one) => Number(one) <= Number(width)),
            [true, true],
            `${name}: ${widths}`,
          );
        }
      },
      { viewport: { width: Number(width), height: Number(height) } },
    ),
  );
}

test(
  "the keyboard alone reaches everything of a trace, in the order in which it stands",
  visit(async ({ page, viewer }) => {
    await fill(viewer);
    await page.goto(`${viewer.origin}/zipkin/traces/${TRACE}`);
    await page.locator(".section").first().waitFor();
    await page.evaluate(() => document.querySelector("main")?.focus());
    const reached = [];
    for (let tabs = 0; tabs < 15; tabs++) {
      await page.keyboard.press("Tab");
      reached.push(
        await page.evaluate(() => {
          const element = document.activeElement;
          return element?.getAttribute("aria-label") ?? element?.textContent?.trim().slice(0, 20);
        }),
      );
    }
    assert.deepEqual(reached, [
      TRACE.slice(0, 20),
      "Download",
      "Waterfall",
      "Flame",
      "Names",
      "Events",
      "Start of what is shown",
      "End of what is shown",
      "Filter the spans",
      "✗ Errors",
      "Critical path",
      "Open all",
      "Close all",
      "Spans",
      "Width of the names",
    ]);
    await page.getByRole("treegrid").focus();
    await page.keyboard.press("Enter");
    await page.keyboard.press("Tab");
    await page.keyboard.press("Tab");
    assert.equal(await page.evaluate(() => document.activeElement?.getAttribute("aria-label")), "Close the detail");
    await page.keyboard.press("Enter");
    assert.equal(await page.evaluate(() => document.activeElement?.getAttribute("role")), "treegrid");
  }),
);

test(
  "the first stop is the way past the bar",
  visit(async ({ page, viewer }) => {
    await page.goto(`${viewer.origin}/zipkin/`);
    await page.getByText("No traces yet").waitFor();
    await page.evaluate(() => /** @type {HTMLElement} */ (document.activeElement).blur());
    await page.locator("a.skip").focus();
    await page.keyboard.press("Enter");
    assert.equal(await page.evaluate(() => document.activeElement?.id), "main");
    await waitForTexts(page, "nav a[aria-current]", ["Traces"]);
  }),
);
