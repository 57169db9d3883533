// The critical path: for each instant of a trace the span that had to end before the trace could.

/** @import {SpanNode, Trace} from "./trace.js" */

/**
 * A stretch of the critical path that a span spent itself, none of its children being on the path.
 * @typedef {{node: SpanNode, start: number, end: number}} Section
 */

/**
 * Walks backwards from the root's end: the child that ended last before the point reached is on the path, and the walk goes
 * on through it to its start, and then in the parent again. A child that ends where the next starts is on it, too; what
 * lasts longer than its parent counts as far as the parent lasted. No recursion: traces may be as deep as they are long.
 * @param {SpanNode | null} root
 * @returns {Section[]} latest first; their lengths add up to the root's duration
 */
export function criticalPath(root) {
  /** @type {Section[]} */
  const sections = [];
  if (root === null) {
    return sections;
  }
  const stack = [visit(root, root.start, root.end)];
  for (let top = stack.at(-1); top !== undefined; top = stack.at(-1)) {
    const child = top.children[top.next];
    top.next += 1;
    if (child === undefined) {
      addSection(sections, top.node, top.from, top.at);
      stack.pop();
      continue;
    }
    const [from, end] = [Math.max(child.start, top.from), Math.min(child.end, top.to)];
    if (end > top.at || from >= end) {
      continue;
    }
    addSection(sections, top.node, end, top.at);
    top.at = from;
    stack.push(visit(child, from, end));
  }
  return sections;
}

/**
 * Sections by the span's index.
 * @param {readonly Section[]} sections
 * @returns {Map<number, Section[]>}
 */
export function sectionsByNode(sections) {
  /** @type {Map<number, Section[]>} */
  const byNode = new Map();
  for (const section of sections) {
    const own = byNode.get(section.node.index);
    if (own === undefined) {
      byNode.set(section.node.index, [section]);
    } else {
      own.push(section);
    }
  }
  return byNode;
}

/**
 * Each span's duration without the time in which one of its children ran.
 * @param {Trace} trace
 * @returns {Float64Array} by the span's index
 */
export function selfTimes(trace) {
  const times = new Float64Array(trace.nodes.length);
  for (const node of trace.nodes) {
    let self = node.end - node.start;
    let covered = node.start;
    for (const child of node.children) {
      const [from, to] = [Math.max(child.start, covered), Math.min(child.end, node.end)];
      if (to > from) {
        self -= to - from;
        covered = to;
      }
    }
    times[node.index] = self;
  }
  return times;
}

/**
 * @param {SpanNode} node
 * @param {number} from
 * @param {number} to
 */
function visit(node, from, to) {
  const end = (/** @type {SpanNode} */ child) => Math.min(child.end, to);
  // Of those that finish together, the one that explains most.
  const children = [...node.children].sort((left, right) => end(right) - end(left) || left.start - right.start);
  return { node, from, to, at: to, children, next: 0 };
}

/**
 * @param {Section[]} sections
 * @param {SpanNode} node
 * @param {number} start
 * @param {number} end
 */
function addSection(sections, node, start, end) {
  if (end > start) {
    sections.push({ node, start, end });
  }
}
