// Pictures for the documentation, of the demo: `scripts/browser-test --screenshots`.

import { mkdir } from "node:fs/promises";
import { chromium } from "playwright-core";

import { Viewer } from "./viewer.js";

const FOLDER = new URL("../../docs/images/", import.meta.url).pathname;
/** Traces of the demo that make a list. */
const ENOUGH = 12;

await mkdir(FOLDER, { recursive: true });
const viewer = await Viewer.start("--demo");
const browser = await chromium.launch({
  executablePath: process.env["CHROMIUM"] ?? "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-gpu"],
});
try {
  for (const colorScheme of /** @type {const} */ (["light", "dark"])) {
    const page = await browser.newPage({ viewport: { width: 1280, height: 800 }, colorScheme });
    page.setDefaultTimeout(120_000);
    /** @param {string} name */
    const shoot = (name) => page.screenshot({ path: `${FOLDER}${name}${colorScheme === "dark" ? "-dark" : ""}.png` });
    await page.goto(`${viewer.origin}/zipkin/`);
    await page.locator(".trace-row").nth(ENOUGH).waitFor();
    await shoot("list");
    if (colorScheme === "light") {
      await page.goto(`${viewer.origin}/zipkin/dependency`);
      await page.locator(".service-box").first().waitFor();
      await page.setViewportSize({ width: 1280, height: 480 });
      await shoot("dependencies");
      await page.setViewportSize({ width: 1280, height: 800 });
      await page.goto(`${viewer.origin}/zipkin/`);
    }
    // The richest of the newest traces.
    const rows = page.locator(".trace-row:not(.head)");
    await rows.first().waitFor();
    const richness = await rows.evaluateAll((all) =>
      all.map(
        (row) =>
          1_000 * row.querySelectorAll(".services .chip").length +
          parseInt(row.querySelector(".spans")?.textContent ?? ""),
      ),
    );
    await rows
      .nth(richness.indexOf(Math.max(...richness)))
      .locator("a")
      .click();
    await page.locator(".section").first().waitFor();
    for (const key of ["j", "j", "j", "Enter"]) {
      await page.keyboard.press(key);
    }
    await page.locator(".detail h2").waitFor();
    await shoot("waterfall");
    await page.close();
  }
} finally {
  await browser.close();
  await viewer.stop();
}
