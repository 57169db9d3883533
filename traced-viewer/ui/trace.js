// One trace: what was reported, as a tree with times that can be drawn. Whatever is odd in it survives and is marked.

import { mergeReports, sideOf } from "./merge.js";
import { isError, outcomeOf } from "./outcome.js";
import { correctSkew } from "./skew.js";

/** @import {Outcome} from "./outcome.js" */

/**
 * A span as [Zipkin's JSON, version 2](https://zipkin.io/zipkin-api/) has it. Times are microseconds.
 * @typedef {{serviceName?: string, ipv4?: string, ipv6?: string, port?: number}} Endpoint
 * @typedef {{timestamp: number, value: string}} Annotation
 * @typedef {{
 *   traceId: string, id: string, parentId?: string, kind?: string, name?: string, timestamp?: number,
 *   duration?: number, localEndpoint?: Endpoint, remoteEndpoint?: Endpoint, annotations?: Annotation[],
 *   tags?: Record<string, string>, debug?: boolean, shared?: boolean,
 * }} Span
 */

/**
 * A span in its place. Client and server halves of a shared span are two of them, the server's below the client's.
 * @typedef {Object} SpanNode
 * @property {Span} span what was reported, repeated reports merged
 * @property {string} service its own, or an empty text
 * @property {string} name
 * @property {Outcome | null} outcome
 * @property {SpanNode | null} parent
 * @property {SpanNode[]} children by start
 * @property {number} index place in `Trace.nodes`
 * @property {number} depth 0 for a root
 * @property {number} size spans of its subtree, itself included
 * @property {number} start microseconds since the epoch, the clock's skew taken off
 * @property {number} end at least `start`
 * @property {number} skew microseconds by which its clock was found to be ahead of its caller's
 * @property {boolean} timed whether it was reported with a time; else it stands where its parent begins
 * @property {boolean} open whether it was reported without a duration; then it lasts as long as what is below it
 * @property {"its parent is not in this trace" | "its parents run in a circle" | null} oddity
 */

/**
 * @typedef {Object} Trace
 * @property {string} traceId
 * @property {SpanNode[]} nodes parents before children, siblings by start
 * @property {SpanNode[]} roots
 * @property {SpanNode | null} root the one that the trace is named after; null for an empty trace
 * @property {number} start of the first span
 * @property {number} end of the last span
 * @property {number} depth levels
 * @property {number} errors
 * @property {{name: string, count: number}[]} services most spans first
 */

/**
 * @param {readonly Span[]} spans of one trace
 * @returns {Trace}
 */
export function buildTrace(spans) {
  const halves = [...mergeReports(spans)].map(([id, halves]) => ({ id, nodes: halves.map(newNode) }));
  const groups = new Map(halves.map(({ id, nodes }) => [id, groupOf(nodes)]));
  const all = halves.flatMap(({ nodes }) => nodes);
  for (const node of all) {
    adopt(node, groups);
  }
  cutCycles(all);
  for (const node of all) {
    node.parent?.children.push(node);
  }
  const roots = all.filter((node) => node.parent === null);
  const parentsFirst = preorder(roots);
  setTimes(parentsFirst);
  correctSkew(parentsFirst);
  for (const node of all) {
    node.children.sort(byStart);
  }
  roots.sort((left, right) => Number(isHeadless(left)) - Number(isHeadless(right)) || byStart(left, right));
  const nodes = preorder(roots);
  nodes.forEach((node, index) => {
    node.index = index;
    node.depth = node.parent === null ? 0 : node.parent.depth + 1;
  });
  for (let index = nodes.length - 1; index >= 0; index--) {
    const node = /** @type {SpanNode} */ (nodes[index]);
    if (node.parent !== null) {
      node.parent.size += node.size;
      if (node.parent.open) {
        node.parent.end = Math.max(node.parent.end, node.end);
      }
    }
  }
  return summed(spans[0]?.traceId ?? "", nodes, roots);
}

/**
 * @param {string} traceId
 * @param {SpanNode[]} nodes
 * @param {SpanNode[]} roots
 * @returns {Trace}
 */
function summed(traceId, nodes, roots) {
  const counts = new Map();
  let [start, end, depth, errors] = [Infinity, -Infinity, 0, 0];
  for (const node of nodes) {
    counts.set(node.service, (counts.get(node.service) ?? 0) + 1);
    depth = Math.max(depth, node.depth + 1);
    errors += isError(node.outcome) ? 1 : 0;
    start = Math.min(start, node.start);
    end = Math.max(end, node.end);
  }
  const services = [...counts].map(([name, count]) => ({ name, count }));
  services.sort((left, right) => right.count - left.count || (left.name < right.name ? -1 : 1));
  return {
    traceId,
    nodes,
    roots,
    root: roots[0] ?? null,
    depth,
    errors,
    services,
    start: nodes.length === 0 ? 0 : start,
    end: nodes.length === 0 ? 0 : end,
  };
}

