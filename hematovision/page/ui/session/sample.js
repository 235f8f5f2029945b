/**
 * The sample that is counted: what it is called, of which day, and who counts.
 */

/** @typedef {{name: string, date: string, who: string, note: string}} Sample */

const LONGEST_ENTRY = 200; // characters of each entry

/** @returns {Sample} */
export const emptySample = () => ({ name: "", date: today(), who: "", note: "" });

/** The day here, as ISO 8601 writes it. */
function today() {
  const now = new Date();
  return new Date(now.getTime() - 60_000 * now.getTimezoneOffset()).toISOString().slice(0, 10);
}

/** What was kept of a sample; where it isn't one, an empty one. @param {any} kept @returns {Sample} */
export function restoreSample(kept) {
  const sample = emptySample();
  for (const key of /** @type {(keyof Sample)[]} */ (Object.keys(sample))) {
    if (typeof kept?.[key] === "string") sample[key] = kept[key].slice(0, LONGEST_ENTRY);
  }
  return sample;
}
