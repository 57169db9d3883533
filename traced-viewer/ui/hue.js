// A hue for each service, the same on every page.

/** Far enough apart to be told from each other, and none near the red of errors. */
const HUES = [255, 145, 300, 75, 195, 330, 110, 225, 55, 170, 280, 95];

/**
 * @param {string} service
 * @returns {number} degrees in OKLCH
 */
export function serviceHue(service) {
  return HUES[hueSlot(service)] ?? 255;
}

/**
 * Hues of the services of one picture: two services share one only where there are more than hues.
 * @param {Iterable<string>} services
 * @returns {Map<string, number>}
 */
export function serviceHues(services) {
  const hues = new Map();
  const taken = new Set();
  for (const service of [...new Set(services)].sort()) {
    let slot = hueSlot(service);
    for (let tries = 0; taken.has(slot) && tries < HUES.length; tries++) {
      slot = (slot + 1) % HUES.length;
    }
    taken.add(slot);
    hues.set(service, HUES[slot] ?? 255);
  }
  return hues;
}

/** @param {string} service */
function hueSlot(service) {
  let hash = 2_166_136_261;
  for (let at = 0; at < service.length; at++) {
    hash = Math.imul(hash ^ service.charCodeAt(at), 16_777_619) >>> 0;
  }
  return (hash ^ (hash >>> 15)) % HUES.length;
}
