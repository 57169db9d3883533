import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "node:test";

import { launch, visit, waitForTexts, watch } from "./chromium.js";
import { checkout, hexId, span, START } from "./spans.js";
import { Viewer } from "./viewer.js";

/** @param {import("playwright-core").Page} page @param {string} name @param {string} text */
async function drop(page, name, text) {
  const data = await page.evaluateHandle(
    ({ name, text }) => {
      const transfer = new DataTransfer();
      transfer.items.add(new File([text], name, { type: "application/json" }));
      return transfer;
    },
    { name, text },
  );
  await page.dispatchEvent("body", "dragover", { dataTransfer: data });
  await page.locator("html.dropping").waitFor();
  await page.dispatchEvent("body", "drop", { dataTransfer: data });
}

test(
  "a file that is dropped is shown, and stays in the browser",
  visit(async ({ page, viewer }) => {
    await page.goto(`${viewer.origin}/zipkin/`);
    await page.getByText("No traces yet").waitFor();
    await drop(page, "spans.json", JSON.stringify(checkout(hexId(7), START)));
    await page.getByRole("heading", { name: "post /checkout" }).waitFor();
    await page.locator(".span-row .name", { hasText: "audit::send" }).waitFor();
    assert.deepEqual(await (await fetch(`${viewer.origin}/api/v2/services`)).json(), []);
    const download = page.waitForEvent("download");
    await page.getByRole("button", { name: "Download JSON" }).click();
    assert.equal((await download).suggestedFilename(), `trace-${hexId(7)}.json`);
    await page.goBack();
    await page.getByText("No traces yet").waitFor();
  }),
);

test(
  "the button opens a file; of several traces one is chosen",
  visit(async ({ page, viewer }) => {
    await page.goto(`${viewer.origin}/zipkin/`);
    const other = { ...span(1, 0, 0, 7, { name: "other" }), traceId: hexId(2) };
    await page.locator("#upload").setInputFiles({
      name: "two.json",
      mimeType: "application/json",
      buffer: Buffer.from(JSON.stringify([checkout(hexId(7), START), [other]])),
    });
    await page.getByRole("heading", { name: "2 traces of two.json" }).waitFor();
    await page.getByRole("link", { name: "other" }).click();
    await waitForTexts(page, ".span-row:not(.head) .name", ["other"]);
    await page.goBack();
    await page.getByRole("link", { name: "post /checkout" }).waitFor();
  }),
);

test(
  "a file that is no list of spans is refused with the reason",
  visit(async ({ page, viewer }) => {
    await page.goto(`${viewer.origin}/zipkin/`);
    await drop(page, "notes.txt", "hello");
    await page.getByRole("status").filter({ hasText: "notes.txt: This is not JSON" }).waitFor();
    await drop(page, "bad.json", '[{"traceId":"1","id":"zz"}]');
    await page
      .getByRole("status")
      .filter({ hasText: "bad.json: [0].id is not an id of 1 to 16 hexadecimal digits" })
      .waitFor();
  }),
);

test(
  "each format is offered, and the server gives it",
  visit(async ({ page, viewer }) => {
    await viewer.send(checkout(hexId(7), START));
    await page.goto(`${viewer.origin}/zipkin/traces/${hexId(7)}`);
    await page.getByText("Download").click();
    for (const [title, start] of [
      ["Zipkin JSON", '[{"traceId"'],
      ["Chrome and Perfetto", "{"],
      ["Folded stacks", ""],
      ["One HTML file", "<!doctype html>"],
    ]) {
      const download = page.waitForEvent("download");
      await page.getByRole("link", { name: title }).click();
      const stream = await (await download).createReadStream();
      let text = "";
      for await (const part of stream) {
        text += part;
      }
      assert.ok(text.startsWith(String(start)) && text.length > 100, `${title}: ${text.slice(0, 80)}`);
    }
  }),
);

test("the HTML file works from a disk, without a server and without a request", async () => {
  const context = await (await launch()).newContext();
  const folder = await mkdtemp(join(tmpdir(), "traced-"));
  const viewer = await Viewer.start();
  try {
    await viewer.send([
      ...checkout(hexId(7), START),
      { ...span(77, 1, 0, 10, { name: "</script><!--<script>", timestamp: START }), traceId: hexId(7) },
    ]);
    const answer = await fetch(`${viewer.origin}/zipkin/api/private/export/${hexId(7)}?format=html`);
    const file = join(folder, "trace.html");
    await writeFile(file, await answer.text());
    await viewer.stop();
    const page = await context.newPage();
    page.setDefaultTimeout(30_000);
    const faults = watch(page, "file://");
    /** @type {string[]} */
    const asked = [];
    page.on("request", (request) => asked.push(request.url()));
    await page.goto(`file://${file}`);
    await page.locator(".span-row .name", { hasText: "</script><!--<script>" }).waitFor();
    await page.keyboard.press("j");
    await page.keyboard.press("Enter");
    await page.getByRole("complementary", { name: "Detail of the span" }).waitFor();
    for (const key of ["2", "3", "4", "1"]) {
      await page.keyboard.press(key);
    }
    assert.equal(await page.getByRole("navigation").count(), 0);
    assert.deepEqual(
      asked.filter((url) => !url.startsWith("data:")),
      [`file://${file}`],
    );
    assert.deepEqual(faults, []);
  } finally {
    await context.close();
    await viewer.stop();
    await rm(folder, { recursive: true });
  }
});
