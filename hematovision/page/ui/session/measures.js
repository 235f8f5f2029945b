/**
 * What is measured over fields: sizes of cells, numbers per field, cells seen twice left out.
 */
import { isRbc, isWhite, side, touches } from "../../engine/cells.js";
import { median, percentile } from "../../engine/pictures/numbers.js";
import { changes, counted } from "./session.js";

/** @typedef {import("./session.js").Field} Field */
/** @typedef {import("./session.js").Session} Session */

export const FEWEST = 3; // cells of which a median is told

/**
 * Sizes of a field's whole cells of a label, in pixels.
 * @param {Field} field @param {(label: string) => boolean} wanted
 */
export const sizesOf = (field, wanted) =>
  counted(field)
    .filter((cell) => wanted(cell.label))
    .filter((cell) => !touches(cell.box, field.width, field.height).includes(true))
    .map((cell) => side(cell.box));

/**
 * @param {number[]} sizes sorted
 * @returns {{middle: number, low: number, high: number, cv: number}} `cv` in per cent
 */
export function summarise(sizes) {
  const mean = sizes.reduce((sum, size) => sum + size, 0) / sizes.length;
  const squares = sizes.reduce((sum, size) => sum + (size - mean) ** 2, 0);
  const cv = (100 * Math.sqrt(squares / Math.max(1, sizes.length - 1))) / mean;
  const [low, middle, high] = [0.05, 0.5, 0.95].map((part) => percentile(sizes, part));
  return { low, middle, high, cv };
}

/**
 * What all fields together hold. `twice`: cells that lie in an earlier field too, and are counted
 * there; `perField`: mean of each label; `redPerWhite`: null where there is no white cell;
 * `redPx`: median red cell in pixels of its field.
 * @typedef {object} Totals
 * @property {number} fields @property {number} checked @property {number} byHand
 * @property {Record<string, number>} counts @property {number} twice
 * @property {Record<string, number>} perField @property {number | null} redPerWhite
 * @property {number[]} redPx @property {number} overlapping
 */

/** @param {Session} session @returns {Totals} */
export function totalsOf(session) {
  const { found } = session;
  const { labels } = session.model;
  const cells = found.flatMap((field) => counted(field));
  const once = cells.filter((cell) => !session.again.has(cell.id));
  const ofLabel = (/** @type {string} */ label) => once.filter((c) => c.label === label).length;
  const counts = Object.fromEntries(labels.map((label) => [label, ofLabel(label)]));
  const n = Math.max(1, found.length);
  const perField = Object.fromEntries(
    labels.map((label) => [label, cells.filter((c) => c.label === label).length / n]),
  );
  const red = once.filter((cell) => isRbc(cell.label)).length;
  const white = once.filter((cell) => isWhite(cell.label)).length;
  return {
    fields: found.length,
    checked: found.filter((field) => field.checked).length,
    byHand: found.reduce((sum, field) => sum + changes(field).all, 0),
    counts,
    twice: cells.length - once.length,
    perField,
    redPerWhite: white ? red / white : null,
    redPx: found
      .map((field) => sizesOf(field, isRbc))
      .filter((s) => s.length >= FEWEST)
      .map(median),
    overlapping: found.filter((field) => field.overlaps.length > 0).length,
  };
}
