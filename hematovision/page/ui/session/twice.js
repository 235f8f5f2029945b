/**
 * Cells that were seen twice: in a field, and in one taken before that shows the same place.
 */
import { findAgain } from "../../engine/overlap.js";
import { counted } from "./session.js";

/** @typedef {import("./session.js").Session} Session */

/**
 * The cells, by number, that an earlier field has counted already.
 * @param {Session} session @returns {Set<number>}
 */
export function findTwice(session) {
  const byKey = new Map(session.found.map((field) => [field.key, field]));
  /** @type {Set<number>} */
  const again = new Set();
  for (const field of session.found) {
    for (const overlap of field.overlaps) {
      const earlier = byKey.get(overlap.key);
      if (!earlier) continue;
      const cells = counted(field);
      for (const [, j] of findAgain(counted(earlier), cells, overlap)) again.add(cells[j].id);
    }
  }
  return again;
}
