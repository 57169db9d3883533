// A trace of 20,000 spans.

import assert from "node:assert/strict";
import test from "node:test";

import { visit } from "./chromium.js";
import { hexId, randomNumbers, span } from "./spans.js";

const COUNT = 20_000;
/** What a screen shows, and some beyond its edges. */
const ROWS_IN_PAGE = 80;

/** A wide and deep tree. */
function largeTrace() {
  const random = randomNumbers(3);
  const start = Date.now() * 1_000 - 60_000_000;
  return Array.from({ length: COUNT }, (_, at) => {
    const parent = at === 0 ? 0 : Math.max(1, Math.floor(at * (0.2 + 0.6 * random())));
    return span(at + 1, parent, 0, at === 0 ? 2_000_000 : 1 + Math.floor(random() * 40_000), {
      name: `step ${at % 40}`,
      timestamp: start + at * 95,
      localEndpoint: { serviceName: `service ${at % 5}` },
      ...(at % 997 === 0 && at > 0 ? { tags: { error: "no" } } : {}),
    });
  });
}

test(
  "20,000 spans open with only the rows in sight, and scroll, filter and fold",
  visit(async ({ page, viewer }) => {
    const spans = largeTrace();
    await viewer.send(spans.slice(0, COUNT / 2));
    await viewer.send(spans.slice(COUNT / 2));
    // The page itself is there before: what is measured is the trace.
    await page.goto(`${viewer.origin}/zipkin/`);
    await page.locator(".trace-link").first().waitFor();
    const times = await page.evaluate(async (path) => {
      const start = performance.now();
      const fetched = await (await fetch(`/zipkin/api/v2/trace/${path}`)).text();
      const answer = performance.now() - start;
      return { answer, bytes: fetched.length };
    }, hexId(1));
    // The processor's time of the page's thread: what it would take on a machine with nothing else to do.
    const session = await page.context().newCDPSession(page);
    await session.send("Performance.enable", { timeDomain: "threadTicks" });
    const busy = async () => {
      const { metrics } = await session.send("Performance.getMetrics");
      return 1_000 * (metrics.find(({ name }) => name === "TaskDuration")?.value ?? NaN);
    };
    const before = await busy();
    const opened = await page.evaluate(
      () =>
        new Promise((done) => {
          const start = performance.now();
          new MutationObserver((_, observer) => {
            if (document.querySelector(".span-row:not(.head)") !== null) {
              observer.disconnect();
              requestAnimationFrame(() => done(performance.now() - start));
            }
          }).observe(document.body, { subtree: true, childList: true });
          /** @type {HTMLElement} */ (document.querySelector(".trace-link")).click();
        }),
    );
    await page.getByText("truncated").waitFor();
    const openedBusy = (await busy()) - before;
    const rows = page.locator(".span-row:not(.head)");
    const grid = page.getByRole("treegrid");
    assert.equal(await grid.getAttribute("aria-rowcount"), String(COUNT + 1));
    assert.ok((await rows.count()) < ROWS_IN_PAGE);

    const scrollStart = await busy();
    const frames = /** @type {number[]} */ (
      await grid.evaluate(
        (element) =>
          new Promise((done) => {
            const frames = [];
            let before = performance.now();
            const step = () => {
              const now = performance.now();
              frames.push(now - before);
              before = now;
              element.scrollTop += 1_111;
              if (frames.length < 60) {
                requestAnimationFrame(step);
              } else {
                done(frames);
              }
            };
            requestAnimationFrame(step);
          }),
      )
    );
    const frameBusy = ((await busy()) - scrollStart) / frames.length;
    assert.ok((await rows.count()) < ROWS_IN_PAGE);

    await page.keyboard.press("End");
    await page.locator(`.span-row.selected[aria-rowindex="${COUNT + 1}"]`).waitFor();
    const filtered = await page.evaluate(() => {
      const input = /** @type {HTMLInputElement} */ (document.querySelector("#filter"));
      const start = performance.now();
      input.value = "step 17";
      input.dispatchEvent(new Event("input"));
      return performance.now() - start;
    });
    await page.locator(".filter-count", { hasText: "500 matches" }).waitFor();
    await page.keyboard.press("Escape");
    await page.keyboard.press("c");
    await page.waitForFunction(() => document.querySelector("[role=treegrid]")?.getAttribute("aria-rowcount") === "2");
    await page.keyboard.press("e");
    for (const key of ["2", "3", "4", "1"]) {
      await page.keyboard.press(key);
    }
    await rows.first().waitFor();

    frames.sort((left, right) => left - right);
    const millis = (/** @type {unknown} */ time) => `${Math.round(Number(time))} ms`;
    console.log(
      `20,000 spans (${Math.round(times.bytes / 1_024)} KiB): answer ${millis(times.answer)}, ` +
        `from click to rows ${millis(opened)} (${millis(openedBusy)} of the processor), filter ${millis(filtered)}, ` +
        `frame while scrolling by a page: median ${millis(frames[30])} (${millis(frameBusy)} of the processor), longest ${millis(frames.at(-1))}`,
    );
  }),
);
