/**
 * The differential in numbers: what a person confirmed, what is only proposed.
 */
import { isWhite } from "../../engine/cells.js";
import { wilson } from "../../engine/networks/differential.js";
import { counted } from "./session.js";

/** @typedef {import("./session.js").Cell} Cell */
/** @typedef {import("./session.js").Field} Field */
/** @typedef {import("./session.js").Session} Session */
/** @typedef {import("./types.js").Types} Types */

/**
 * A row of the differential: cells `confirmed` by hand, and those only `proposed`. `share` and
 * `interval` are of the confirmed; of a type that is counted apart, `share` is per white cell.
 * @typedef {object} TypeRow
 * @property {string} name @property {string} key @property {boolean} apart
 * @property {number} confirmed @property {number} proposed
 * @property {number | null} share @property {[number, number] | null} interval
 */

/**
 * `white`: all white cells found, without those counted apart; `confirmed`, `proposed`, `untyped`:
 * of them; `judged`, `right`: proposals that a person looked at, and those found right.
 * @typedef {object} Tally
 * @property {TypeRow[]} rows
 * @property {number} white @property {number} confirmed
 * @property {number} proposed @property {number} untyped
 * @property {number} judged @property {number} right
 */

/**
 * All white cells, as they come up: field by field, from the top; none twice.
 * @param {Session} session @returns {{field: Field, cell: Cell}[]}
 */
export const whitesOf = (session) =>
  session.found.flatMap((field) =>
    counted(field)
      .filter((cell) => isWhite(cell.label) && !session.again.has(cell.id))
      .sort((a, b) => a.box[1] - b.box[1] || a.box[0] - b.box[0])
      .map((cell) => ({ field, cell })),
  );

/** @param {Session} session @param {Types} types @returns {Tally} */
export function tallyUp(session, types) {
  const cells = whitesOf(session).map(({ cell }) => cell);
  const white = cells.filter((cell) => !types.isApart(cell.type));
  const done = white.filter((cell) => cell.tallied);
  const rows = types.list.map(({ name, key, apart }) => {
    const ofType = cells.filter((cell) => cell.type === name);
    const confirmed = ofType.filter((cell) => cell.tallied).length;
    const n = done.length;
    /** @type {[number, number] | null} */
    const interval = n && !apart ? wilson(confirmed, n) : null;
    const share = n ? confirmed / n : null;
    return { name, key, apart, confirmed, proposed: ofType.length - confirmed, share, interval };
  });
  const judged = cells.filter((cell) => cell.tallied && cell.proposed !== null);
  return {
    rows,
    white: white.length,
    confirmed: done.length,
    proposed: white.filter((cell) => !cell.tallied && cell.type !== null).length,
    untyped: white.filter((cell) => !cell.tallied && cell.type === null).length,
    judged: judged.length,
    right: judged.filter((cell) => cell.type === cell.proposed).length,
  };
}
