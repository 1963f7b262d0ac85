/** What a tab remembers until it is closed; in a browser that keeps nothing, until the page is left. */

const PREFIX = "boxoffice.";
const inMemory = new Map();

/** What is kept under a name; null if nothing is, or something else than JSON. */
export function kept(name) {
  try {
    return JSON.parse(sessionStorage.getItem(PREFIX + name)) ?? inMemory.get(name) ?? null;
  } catch {
    return inMemory.get(name) ?? null;
  }
}

/** Keep a value under a name. */
export function keep(name, value) {
  inMemory.set(name, value);
  try {
    sessionStorage.setItem(PREFIX + name, JSON.stringify(value));
  } catch {
    // Storage is forbidden, or full.
  }
}

/** Keep it no more. */
export function forget(name) {
  inMemory.delete(name);
  try {
    sessionStorage.removeItem(PREFIX + name);
  } catch {
    // Nothing was kept there.
  }
}
