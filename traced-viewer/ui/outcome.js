// How a span ended. Zipkin has no field for it: it is told by tags, as traced-runtime and other tracers write them.

/** @import {Span} from "./trace.js" */

/**
 * `error` carries its text in the tag `error`; `panicked` is an error whose function unwound; `cancelled` was dropped
 * before it was done; `unfinished` was still open when its program ended.
 * @typedef {"error" | "panicked" | "cancelled" | "unfinished"} Outcome
 */

/**
 * A sign for each outcome, so that colour is never needed to tell them apart.
 * @type {Readonly<Record<Outcome, string>>}
 */
export const OUTCOME_SIGNS = { error: "✗", panicked: "‼", cancelled: "⊘", unfinished: "…" };

/**
 * @param {Span} span
 * @returns {Outcome | null} null for a span that returned
 */
export function outcomeOf(span) {
  const tags = span.tags ?? {};
  const error = tags["error"];
  if (tags["outcome"] === "panicked" || error === "panicked" || error?.startsWith("panicked")) {
    return "panicked";
  }
  // gRPC libraries report a call that was given up as an error of that code.
  if (tags["outcome"] === "cancelled" || error === "CANCELLED") {
    return "cancelled";
  }
  // As Zipkin has it, the tag is an error whatever it says; "false" is what some tracers write for success.
  if (error !== undefined && error !== "false") {
    return "error";
  }
  return tags["outcome"] === "unfinished" ? "unfinished" : null;
}

/**
 * Whether the outcome counts as an error.
 * @param {Outcome | null} outcome
 */
export function isError(outcome) {
  return outcome === "error" || outcome === "panicked";
}

/**
 * The error's text, if it says more than that there was one.
 * @param {Span} span
 * @returns {string}
 */
export function errorText(span) {
  const text = span.tags?.["error"] ?? "";
  return text === "true" || text === "error" || text === "false" ? "" : text;
}
