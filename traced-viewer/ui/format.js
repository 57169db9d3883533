// Numbers, times and texts as a reader wants them.

/**
 * Microseconds with three digits that count, and a unit: `900 µs`, `48.2 ms`, `1.25 s`, `2 min 05 s`.
 * @param {number} micros
 * @returns {string}
 */
export function formatDuration(micros) {
  const sign = micros < 0 ? "−" : "";
  const value = Math.abs(micros);
  if (value < 1_000) {
    return `${sign}${trimmed(value, value < 10 ? 1 : 0)} µs`;
  }
  if (value < 999_500) {
    return `${sign}${digits(value / 1_000)} ms`;
  }
  if (value < 59_950_000) {
    return `${sign}${digits(value / 1_000_000)} s`;
  }
  const seconds = Math.round(value / 1_000_000);
  if (seconds < 3_600) {
    return `${sign}${Math.floor(seconds / 60)} min ${padded(seconds % 60)} s`;
  }
  const minutes = Math.round(seconds / 60);
  if (minutes < 1_440) {
    return `${sign}${Math.floor(minutes / 60)} h ${padded(minutes % 60)} min`;
  }
  return `${sign}${formatCount(Math.round(minutes / 1_440))} d`;
}

/**
 * What a user typed as a duration, in microseconds: `10ms`, `1.5 s`, `2m`, `300us`; a bare number is milliseconds.
 * @param {string} text
 * @returns {number | null} null for an empty text
 * @throws {Error} that says what is understood
 */
export function parseDuration(text) {
  const trimmedText = text.trim();
  if (trimmedText === "") {
    return null;
  }
  const found = /^(\d+(?:[.,]\d+)?)\s*(us|µs|μs|ms|s|m|min|h)?$/i.exec(trimmedText);
  const unit = { us: 1, µs: 1, μs: 1, ms: 1e3, s: 1e6, m: 6e7, min: 6e7, h: 3.6e9 };
  if (!found) {
    throw new Error(`“${trimmedText}” is not a duration: write 300us, 10ms, 1.5s or 2m`);
  }
  const factor = unit[/** @type {keyof typeof unit} */ ((found[2] ?? "ms").toLowerCase())];
  return Math.round(Number(found[1]?.replace(",", ".")) * factor);
}

/**
 * Local time of day with milliseconds, and the date unless it is today.
 * @param {number} micros since the epoch
 * @param {Date} [now]
 * @returns {string}
 */
export function formatTime(micros, now = new Date()) {
  const date = new Date(micros / 1_000);
  if (Number.isNaN(date.getTime())) {
    return "no time";
  }
  const time = `${padded(date.getHours())}:${padded(date.getMinutes())}:${padded(date.getSeconds())}.${String(
    date.getMilliseconds(),
  ).padStart(3, "0")}`;
  const today = date.toDateString() === now.toDateString();
  return today ? time : `${date.getFullYear()}-${padded(date.getMonth() + 1)}-${padded(date.getDate())} ${time}`;
}

/**
 * How long ago, roughly: `3 s ago`.
 * @param {number} micros since the epoch
 * @param {number} [nowMillis]
 * @returns {string}
 */
export function formatAge(micros, nowMillis = Date.now()) {
  const seconds = Math.floor(nowMillis / 1_000 - micros / 1_000_000);
  if (seconds < 1) {
    return "now";
  }
  if (seconds < 60) {
    return `${seconds} s ago`;
  }
  if (seconds < 3_600) {
    return `${Math.floor(seconds / 60)} min ago`;
  }
  if (seconds < 86_400) {
    return `${Math.floor(seconds / 3_600)} h ago`;
  }
  return `${Math.floor(seconds / 86_400)} d ago`;
}

/**
 * Digits in groups of three: `1,234`.
 * @param {number} count
 * @returns {string}
 */
export function formatCount(count) {
  return count.toLocaleString("en");
}

/**
 * `1 span`, `2 spans`.
 * @param {number} count
 * @param {string} one
 * @param {string} [many]
 * @returns {string}
 */
export function plural(count, one, many = `${one}s`) {
  return `${formatCount(count)} ${count === 1 ? one : many}`;
}

/**
 * @param {number} part
 * @param {number} whole
 * @returns {string}
 */
export function formatPercent(part, whole) {
  if (!(whole > 0)) {
    return "0 %";
  }
  const percent = (100 * part) / whole;
  return percent > 0 && percent < 1 ? "<1 %" : `${Math.round(percent)} %`;
}

/**
 * The two ends of a long trace id.
 * @param {string} traceId
 * @returns {string}
 */
export function shortId(traceId) {
  return traceId.length > 16 ? `${traceId.slice(0, 8)}…${traceId.slice(-4)}` : traceId;
}

/**
 * Round numbers that divide a stretch of time into about `parts` parts: where a scale has its marks.
 * @param {number} from
 * @param {number} to
 * @param {number} parts
 * @returns {number[]}
 */
export function ticks(from, to, parts) {
  const length = to - from;
  if (!(length > 0) || !(parts >= 1)) {
    return [from];
  }
  const rough = length / parts;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = ([1, 2, 5].find((factor) => factor * power >= rough) ?? 10) * power;
  const marks = [];
  for (let number = Math.ceil(from / step); number * step <= to; number++) {
    marks.push(number * step);
  }
  return marks;
}

/** @param {number} value from 1 to 1000 */
function digits(value) {
  return trimmed(value, value < 9.995 ? 2 : value < 99.95 ? 1 : 0);
}

/**
 * @param {number} value
 * @param {number} places
 */
function trimmed(value, places) {
  const text = value.toFixed(places);
  return places > 0 ? text.replace(/\.?0+$/, "") : text;
}

/** @param {number} number */
function padded(number) {
  return String(number).padStart(2, "0");
}
