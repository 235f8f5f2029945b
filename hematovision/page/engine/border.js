/**
 * Which cells the border cuts, and which of these a count takes. The twin of
 * `hematovision/cells/border.py`.
 */
import { REACH } from "../constants.js";
import { touches } from "./cells.js";

/** @typedef {import("./cells.js").Box} Box */
/** Which cells are counted of those that the border cuts. @typedef {"all" | "half" | "whole"} Rule */

/** @param {Box} box @param {number} width @param {number} height */
export const isCut = (box, width, height) => touches(box, width, height, REACH).includes(true);

/**
 * Whether a cell is counted by a rule: `half` takes those at the left and the top border but at
 * neither the right nor the bottom one, as at the edges of a counting chamber.
 * @param {Box} box @param {number} width @param {number} height @param {Rule} rule
 */
export function belongs(box, width, height, rule) {
  if (rule === "all") return true;
  if (rule === "whole") return !isCut(box, width, height);
  return box[2] < width - REACH && box[3] < height - REACH;
}
