// Spans for the tests: made, not recorded, so that each test says what it is about.

/** @typedef {import("../../traced-viewer/ui/trace.js").Span} Span */

/** A whole second of today's epoch, in microseconds. */
export const START = 1_790_000_000_000_000;

/** @param {number} number */
export function hexId(number) {
  return number.toString(16).padStart(16, "0");
}

/**
 * A span of service `shop`; times are relative to `START`.
 * @param {number} id
 * @param {number} parent 0 for a root
 * @param {number} at
 * @param {number} duration
 * @param {Partial<Span>} [more]
 * @returns {Span}
 */
export function span(id, parent, at, duration, more = {}) {
  return {
    traceId: hexId(1),
    id: hexId(id),
    ...(parent > 0 ? { parentId: hexId(parent) } : {}),
    name: `span ${id}`,
    timestamp: START + at,
    duration,
    localEndpoint: { serviceName: "shop", ipv4: "10.0.0.1" },
    ...more,
  };
}

/** The same numbers for the same seed: from 0 to below 1. */
export function randomNumbers(seed) {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 4_294_967_296;
  };
}

/**
 * A tree of any shape, with spans that start before and end after their parents.
 * @param {number} count
 * @param {number} seed
 * @returns {Span[]}
 */
export function randomTrace(count, seed) {
  const random = randomNumbers(seed);
  return Array.from({ length: count }, (_, at) => {
    const parent = at === 0 ? 0 : 1 + Math.floor(random() * at);
    return span(at + 1, parent, Math.floor(random() * 2_000), Math.floor(random() * 1_500));
  });
}

/**
 * A checkout of four services: shared client and server spans, a clock that is behind, and every way to end.
 * @param {string} traceId
 * @param {number} at microseconds since the epoch
 * @returns {Span[]}
 */
export function checkout(traceId, at) {
  const [web, shop, stock, payments] = ["web", "checkout", "stock", "payments"].map((serviceName, index) => ({
    serviceName,
    ipv4: `10.0.0.${index + 1}`,
    port: 8080,
  }));
  /** @param {string} id @param {string | null} parentId @param {Partial<Span>} rest */
  const one = (id, parentId, rest) => ({
    traceId,
    id: id.padStart(16, "0"),
    ...(parentId ? { parentId: parentId.padStart(16, "0") } : {}),
    ...rest,
  });
  return [
    one("1", null, {
      name: "post /checkout",
      kind: "SERVER",
      timestamp: at,
      duration: 182_000,
      localEndpoint: web,
      tags: { "http.method": "POST", user: "ann" },
    }),
    one("2", "1", {
      name: "session::load",
      timestamp: at + 1_200,
      duration: 8_300,
      localEndpoint: web,
      annotations: [{ timestamp: at + 3_000, value: "cache miss" }],
    }),
    one("3", "1", {
      name: "checkout/pay",
      kind: "CLIENT",
      timestamp: at + 11_000,
      duration: 160_000,
      localEndpoint: web,
      remoteEndpoint: shop,
    }),
    one("3", "1", {
      name: "checkout/pay",
      kind: "SERVER",
      shared: true,
      timestamp: at + 16_000,
      duration: 149_000,
      localEndpoint: shop,
    }),
    one("4", "3", {
      name: "cart::load",
      timestamp: at + 17_000,
      duration: 42_000,
      localEndpoint: shop,
      tags: { items: "3" },
    }),
    one("5", "4", {
      name: "db::query",
      kind: "CLIENT",
      timestamp: at + 18_000,
      duration: 11_500,
      localEndpoint: shop,
      remoteEndpoint: { serviceName: "mysql" },
    }),
    one("6", "4", {
      name: "db::query",
      kind: "CLIENT",
      timestamp: at + 31_000,
      duration: 24_500,
      localEndpoint: shop,
      remoteEndpoint: { serviceName: "mysql" },
    }),
    one("7", "3", {
      name: "stock/reserve",
      kind: "CLIENT",
      timestamp: at + 60_000,
      duration: 52_000,
      localEndpoint: shop,
      remoteEndpoint: stock,
    }),
    one("7", "3", {
      name: "stock/reserve",
      kind: "SERVER",
      shared: true,
      timestamp: at - 400_000,
      duration: 46_000,
      localEndpoint: stock,
    }),
    one("8", "7", {
      name: "lock::wait",
      timestamp: at - 398_000,
      duration: 30_000,
      localEndpoint: stock,
      tags: { outcome: "cancelled" },
    }),
    one("9", "3", {
      name: "payments/charge",
      kind: "CLIENT",
      timestamp: at + 113_000,
      duration: 50_000,
      localEndpoint: shop,
      remoteEndpoint: payments,
      tags: { error: "card declined" },
    }),
    one("9", "3", {
      name: "payments/charge",
      kind: "SERVER",
      shared: true,
      timestamp: at + 117_000,
      duration: 41_000,
      localEndpoint: payments,
      tags: { error: "card declined" },
    }),
    one("a", "9", {
      name: "ledger::append",
      timestamp: at + 120_000,
      duration: 20_000,
      localEndpoint: payments,
      tags: { error: "panicked" },
    }),
    one("b", "9", {
      name: "audit::send",
      kind: "PRODUCER",
      timestamp: at + 141_000,
      localEndpoint: payments,
      tags: { outcome: "unfinished" },
    }),
  ];
}
