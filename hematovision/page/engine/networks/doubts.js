/**
 * Doubts: why the counts of a field may be wrong. The twin of `hematovision/networks/doubts.py`.
 */
import {
  APART,
  DOUBTS_DARK,
  DOUBTS_DOUBTFUL,
  DOUBTS_LEAST,
  FEW_RED,
  LARGE,
  SMALL,
  WHITE_SHARE,
} from "../../constants.js";
import { median } from "../pictures/numbers.js";
import { countApart } from "./population.js";

/** @typedef {import("../cells.js").Found} Found */
/** @typedef {import("../pictures/images.js").Picture} Picture */

/** What a doubt says in words has its text in the page. @typedef {{kind: string, white: number,
 * red: number}} Doubt */

/**
 * @param {Found[]} cells the counted ones @param {Picture} levelled
 * @param {number} recalled how many of them were called white, but are of the many
 * @param {number} brightness of the ground @param {number[]} typical @param {boolean[]} red
 * @returns {Doubt[]} in the order of weight
 */
export function findDoubts(cells, levelled, recalled, brightness, typical, red) {
  const reds = cells.filter(({ label }) => red[label]);
  const whites = cells.filter(({ label }) => !red[label] && typical[label] > LARGE);
  const white = whites.length + recalled;
  /** @type {string[]} */
  const kinds = [];
  if (reds.length < FEW_RED && cells.length) kinds.push(reds.length ? "few red" : "no red");
  else if (white > WHITE_SHARE * reds.length) {
    const apart = countApart(cells, whites, levelled, typical, red, APART);
    if (apart < white / 2) kinds.push("white like red");
  }
  const large = cells.filter(({ label }) => typical[label] > SMALL);
  const middle = large.length && median(large.map(({ probability }) => probability));
  if (large.length >= DOUBTS_LEAST && middle < DOUBTS_DOUBTFUL) kinds.push("unsure");
  if (brightness < DOUBTS_DARK) kinds.push("dark");
  return kinds.map((kind) => ({ kind, white, red: reds.length }));
}