/**
 * The halves of one id. Of each service, and of all, it is known which one is the parent of what names the id.
 * @typedef {{caller: SpanNode | undefined, parent: SpanNode | undefined, parents: Map<string, SpanNode>}} Group
 */

/**
 * @param {readonly SpanNode[]} halves
 * @returns {Group}
 */
function groupOf(halves) {
  /** @type {Group} */
  const group = { caller: undefined, parent: undefined, parents: new Map() };
  // What the server did belongs to the server's half.
  const isNearer = (/** @type {SpanNode} */ half, /** @type {SpanNode | undefined} */ than) =>
    than === undefined || (sideOf(half.span) === "callee" && sideOf(than.span) !== "callee");
  for (const half of halves) {
    if (sideOf(half.span) === "caller") {
      group.caller ??= half;
    }
    if (isNearer(half, group.parent)) {
      group.parent = half;
    }
    if (isNearer(half, group.parents.get(half.service))) {
      group.parents.set(half.service, half);
    }
  }
  return group;
}

/**
 * @param {Span} span
 * @returns {SpanNode}
 */
function newNode(span) {
  return {
    span,
    service: span.localEndpoint?.serviceName ?? "",
    name: span.name ?? "",
    outcome: outcomeOf(span),
    parent: null,
    children: [],
    index: 0,
    depth: 0,
    size: 1,
    start: 0,
    end: 0,
    skew: 0,
    timed: span.timestamp !== undefined,
    open: span.duration === undefined,
    oddity: null,
  };
}

/**
 * Finds the parent. Where the parent's id has two halves, what the server did belongs to the server's half.
 * @param {SpanNode} node
 * @param {ReadonlyMap<string, Group>} groups
 */
function adopt(node, groups) {
  const { span } = node;
  if (sideOf(span) === "callee") {
    const caller = groups.get(span.id)?.caller;
    if (caller !== undefined) {
      node.parent = caller;
      return;
    }
  }
  if (span.parentId === undefined || span.parentId === span.id) {
    return;
  }
  const group = groups.get(span.parentId);
  if (group === undefined) {
    node.oddity = "its parent is not in this trace";
    return;
  }
  node.parent = group.parents.get(node.service) ?? group.parent ?? null;
}

/**
 * Where parents run in a circle, the earliest span of the circle becomes a root.
 * @param {readonly SpanNode[]} nodes
 */
function cutCycles(nodes) {
  /** @type {Map<SpanNode, SpanNode>} */
  const walkOf = new Map();
  for (const start of nodes) {
    /** @type {SpanNode | null} */
    let node = start;
    while (node !== null && !walkOf.has(node)) {
      walkOf.set(node, start);
      node = node.parent;
    }
    if (node === null || walkOf.get(node) !== start) {
      continue;
    }
    let first = node;
    for (let other = node.parent; other !== null && other !== node; other = other.parent) {
      if ((other.span.timestamp ?? Infinity) < (first.span.timestamp ?? Infinity)) {
        first = other;
      }
    }
    first.parent = null;
    first.oddity = "its parents run in a circle";
  }
}

/**
 * @param {readonly SpanNode[]} roots
 * @returns {SpanNode[]}
 */
function preorder(roots) {
  const nodes = [];
  const stack = [...roots].reverse();
  for (let node = stack.pop(); node !== undefined; node = stack.pop()) {
    nodes.push(node);
    for (let at = node.children.length - 1; at >= 0; at--) {
      stack.push(/** @type {SpanNode} */ (node.children[at]));
    }
  }
  return nodes;
}

/** @param {readonly SpanNode[]} parentsFirst */
function setTimes(parentsFirst) {
  const first = parentsFirst.reduce((least, { span }) => Math.min(least, span.timestamp ?? Infinity), Infinity);
  for (const node of parentsFirst) {
    node.start = node.span.timestamp ?? node.parent?.start ?? (first === Infinity ? 0 : first);
    node.end = node.start + (node.timed ? (node.span.duration ?? 0) : 0);
  }
}

/** @param {SpanNode} node */
function isHeadless(node) {
  return node.oddity !== null;
}

/**
 * @param {SpanNode} left
 * @param {SpanNode} right
 */
function byStart(left, right) {
  return left.start - right.start || right.end - left.end;
}
