// Spans of Zipkin's JSON, as the server decodes them (src/decode/json_v2.rs): what it takes is taken, with the same result,
// and what it refuses is refused. Both are tested with the cases of `cases/decode.json`.

import { setAddress } from "./address.js";
import { JsonReader } from "./json.js";

/** @import {Annotation, Endpoint, Span} from "./trace.js" */

/**
 * Decodes a list of spans, or of traces, which are lists of spans.
 * @param {string} text
 * @returns {Span[]}
 * @throws {Error} that says where the text is not what it should be
 */
export function decodeFile(text) {
  const reader = new JsonReader(text.replace(/^\ufeff/, ""));
  if (reader.next() !== "list") {
    reader.skip();
    throw new Error("This is JSON, but not a list of spans as Zipkin has it");
  }
  if (text.includes('yAnnotations"')) {
    throw new Error("These are spans of Zipkin's format 1: send them to /api/v1/spans instead");
  }
  /** @type {Span[]} */
  const spans = [];
  let nested = false;
  reader.elements((at) => {
    nested = at === 0 ? reader.next() === "list" : nested;
    if (!nested) {
      spans.push(readSpan(reader, `[${at}]`));
      return;
    }
    if (reader.next() !== "list") {
      throw new Error(`[${at}] is not a list of spans, as what is before it`);
    }
    reader.elements((below) => spans.push(readSpan(reader, `[${at}][${below}]`)));
  });
  return spans;
}

/**
 * @param {JsonReader} reader
 * @param {string} where
 * @returns {Span}
 */
function readSpan(reader, where) {
  if (reader.next() !== "object") {
    reader.skip();
    throw new Error(`${where} is not a span`);
  }
  /** @type {Partial<Span>} */
  const span = {};
  /** @type {Annotation[]} */
  const annotations = [];
  /** @type {Map<string, string>} */
  const tags = new Map();
  reader.fields((field) => {
    const place = `${where}.${field}`;
    if (field === "traceId" || field === "id") {
      span[field] = readId(reader, place, field === "id" ? 16 : 32);
      return;
    }
    if (reader.next() === "null") {
      reader.skip();
      return;
    }
    switch (field) {
      case "parentId":
        set(span, field, readParent(reader, place));
        break;
      case "kind":
        span.kind = readKind(reader, place);
        break;
      case "name":
        set(span, field, readText(reader, place).toLowerCase() || null);
        break;
      case "timestamp":
      case "duration":
        set(span, field, Math.max(readWhole(reader, place, 64, "microseconds"), 0) || null);
        break;
      case "localEndpoint":
      case "remoteEndpoint":
        set(span, field, readEndpoint(reader, place));
        break;
      case "annotations":
        expect(reader, "list", place, "a list");
        reader.elements((at) => annotations.push(readAnnotation(reader, `${place}[${at}]`)));
        break;
      case "tags":
        expect(reader, "object", place, "an object");
        reader.fields((key) => tags.set(key, readText(reader, `${place}.${key}`)));
        break;
      case "debug":
      case "shared":
        if (readBoolean(reader, place)) {
          span[field] = true;
        }
        break;
      default:
        reader.skip();
    }
  });
  return cleaned(span, annotations, tags, where);
}

/**
 * Puts right what Zipkin puts right.
 * @param {Partial<Span>} span
 * @param {Annotation[]} annotations
 * @param {Map<string, string>} tags
 * @param {string} where
 * @returns {Span}
 */
function cleaned(span, annotations, tags, where) {
  const { traceId, id, ...rest } = span;
  if (traceId === undefined || id === undefined) {
    const missing = traceId === undefined ? "traceId" : "id";
    throw new Error(
      `${where}.${missing} is not an id of 1 to ${missing === "id" ? 16 : 32} hexadecimal digits: it is missing`,
    );
  }
  if (rest.parentId === id) {
    delete rest.parentId;
  }
  if (rest.kind === "CLIENT") {
    delete rest.shared;
  }
  if (annotations.length > 0) {
    annotations.sort((left, right) => left.timestamp - right.timestamp || compare(left.value, right.value));
    const isNew = (/** @type {Annotation} */ { timestamp, value }, /** @type {number} */ at) =>
      annotations[at - 1]?.timestamp !== timestamp || annotations[at - 1]?.value !== value;
    rest.annotations = annotations.filter(isNew);
  }
  if (tags.size > 0) {
    rest.tags = Object.fromEntries([...tags].sort(([left], [right]) => compare(left, right)));
  }
  return { traceId, id, ...rest };
}

/**
 * @param {JsonReader} reader
 * @param {string} where
 * @returns {Endpoint | null}
 */
function readEndpoint(reader, where) {
  expect(reader, "object", where, "an object");
  /** @type {Endpoint} */
  const endpoint = {};
  reader.fields((field) => {
    const place = `${where}.${field}`;
    if (reader.next() === "null") {
      reader.skip();
      return;
    }
    switch (field) {
      case "serviceName":
        set(endpoint, field, readText(reader, place).toLowerCase() || null);
        break;
      case "ipv4":
      case "ipv6":
        setAddress(endpoint, readText(reader, place));
        break;
      case "port":
        set(endpoint, field, readPort(reader, place) || null);
        break;
      default:
        reader.skip();
    }
  });
  return Object.keys(endpoint).length > 0 ? endpoint : null;
}

