// Traces from a file: chosen, or dropped anywhere on the page. They stay in the browser.

import { decodeFile } from "./decode.js";
import { html } from "./element.js";

/** @import {Span} from "./trace.js" */

/**
 * Reads Zipkin's JSON: a list of spans, or a list of traces.
 * @param {string} text
 * @returns {Span[][]} one list for each trace, in the order of the file
 * @throws {Error} that says where the text is not what it should be
 */
export function readTraces(text) {
  /** @type {Map<string, Span[]>} */
  const traces = new Map();
  for (const span of decodeFile(text)) {
    const trace = traces.get(span.traceId);
    if (trace === undefined) {
      traces.set(span.traceId, [span]);
    } else {
      trace.push(span);
    }
  }
  if (traces.size === 0) {
    throw new Error("This list holds no spans");
  }
  return [...traces.values()];
}

/**
 * A button that opens a file, and the whole page as a place to drop one on.
 * @param {(text: string, name: string) => void} open
 */
export function uploadButton(open) {
  const input = html("input", {
    type: "file",
    accept: "application/json,.json",
    id: "upload",
    class: "spoken",
    tabindex: "-1",
    "aria-label": "File of spans",
    change: async () => {
      const file = input.files?.[0];
      input.value = "";
      if (file !== undefined) {
        open(await file.text(), file.name);
      }
    },
  });
  const button = html(
    "button",
    { type: "button", title: "Open spans from a file, or drop it anywhere", click: () => input.click() },
    "Open file",
  );
  const root = document.documentElement;
  const isFile = (/** @type {DragEvent} */ event) => event.dataTransfer?.types.includes("Files") === true;
  addEventListener("dragover", (event) => {
    if (isFile(event)) {
      event.preventDefault();
      root.classList.add("dropping");
    }
  });
  addEventListener("dragleave", (event) => {
    if (event.relatedTarget === null) {
      root.classList.remove("dropping");
    }
  });
  addEventListener("drop", async (event) => {
    root.classList.remove("dropping");
    const file = event.dataTransfer?.files[0];
    if (file !== undefined) {
      event.preventDefault();
      open(await file.text(), file.name);
    }
  });
  return html("span", { class: "upload" }, button, input);
}
