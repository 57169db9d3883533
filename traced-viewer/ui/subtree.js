// A subtree as plain text, for a ticket or a chat.

import { formatDuration, plural } from "./format.js";
import { errorText } from "./outcome.js";

/** @import {SpanNode, Trace} from "./trace.js" */

/** Tags that are left out, because the line says it already. */
const SAID = new Set(["error", "outcome"]);
/** Levels that are drawn; of what is deeper than that the nearest ones. */
const DRAWN_LEVELS = 100;

/**
 * The text that the terminal tree has, without its bars.
 * @param {Trace} trace
 * @param {SpanNode} top
 * @returns {string}
 */
export function subtreeText(trace, top) {
  const nodes = trace.nodes.slice(top.index, top.index + top.size);
  const lines = nodes.map((node) => ({ node, name: `${branch(node, top)}${node.name || "(no name)"}` }));
  const nameWidth = Math.min(60, longest(lines.map(({ name }) => name)));
  const serviceWidth = longest(nodes.map(({ service }) => service));
  const text = lines.map(({ node, name }) => {
    const kind = (node.span.kind ?? "").slice(0, 1).padEnd(1);
    const duration = node.timed ? formatDuration(node.end - node.start) : "no time";
    return `${name.padEnd(nameWidth)}  ${node.service.padEnd(serviceWidth)}  ${kind}  ${duration.padStart(8)}${said(node)}`.trimEnd();
  });
  const head = `trace ${trace.traceId} · ${formatDuration(top.end - top.start)} · ${plural(nodes.length, "span")}`;
  return `${[head, ...text].join("\n")}\n`;
}

/** @param {SpanNode} node */
function said(node) {
  const parts = [];
  if (node.outcome !== null) {
    const text = errorText(node.span);
    parts.push(text === "" || text === node.outcome ? node.outcome : `${node.outcome}: ${text}`);
  }
  for (const [key, value] of Object.entries(node.span.tags ?? {})) {
    if (!SAID.has(key)) {
      parts.push(`${key}=${value}`);
    }
  }
  for (const { value } of node.span.annotations ?? []) {
    parts.push(`@ ${value}`);
  }
  return parts.map((part) => `  ${part.replaceAll(/\s+/g, " ")}`).join("");
}

/**
 * @param {SpanNode} node
 * @param {SpanNode} top
 */
function branch(node, top) {
  if (node === top) {
    return "";
  }
  let text = isLast(node) ? "└─ " : "├─ ";
  let levels = 1;
  for (let above = node.parent; above !== null && above !== top && levels < DRAWN_LEVELS; above = above.parent) {
    levels += 1;
    text = (isLast(above) ? "   " : "│  ") + text;
  }
  return text;
}

/** @param {string[]} texts */
function longest(texts) {
  return texts.reduce((length, text) => Math.max(length, text.length), 0);
}

/** @param {SpanNode} node */
function isLast(node) {
  return node.parent?.children.at(-1) === node;
}

/**
 * Puts a text on the clipboard.
 * @param {string} text
 * @returns {Promise<boolean>} whether the browser allowed it
 */
export async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    // Pages from a file have no clipboard of their own in some browsers; a selected text can be copied there.
    const area = document.createElement("textarea");
    area.value = text;
    (document.querySelector("dialog[open]") ?? document.body).append(area);
    area.select();
    const copied = document.execCommand("copy");
    area.remove();
    return copied;
  }
}
