// Reports of spans put together. A tracer may report a span more than once; what is the same half of the same span is one.

/** @import {Annotation, Span} from "./trace.js" */

/** @typedef {"caller" | "callee" | null} Side the half of a call; null for what does not say */

/**
 * @param {readonly Span[]} spans
 * @returns {Map<string, Span[]>} the halves of each id, in the order of their first reports
 */
export function mergeReports(spans) {
  /** @type {Map<string, Halves>} */
  const byId = new Map();
  for (const span of spans) {
    let halves = byId.get(span.id);
    if (halves === undefined) {
      halves = new Halves();
      byId.set(span.id, halves);
    }
    halves.add(span);
  }
  return new Map([...byId].map(([id, { all }]) => [id, all.map(({ reports }) => merged(reports))]));
}

/**
 * @param {Span} span
 * @returns {Side}
 */
export function sideOf(span) {
  if (span.shared || span.kind === "SERVER" || span.kind === "CONSUMER") {
    return "callee";
  }
  return span.kind === undefined ? null : "caller";
}

/** @typedef {{at: number, side: Side, service: string | undefined, reports: Span[]}} Half */

/** The halves of one id. There may be thousands of them, so that a report is not compared with each. */
class Halves {
  /** @type {Half[]} */
  all = [];
  /** @type {Map<string, Half>} one at most of a side and a service, since such two would be one */
  #byHost = new Map();
  /** @type {Map<Side, Half>} the first of each side that is known */
  #first = new Map();
  /** @type {Half[]} those whose side was not known when they came */
  #sideless = [];
  #passed = 0;

  /** @param {Span} span */
  add(span) {
    const [side, service] = [sideOf(span), span.localEndpoint?.serviceName];
    let half = this.#find(side, service);
    if (half === undefined) {
      half = { at: this.all.length, side, service, reports: [] };
      this.all.push(half);
      if (side === null) {
        this.#sideless.push(half);
      }
      this.#index(half);
    } else if ((half.side === null && side !== null) || (half.service === undefined && service !== undefined)) {
      this.#byHost.delete(host(half.side, half.service));
      half.side ??= side;
      half.service ??= service;
      this.#index(half);
    }
    half.reports.push(span);
  }

  /** @param {Half} half */
  #index(half) {
    this.#byHost.set(host(half.side, half.service), half);
    if (half.side !== null && half.at < (this.#first.get(half.side)?.at ?? Infinity)) {
      this.#first.set(half.side, half);
    }
  }

  /**
   * The first half that may be meant: what is not said, on either hand, fits all.
   * @param {Side} side
   * @param {string | undefined} service
   */
  #find(side, service) {
    const sides = /** @type {const} */ (["caller", "callee", null]).filter(
      (other) => side === null || other === null || other === side,
    );
    const found = sides.flatMap((other) =>
      service === undefined
        ? [this.#firstOf(other)]
        : [this.#byHost.get(host(other, service)), this.#byHost.get(host(other, undefined))],
    );
    return found.reduce((first, half) => ((half?.at ?? Infinity) < (first?.at ?? Infinity) ? half : first), undefined);
  }

  /** @param {Side} side */
  #firstOf(side) {
    if (side !== null) {
      return this.#first.get(side);
    }
    while (this.#passed < this.#sideless.length && this.#sideless[this.#passed]?.side !== null) {
      this.#passed += 1;
    }
    return this.#sideless[this.#passed];
  }
}

/**
 * @param {Side} side
 * @param {string | undefined} service
 */
function host(side, service) {
  return `${side} ${service === undefined ? "" : `of ${service}`}`;
}

/**
 * @param {readonly Span[]} reports of one half; of what two say differently the first counts
 * @returns {Span}
 */
function merged(reports) {
  const [first, ...more] = /** @type {[Span, ...Span[]]} */ (reports);
  if (more.length === 0) {
    return first;
  }
  /** @type {Span} */
  const span = { ...first };
  /** @type {Map<string, string>} */
  const tags = new Map();
  /** @type {Map<string, Annotation>} */
  const annotations = new Map();
  for (const report of reports) {
    const known = { ...span };
    Object.assign(span, report, known);
    if (known.name === undefined || known.name === "" || known.name === "unknown") {
      span.name = report.name ?? known.name ?? "";
    }
    if (known.timestamp !== undefined && report.timestamp !== undefined) {
      span.timestamp = Math.min(known.timestamp, report.timestamp);
    }
    if (known.duration !== undefined && report.duration !== undefined) {
      span.duration = Math.max(known.duration, report.duration);
    }
    for (const [key, value] of Object.entries(report.tags ?? {})) {
      tags.set(key, value);
    }
    for (const annotation of report.annotations ?? []) {
      annotations.set(`${annotation.timestamp} ${annotation.value}`, annotation);
    }
  }
  if (tags.size > 0) {
    span.tags = Object.fromEntries(tags);
  }
  if (annotations.size > 0) {
    span.annotations = [...annotations.values()].sort((left, right) => left.timestamp - right.timestamp);
  }
  return span;
}
