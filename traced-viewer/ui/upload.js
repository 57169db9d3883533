// Traces from a file: chosen, or dropped anywhere on the page. They stay in the browser.

import { html } from "./element.js";

/** @import {Annotation, Endpoint, Span} from "./trace.js" */

/**
 * Reads Zipkin's JSON: a list of spans, or a list of traces.
 * @param {string} text
 * @returns {Span[][]} one list for each trace, in the order of the file
 * @throws {Error} that says where the text is not what it should be
 */
export function readTraces(text) {
  let value;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new Error(`This is not JSON: ${error instanceof Error ? error.message : error}`);
  }
  if (!Array.isArray(value)) {
    throw new Error("This is JSON, but not a list of spans as Zipkin has it");
  }
  /** @type {Map<string, Span[]>} */
  const traces = new Map();
  value.forEach((item, at) => {
    const spans = Array.isArray(item)
      ? item.map((span, below) => readSpan(span, `[${at}][${below}]`))
      : [readSpan(item, `[${at}]`)];
    for (const span of spans) {
      const trace = traces.get(span.traceId);
      if (trace === undefined) {
        traces.set(span.traceId, [span]);
      } else {
        trace.push(span);
      }
    }
  });
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

/**
 * @param {any} value
 * @param {string} where
 * @returns {Span}
 */
function readSpan(value, where) {
  if (typeof value !== "object" || value === null) {
    throw new Error(`${where} is not a span`);
  }
  if ("binaryAnnotations" in value) {
    throw new Error(`${where} is a span of Zipkin's format 1: send it to /api/v1/spans instead`);
  }
  /** @type {Span} */
  const span = { traceId: readId(value.traceId, `${where}.traceId`, 32), id: readId(value.id, `${where}.id`, 16) };
  if (value.parentId !== undefined && value.parentId !== null) {
    span.parentId = readId(value.parentId, `${where}.parentId`, 16);
  }
  for (const field of /** @type {const} */ (["name", "kind"])) {
    if (typeof value[field] === "string") {
      span[field] = value[field];
    }
  }
  for (const field of /** @type {const} */ (["timestamp", "duration"])) {
    const number = value[field];
    if (number !== undefined && number !== null && !(Number.isFinite(number) && number >= 0)) {
      throw new Error(`${where}.${field} is not a number of microseconds`);
    }
    // Zipkin takes 0 for "absent".
    if (number > 0) {
      span[field] = number;
    }
  }
  for (const field of /** @type {const} */ (["localEndpoint", "remoteEndpoint"])) {
    if (typeof value[field] === "object" && value[field] !== null) {
      span[field] = readEndpoint(value[field]);
    }
  }
  if (Array.isArray(value.annotations)) {
    span.annotations = value.annotations.map((/** @type {any} */ one, /** @type {number} */ at) =>
      readAnnotation(one, `${where}.annotations[${at}]`),
    );
  }
  if (typeof value.tags === "object" && value.tags !== null) {
    span.tags = Object.fromEntries(Object.entries(value.tags).map(([key, tag]) => [key, String(tag)]));
  }
  if (value.shared === true) {
    span.shared = true;
  }
  if (value.debug === true) {
    span.debug = true;
  }
  return span;
}

/**
 * @param {any} value
 * @param {string} where
 * @param {number} longest
 */
function readId(value, where, longest) {
  if (typeof value !== "string" || !/^[0-9a-f]+$/i.test(value) || value.length > longest) {
    throw new Error(`${where} is not an id of 1 to ${longest} hexadecimal digits`);
  }
  return value.toLowerCase().padStart(value.length > 16 ? 32 : 16, "0");
}

/**
 * @param {any} value
 * @returns {Endpoint}
 */
function readEndpoint(value) {
  /** @type {Endpoint} */
  const endpoint = {};
  for (const field of /** @type {const} */ (["serviceName", "ipv4", "ipv6"])) {
    if (typeof value[field] === "string") {
      endpoint[field] = value[field];
    }
  }
  if (typeof value.port === "number") {
    endpoint.port = value.port;
  }
  return endpoint;
}

/**
 * @param {any} value
 * @param {string} where
 * @returns {Annotation}
 */
function readAnnotation(value, where) {
  if (typeof value !== "object" || value === null || !Number.isFinite(value.timestamp)) {
    throw new Error(`${where} has no timestamp`);
  }
  return { timestamp: value.timestamp, value: String(value.value ?? "") };
}