/**
 * @param {JsonReader} reader
 * @param {string} where
 * @returns {Annotation}
 */
function readAnnotation(reader, where) {
  if (reader.next() !== "object") {
    throw new Error(`${where} is not an annotation`);
  }
  /** @type {Partial<Annotation>} */
  const read = {};
  reader.fields((field) => {
    switch (field) {
      case "timestamp":
        read.timestamp = readWhole(reader, `${where}.timestamp`, 64, "microseconds");
        break;
      case "value":
        read.value = readText(reader, `${where}.value`);
        break;
      default:
        reader.skip();
    }
  });
  const { timestamp, value } = read;
  if (timestamp === undefined || value === undefined) {
    throw new Error(`${where} has no ${timestamp === undefined ? "timestamp" : "value"}`);
  }
  return { timestamp, value };
}

/**
 * @param {JsonReader} reader
 * @param {string} where
 * @param {16 | 32} longest
 */
function readId(reader, where, longest) {
  const digits = readDigits(reader, where, longest);
  if (digits === "") {
    throw new Error(`${where} is all zeros`);
  }
  return digits.padStart(digits.length > 16 ? 32 : 16, "0");
}

/**
 * @param {JsonReader} reader
 * @param {string} where
 */
function readParent(reader, where) {
  const digits = readDigits(reader, where, 16);
  return digits === "" ? null : digits.padStart(16, "0");
}

/**
 * @param {JsonReader} reader
 * @param {string} where
 * @param {16 | 32} longest
 * @returns {string} without zeros in front
 */
function readDigits(reader, where, longest) {
  const text = reader.string();
  if (text === null || !/^[0-9a-f]+$/.test(text) || text.length > longest) {
    throw new Error(`${where} is not an id of 1 to ${longest} hexadecimal digits in lower case`);
  }
  return text.replace(/^0+/, "");
}

/**
 * @param {JsonReader} reader
 * @param {string} where
 */
function readKind(reader, where) {
  const kind = reader.string() ?? "";
  if (!["CLIENT", "SERVER", "PRODUCER", "CONSUMER"].includes(kind)) {
    throw new Error(`${where} is none of CLIENT, SERVER, PRODUCER and CONSUMER`);
  }
  return kind;
}

/**
 * @param {JsonReader} reader
 * @param {string} where
 */
function readPort(reader, where) {
  const port = Math.max(readWhole(reader, where, 32, "a port"), 0);
  if (port > 65_535) {
    throw new Error(`${where} is not a port: it is above 65535`);
  }
  return port;
}

/**
 * @param {JsonReader} reader
 * @param {string} where
 */
function readText(reader, where) {
  const text = reader.string();
  if (text === null) {
    throw new Error(`${where} is not a text`);
  }
  return text;
}

/**
 * @param {JsonReader} reader
 * @param {string} where
 */
function readBoolean(reader, where) {
  const value = reader.boolean();
  if (value === null) {
    throw new Error(`${where} is neither true nor false`);
  }
  return value;
}

/**
 * A whole number of so many bits, in a text if need be.
 * @param {JsonReader} reader
 * @param {string} where
 * @param {32 | 64} bits
 * @param {string} of what it is a number
 */
function readWhole(reader, where, bits, of) {
  const text = reader.string();
  const number = text === null ? NaN : toWhole(text, bits);
  if (Number.isNaN(number)) {
    throw new Error(`${where} is not a number of ${of}`);
  }
  return number;
}

/**
 * @param {string} text
 * @param {32 | 64} bits
 */
function toWhole(text, bits) {
  const decimal = /^[\0- ]*([+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)[dDfF]?[\0- ]*$/.exec(text);
  const number = Number(decimal?.[1] ?? NaN);
  // The largest number of 64 bits is rounded up, on the server, too.
  const largest = bits === 64 ? 2 ** 63 : 2 ** 31 - 1;
  return Number.isInteger(number) && number >= -(2 ** (bits - 1)) && number <= largest ? number + 0 : NaN;
}

/**
 * @param {JsonReader} reader
 * @param {"list" | "object"} kind
 * @param {string} where
 * @param {string} what
 */
function expect(reader, kind, where, what) {
  if (reader.next() !== kind) {
    throw new Error(`${where} is not ${what}`);
  }
}

/**
 * Sets a field, or removes it: of two with one name the last counts.
 * @template {object} T
 * @template {keyof T} K
 * @param {T} target
 * @param {K} field
 * @param {T[K] | null} value
 */
function set(target, field, value) {
  if (value === null) {
    delete target[field];
  } else {
    target[field] = value;
  }
}

/**
 * @param {string} left
 * @param {string} right
 */
function compare(left, right) {
  return left < right ? -1 : Number(left > right);
}
