// Debian's Chromium, and a page in it that must not complain.

import assert from "node:assert/strict";
import { after } from "node:test";
import { chromium } from "playwright-core";

import { Viewer } from "./viewer.js";

const PROGRAM = process.env["CHROMIUM"] ?? "/usr/bin/chromium";
/** Milliseconds after which what is waited for will not come. A busy machine is slow. */
const PATIENCE = 30_000;
/** Beside what Playwright sets by itself: nothing here asks the network for anything of its own. */
const FLAGS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

/** @type {Promise<import("playwright-core").Browser> | null} */
let browser = null;
after(async () => (await browser)?.close());

/** The browser of this test file. */
export function launch() {
  if (browser === null) {
    browser = chromium.launch({ executablePath: PROGRAM, args: FLAGS, env: { ...process.env, LC_ALL: "C.UTF-8" } });
  }
  return browser;
}

/**
 * @typedef {Object} Visit
 * @property {import("playwright-core").Page} page
 * @property {Viewer} viewer
 */

/**
 * A test body with a viewer and a page of its own. It fails on anything in the console, on a violation of the page's policy,
 * on a script's error, and on a request to anywhere but the viewer.
 * @param {(visit: Visit) => Promise<void>} run
 * @param {import("playwright-core").BrowserContextOptions & {expected?: RegExp}} [options] `expected`: a line of the console that
 *   the test is about
 */
export function visit(run, { expected, ...options } = {}) {
  return async () => {
    const context = await (await launch()).newContext({ viewport: { width: 1280, height: 800 }, ...options });
    const viewer = await Viewer.start();
    try {
      const page = await context.newPage();
      page.setDefaultTimeout(PATIENCE);
      const faults = watch(page, viewer.origin);
      await run({ page, viewer });
      assert.deepEqual(
        faults.filter((fault) => !expected?.test(fault)),
        [],
      );
    } finally {
      await context.close();
      await viewer.stop();
    }
  };
}

/**
 * @param {import("playwright-core").Page} page
 * @param {string} origin the only place that may be asked
 * @returns {string[]} what was wrong until now
 */
export function watch(page, origin) {
  /** @type {string[]} */
  const faults = [];
  page.on("console", (message) => {
    if (message.type() === "error" || message.type() === "warning") {
      faults.push(`console: ${message.text()}`);
    }
  });
  page.on("pageerror", (error) => faults.push(`error: ${error.stack}`));
  page.on("request", (request) => {
    const url = request.url();
    if (!url.startsWith(`${origin}/`) && !/^(data|blob|file):/.test(url)) {
      faults.push(`request: ${url}`);
    }
  });
  return faults;
}

/**
 * Waits until the texts of what a selector finds are these.
 * @param {import("playwright-core").Page} page
 * @param {string} selector
 * @param {readonly string[]} texts
 */
export async function waitForTexts(page, selector, texts) {
  const read = () =>
    page.locator(selector).evaluateAll((found) => found.map((element) => element.textContent?.trim() ?? ""));
  const deadline = Date.now() + PATIENCE;
  let seen = await read();
  while (JSON.stringify(seen) !== JSON.stringify(texts) && Date.now() < deadline) {
    await page.evaluate(() => new Promise((painted) => requestAnimationFrame(() => painted(null))));
    seen = await read();
  }
  assert.deepEqual(seen, texts);
}
