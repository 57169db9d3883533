// Clocks of two hosts differ. Where a server seems to begin before its client called, its clock is ahead or behind, and
// everything on that host below is moved so that the server's span lies in the middle of the client's. The rule is
// Zipkin's, so that both show the same times.

/** @import {Endpoint, SpanNode} from "./trace.js" */

/**
 * Moves spans in place and notes by how much.
 * @param {readonly SpanNode[]} parentsFirst
 */
export function correctSkew(parentsFirst) {
  for (const node of parentsFirst) {
    const { parent } = node;
    if (parent === null) {
      continue;
    }
    if (isSameHost(parent, node)) {
      move(node, parent.skew);
    } else if (node.timed && parent.timed && isCall(parent, node)) {
      move(node, skewBetween(parent, node));
    }
    if (!node.timed) {
      move(node, node.start - parent.start);
    }
  }
}

/**
 * @param {SpanNode} node
 * @param {number} skew
 */
function move(node, skew) {
  node.skew += skew;
  node.start -= skew;
  node.end -= skew;
}

/**
 * @param {SpanNode} client
 * @param {SpanNode} server
 */
function isCall(client, server) {
  return client.span.kind === "CLIENT" && (server.span.kind === "SERVER" || server.span.shared === true);
}

/**
 * How far the server's clock is ahead; negative if it is behind.
 * @param {SpanNode} client
 * @param {SpanNode} server
 */
function skewBetween(client, server) {
  if (server.start >= client.start) {
    return 0;
  }
  const [clientDuration, serverDuration] = [client.span.duration, server.span.duration];
  // Of a call without an answer only the beginning is known: it arrived after it was sent.
  if (clientDuration === undefined || serverDuration === undefined || clientDuration < serverDuration) {
    return server.start - client.start - 1;
  }
  const latency = Math.floor((clientDuration - serverDuration) / 2);
  return server.start - latency - client.start;
}

/**
 * @param {SpanNode} left
 * @param {SpanNode} right
 */
function isSameHost(left, right) {
  const [one, other] = [left.span.localEndpoint, right.span.localEndpoint];
  const [oneAddresses, otherAddresses] = [addresses(one), addresses(other)];
  if (oneAddresses.length === 0 || otherAddresses.length === 0) {
    return left.service === right.service;
  }
  return oneAddresses.some((address) => otherAddresses.includes(address));
}

/**
 * @param {Endpoint | undefined} endpoint
 * @returns {string[]}
 */
function addresses(endpoint) {
  return [endpoint?.ipv4, endpoint?.ipv6].filter((address) => address !== undefined);
}
