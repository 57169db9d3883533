// A hue for each service, the same in all pictures.

/** Degrees in OKLCH, far enough apart to be told from each other, and none near the red of errors. */
const HUES = [255, 150, 65, 305, 195, 110, 345];

/** @type {Map<string, number>} places in `HUES` */
const slots = new Map();
/** Services by place. */
const used = HUES.map(() => 0);

/**
 * The service's hue: by its name, unless another service has that already and a hue is left that fewer have.
 * @param {string} service
 * @returns {number}
 */
export function serviceHue(service) {
  let slot = slots.get(service);
  if (slot === undefined) {
    slot = freeSlot(nameHash(service) % HUES.length);
    slots.set(service, slot);
    used[slot] = (used[slot] ?? 0) + 1;
  }
  return HUES[slot] ?? 255;
}

/** @param {number} wanted */
function freeSlot(wanted) {
  const least = Math.min(...used);
  for (let step = 0; step < HUES.length; step++) {
    const slot = (wanted + step) % HUES.length;
    if (used[slot] === least) {
      return slot;
    }
  }
  return wanted;
}

/** @param {string} name */
function nameHash(name) {
  let hash = 2_166_136_261;
  for (let at = 0; at < name.length; at++) {
    hash = Math.imul(hash ^ name.charCodeAt(at), 16_777_619) >>> 0;
  }
  return (hash ^ (hash >>> 15)) >>> 0;
}
