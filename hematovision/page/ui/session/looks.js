/**
 * Which cells are to be looked at again: the rule of `hematovision/networks/looks.py`.
 */
import { TYPE_SURE } from "../../constants.js";
import { isWhite } from "../../engine/cells.js";

/** @typedef {import("./session.js").Cell} Cell */
/** @typedef {import("./session.js").Model} Model */

const SURE_OF_TYPE = 0.8; // share of the likeliest type from which it teaches little

/** Whether a person gave its type. @param {Cell} cell */
const isTypeGiven = ({ type, proposed }) => type !== null && type !== proposed;

/** Whether no type was named, or none for sure. @param {Model} model @param {Cell} cell */
export function wantsType({ kinds }, cell) {
  const { label, second } = cell;
  if (!second || isTypeGiven(cell)) return false;
  return !kinds[second.label]?.includes(label) || second.probability < TYPE_SURE;
}

/**
 * Whether it can't be told which type of white cell a cell is: to name it would teach a model. Then
 * `wantsType` holds too: of all classes a type's share is no larger than among types.
 * @param {Cell} cell
 */
export function isTypeOpen(cell) {
  if (!isWhite(cell.label) || isTypeGiven(cell)) return false;
  return typeof cell.second?.sure === "number" && cell.second.sure < SURE_OF_TYPE;
}

/**
 * How much a cell that nobody has settled wants another look: 0 sure, from 1 up doubtful.
 * @param {Model} model @param {Cell} cell
 */
export function rateDoubt(model, cell) {
  const { label, probability } = cell;
  if (probability === null) return 0;
  const threshold = model.thresholds[label];
  if (!cell.counted) return probability < model.nearly[label] ? 0 : 1 + probability / threshold;
  const near = 1 - (probability - threshold) / (1 - threshold);
  const open = wantsType(model, cell) ? 1.5 - (cell.second?.sure ?? 0) : 0;
  const reasons = (probability < model.sure[label] ? 1 : 0) + open;
  return reasons ? reasons + near : 0;
}
