// Addresses in text, with Zipkin's rules (src/endpoint.rs).

/** @import {Endpoint} from "./trace.js" */

/**
 * Takes an address; what is none is passed over.
 * @param {Endpoint} endpoint
 * @param {string} text
 */
export function setAddress(endpoint, text) {
  // Of IPv6 with an end of IPv4 Zipkin knows two forms.
  const ipv4 = readIpv4(text.replace(/^::(?:ffff:)?/i, ""));
  if (ipv4 !== null) {
    endpoint.ipv4 = ipv4;
    return;
  }
  const parts = readIpv6(text);
  if (parts !== null) {
    endpoint.ipv6 = writeIpv6(parts);
  }
}

/** @param {string} text */
function readIpv4(text) {
  const parts = text.split(".");
  if (parts.length !== 4 || !parts.every((part) => /^[0-9]{1,3}$/.test(part) && Number(part) < 256)) {
    return null;
  }
  return parts.map(Number).join(".");
}

/**
 * @param {string} text
 * @returns {number[] | null} eight parts
 */
function readIpv6(text) {
  const halves = text.split("::").map((half) => (half === "" ? [] : half.split(":")));
  const [before = [], after = []] = halves;
  const given = before.length + after.length;
  const isWhole = halves.length === 1 ? given === 8 : halves.length === 2 && given < 8;
  if (!isWhole || ![...before, ...after].every((part) => /^[0-9a-f]{1,4}$/i.test(part))) {
    return null;
  }
  return [...before, ...Array.from({ length: 8 - given }, () => "0"), ...after].map((part) => parseInt(part, 16));
}

/**
 * The longest run of zeros is left out, also a single one.
 * @param {readonly number[]} parts
 */
function writeIpv6(parts) {
  let [begin, end] = [0, 0];
  for (let at = 0, from = 0; at < parts.length; at++) {
    from = parts[at] === 0 ? from : at + 1;
    if (at + 1 - from > end - begin) {
      [begin, end] = [from, at + 1];
    }
  }
  const text = (/** @type {readonly number[]} */ some) => some.map((part) => part.toString(16)).join(":");
  return end === 0 ? text(parts) : `${text(parts.slice(0, begin))}::${text(parts.slice(end))}`;
}
