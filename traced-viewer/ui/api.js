// What the server is asked for: Zipkin's query API, and the viewer's own beside it.

/** @import {Span} from "./trace.js" */

/**
 * A trace as the list shows it. Times are microseconds.
 * @typedef {Object} Summary
 * @property {string} traceId
 * @property {number} timestamp of its first span, since the epoch
 * @property {number} duration
 * @property {{serviceName: string, name: string, kind?: string | null} | null} root null until its root is reported
 * @property {number} spanCount
 * @property {number} errorCount
 * @property {{serviceName: string, spanCount: number}[]} services
 * @property {boolean} truncated whether spans beyond the server's limit were left out
 */

/**
 * A span that began and has not ended. Times are microseconds.
 * @typedef {{serviceName: string, name: string, traceId: string, id: string, parentId?: string | null,
 *   timestamp: number, age: number}} OpenSpan
 */

/** @typedef {{parent: string, child: string, callCount: number, errorCount?: number}} Dependency */

/** @typedef {"chrome" | "folded" | "zipkin" | "html"} ExportFormat */

const BASE = "/zipkin/api";

/**
 * @param {URLSearchParams} query names and meanings of Zipkin's `/api/v2/traces`
 * @param {AbortSignal} [signal]
 * @returns {Promise<Summary[]>} newest first
 */
export function fetchSummaries(query, signal) {
  return getJson(`${BASE}/private/traces?${query}`, signal);
}

/**
 * @param {URLSearchParams} query
 * @returns {Promise<Span[][]>}
 */
export function fetchTraces(query) {
  return getJson(`${BASE}/v2/traces?${query}`);
}

/**
 * @param {string} traceId
 * @returns {Promise<Span[]>}
 */
export function fetchTrace(traceId) {
  return getJson(`${BASE}/v2/trace/${encodeURIComponent(traceId)}`);
}

/** @type {Promise<number> | null} */
let spanLimit = null;

/**
 * Spans of one trace that the server keeps; it drops what comes beyond.
 * @returns {Promise<number>}
 */
export function fetchSpanLimit() {
  spanLimit ??= getJson("/zipkin/config.json").then(
    (config) => config.limits?.traceSpans ?? Infinity,
    () => Infinity,
  );
  return spanLimit;
}

/** @returns {Promise<string[]>} */
export function fetchServices() {
  return getJson(`${BASE}/v2/services`);
}

/**
 * @param {string} service
 * @returns {Promise<string[]>}
 */
export function fetchSpanNames(service) {
  return getJson(`${BASE}/v2/spans?serviceName=${encodeURIComponent(service)}`);
}

/**
 * @param {number} endTs milliseconds since the epoch
 * @param {number} lookback milliseconds before it
 * @returns {Promise<Dependency[]>}
 */
export function fetchDependencies(endTs, lookback) {
  return getJson(`${BASE}/v2/dependencies?endTs=${endTs}&lookback=${lookback}`);
}

/** @returns {Promise<OpenSpan[]>} */
export function fetchOpenSpans() {
  return getJson(`${BASE}/private/open`);
}

/** Forgets all traces on the server. */
export async function clearTraces() {
  await ask(`${BASE}/private/clear`, { method: "POST" });
}

/**
 * @param {string} traceId
 * @param {ExportFormat} format
 */
export function exportUrl(traceId, format) {
  return `${BASE}/private/export/${encodeURIComponent(traceId)}?format=${format}`;
}

/** The stream of changed traces. */
export function liveUrl() {
  return `${BASE}/private/live`;
}

/**
 * @param {string} path
 * @param {AbortSignal} [signal]
 * @returns {Promise<any>}
 */
async function getJson(path, signal) {
  const answer = await ask(path, signal ? { signal } : {});
  return answer.json();
}

/**
 * @param {string} path
 * @param {RequestInit} init
 */
async function ask(path, init) {
  let answer;
  try {
    answer = await fetch(path, init);
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") {
      throw error;
    }
    throw new Error("The viewer does not answer. Is the program that serves it still running?");
  }
  if (!answer.ok) {
    const text = (await answer.text()).trim();
    throw new Error(text === "" ? `The viewer answered ${answer.status} to ${path}` : text);
  }
  return answer;
}
