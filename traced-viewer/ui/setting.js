// Choices that outlast the page.

/**
 * What the browser keeps for this site; nothing where it refuses to, as for a page from a file.
 * @param {string} name
 * @returns {string | null}
 */
export function readSetting(name) {
  try {
    return localStorage.getItem(name);
  } catch {
    return null;
  }
}

/**
 * @param {string} name
 * @param {string | null} value null to forget it
 */
export function writeSetting(name, value) {
  try {
    if (value === null) {
      localStorage.removeItem(name);
    } else {
      localStorage.setItem(name, value);
    }
  } catch {
    // The choice then lasts as long as the page.
  }
}
