// The rules of traced-viewer/ui/README.md.

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import test from "node:test";

const UI = new URL("../../../traced-viewer/ui/", import.meta.url);
const modules = readdirSync(UI).filter((name) => name.endsWith(".js"));
const read = (/** @type {string} */ name) => readFileSync(new URL(name, UI), "utf8");

test("an import names things of a file beside the module, so that the export can find it", () => {
  for (const name of modules) {
    const code = read(name).replaceAll(/^ *(?:\/?\*|\/\/).*$/gm, "");
    assert.doesNotMatch(code, /\bimport\(|\bimport "|import \*|export default/, name);
    for (const [statement, file] of code.matchAll(/^import [^;]*?"([^"]*)";$/gm)) {
      assert.match(statement, /^import \{[\w\s,]+\} from "\.\/[\w-]+\.js";$/, name);
      assert.ok(modules.includes(String(file).slice(2)), `${name}: ${file}`);
    }
    assert.equal(code.match(/^import /gm)?.length ?? 0, code.match(/^import [^;]*?"\.\/[^"]*";$/gm)?.length ?? 0, name);
  }
});

test("every file is compiled in", () => {
  const assets = readFileSync(new URL("../src/assets.rs", UI), "utf8");
  for (const name of [...modules, "style.css", "index.html"]) {
    assert.ok(assets.includes(`"${name}"`) || assets.includes(`/ui/${name}"`), `${name} is not in src/assets.rs`);
  }
});

test("nothing turns a text into HTML or code, and nothing is asked from elsewhere", () => {
  const forbidden =
    /innerHTML|outerHTML|insertAdjacentHTML|document\.write|srcdoc|eval\(|new Function|setAttribute\("style|\bstyle:|DOMParser/;
  for (const name of modules) {
    read(name)
      .split("\n")
      .forEach((line, at) => assert.doesNotMatch(line, forbidden, `${name}:${at + 1}`));
  }
  for (const name of [...modules, "style.css", "index.html"]) {
    const addresses = read(name).match(/(?:https?:)?\/\/[a-z][\w.-]*\.[a-z]+/g) ?? [];
    const outside = addresses.filter((address) => !/zipkin\.io|www\.w3\.org/.test(address));
    assert.deepEqual(outside, [], name);
  }
});

test("the page itself has no inline style or script", () => {
  const page = read("index.html");
  assert.doesNotMatch(page, / style=|<style|<script(?![^>]*src=)| on\w+=/);
});
