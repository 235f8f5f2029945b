/**
 * A field in, its cells out. The twin of `hematovision/networks/detector.py`.
 */
import { isRbc, overlap, side } from "../cells.js";
import {
  BLANK_SPREAD,
  CELL,
  LARGE,
  MOST_UNSURE,
  OFF,
  QUARTER,
  SAME_CELL,
  SAME_PLACE,
  SMALL,
  WITHIN,
  WITHIN_ALIKE,
} from "../../constants.js";
import { findFrame, trim } from "../pictures/frame.js";
import { cut, spread } from "../pictures/images.js";
import { isDarkField, levelLight, measureBrightness } from "../pictures/light.js";
import { cutPlane } from "../pictures/raster.js";
import { findDoubts } from "./doubts.js";
import { recallMany } from "./population.js";
import { measureCellPx, measureSeen, pickTelling } from "./scale.js";
import { findCells } from "./tiles.js";

/** @typedef {import("../cells.js").Box} Box */
/** @typedef {import("../cells.js").Found} Found */
/** @typedef {import("../pictures/images.js").Picture} Picture */
/** @typedef {import("../pictures/raster.js").Plane} Plane */
/** @typedef {import("./scale.js").Scale} Scale */
/** @typedef {import("./tiles.js").Run} Run */
/** Told what part is done. @typedef {(part: number) => void} Tell */

/**
 * What the model card says of fields.
 * @typedef {object} FieldCard
 * @property {string[]} labels
 * @property {Record<string, number>} thresholds
 * @property {Record<string, number>} typical_side
 */

/**
 * The cells of a field whose light is level, the most probable first.
 * @param {Run} run @param {Picture} levelled
 * @param {number[]} typical side of a cell of each label in parts of a red cell's
 * @param {number[]} lowest probability from which those of each label are listed
 * @param {number} cellPx pixels across a red cell @param {Tell} [tell]
 * @returns {Promise<Found[]>}
 */
export async function findInField(run, levelled, typical, lowest, cellPx, tell) {
  const least = Math.min(...lowest);
  const cells = await findCells(run, typical.length, levelled, cellPx, least, undefined, tell);
  return cells.filter((cell) => cell.probability >= lowest[cell.label]);
}

/** Whether a cell's centre lies in a frame. @param {Plane} frame @param {Found} cell */
function isWithin({ data, width, height }, { box }) {
  const [x, y] = [0, 1].map((k) => Math.trunc((box[k] + box[k + 2]) / 2 / QUARTER));
  return data[Math.min(y, height - 1) * width + Math.min(x, width - 1)] === 1;
}

/** @param {Box} box @param {number} x @param {number} y @returns {Box} */
const shift = ([x0, y0, x1, y1], x, y) => [x0 + x, y0 + y, x1 + x, y1 + y];

/** Pixels that two boxes share. @param {Found} a @param {Found} b */
function sharedArea({ box: a }, { box: b }) {
  const width = Math.min(a[2], b[2]) - Math.max(a[0], b[0]);
  const height = Math.min(a[3], b[3]) - Math.max(a[1], b[1]);
  return Math.max(width, 0) * Math.max(height, 0);
}

/**
 * The cells that are no other, more certain one once more: red ones whose boxes nearly agree; white
 * ones and platelets with what they largely contain or are contained in.
 * @param {Found[]} cells @param {number[]} thresholds of each label, by which certainty is measured
 * @param {number[]} typical @param {boolean[]} red @returns {Set<Found>}
 */
export function findSingles(cells, thresholds, typical, red) {
  const certainty = new Map(cells.map((cell) => [cell, cell.probability / thresholds[cell.label]]));
  /** @param {Found} cell */
  const sure = (cell) => certainty.get(cell) ?? 0;
  const order = [...cells].sort((a, b) => sure(b) - sure(a));
  /** @type {Found[]} */
  const single = [];
  for (const cell of order) {
    const again = single.some(
      (s) => s.label === cell.label && overlap(s.box, cell.box) > SAME_CELL,
    );
    if (!again) single.push(cell);
  }
  const kept = order.map((cell) => single.includes(cell));
  for (const [i, cell] of order.entries()) {
    if (!kept[i] || red[cell.label]) continue;
    const area = side(cell.box) ** 2;
    const large = typical[cell.label] > LARGE;
    const same = order.map((other, k) => {
      const shared = sharedArea(cell, other);
      if (!kept[k] || k === i || shared <= 0) return false;
      const area2 = side(other.box) ** 2;
      const smaller = Math.min(area, area2);
      const within = shared >= WITHIN * smaller;
      if (other.label === cell.label) return shared >= (large ? WITHIN_ALIKE : WITHIN) * smaller;
      const alike = shared >= SAME_PLACE * (area + area2 - shared);
      return alike || (within && red[other.label] && large);
    });
    if (same.slice(0, i).includes(true)) kept[i] = false;
    else for (let k = i; k < order.length; k++) kept[k] &&= !same[k];
  }
  return new Set(order.filter((_, i) => kept[i]));
}

/**
 * A scale that explains nothing isn't worth minutes: noise looks like cells of a few pixels.
 * @param {Scale} scale @param {number} pixels of the field @returns {Scale}
 */
function boundUnsure({ cellPx, certain }, pixels) {
  const least = CELL * Math.sqrt(pixels / MOST_UNSURE);
  return { cellPx: certain ? cellPx : Math.max(cellPx, least), certain };
}

/** Whether cells aren't of the size that was supposed. @param {number | null} seen @param {Scale} scale */
const isOff = (seen, { cellPx }) => seen !== null && Math.abs(Math.log(seen / cellPx)) > OFF;

/**
 * `levelled`: the field, its light levelled, where no frame was cut from it.
 * @typedef {{cells: Found[], scale: Scale, doubts: import("./doubts.js").Doubt[],
 *   levelled?: Picture}} Answer
 */

/** The exported network and its card. */
export class Detector {
  /** @param {FieldCard} card @param {Run} run */
  constructor(card, run) {
    this.run = run;
    this.labels = card.labels;
    this.thresholds = card.labels.map((label) => card.thresholds[label]);
    this.typical = card.labels.map((label) => card.typical_side[label]);
    const red = card.labels.map(isRbc);
    this.red = red.includes(true) ? red : this.typical.map((across) => across > SMALL);
  }

  /**
   * The cells of a field, and the scale they were found at: those from their label's threshold up,
   * and the less certain ones from `minProbability` up.
   * @param {Picture} whole @param {number} minProbability
   * @param {number | null} [cellPx] pixels across a red cell, where that is known
   * @param {Tell} [tell] @returns {Promise<Answer>}
   */
  async search(whole, minProbability, cellPx, tell) {
    const all = findFrame(whole);
    const [left, top, right, bottom] = trim(all, whole);
    const image = cut(whole, left, top, right - left, bottom - top);
    const frame = cutPlane(all, [left / QUARTER, top / QUARTER, all.width, all.height]);
    const framed = frame.data.includes(1);
    const levelled = levelLight(image, frame);
    const unknown = { cellPx: cellPx || Math.max(image.width, image.height), certain: true };
    if (spread(framed ? levelled : image) < BLANK_SPREAD)
      return { cells: [], scale: unknown, doubts: [] };
    const { run, typical } = this;
    const lowest = this.thresholds.map((threshold) => Math.min(threshold, minProbability));
    tell?.(0);
    let scale = unknown;
    const pixels = image.width * image.height;
    if (!cellPx) scale = await measureCellPx(run, levelled, typical, this.red);
    if (!cellPx) scale = boundUnsure(scale, pixels);
    tell?.(0);
    let cells = await findInField(run, levelled, typical, lowest, scale.cellPx, tell);
    let seen = cellPx ? null : this.measure(cells, image);
    if (isOff(seen, scale)) {
      scale = boundUnsure({ cellPx: /** @type {number} */ (seen), certain: scale.certain }, pixels);
      cells = await findInField(run, levelled, typical, lowest, scale.cellPx, tell);
      seen = this.measure(cells, image);
      if (isOff(seen, scale)) scale.certain = false;
    }
    if (seen) scale = { ...scale, cellPx: seen }; // by all cells, where the search has seen a few
    if (framed) cells = cells.filter((cell) => !isWithin(frame, cell));
    const recalling = recallMany(cells, (c) => this.isCounted(c), levelled, typical, this.red);
    const recalled = [...recalling.recalled].filter((cell) => this.isCounted(cell)).length;
    cells = this.leaveDoublesOut(recalling.cells);
    const counted = cells.filter((cell) => this.isCounted(cell));
    const brightness = measureBrightness(image);
    const doubts = findDoubts(counted, levelled, recalled, brightness, typical, this.red);
    if (isDarkField(image, frame)) doubts.unshift({ kind: "dark field", white: 0, red: 0 });
    const moved = cells.map((cell) => ({ ...cell, box: shift(cell.box, left, top) }));
    return { cells: moved, scale, doubts, ...(framed ? {} : { levelled }) };
  }

  /**
   * How large a red cell is by those counted, in pixels; null where fewer than three tell.
   * @param {Found[]} cells @param {Picture} image
   */
  measure(cells, image) {
    const counted = cells.filter((cell) => this.isCounted(cell));
    const telling = pickTelling(counted, image.width, image.height, this.typical, this.red);
    return telling.length < 3 ? null : measureSeen(telling, this.typical);
  }

  /** The cells without those that would be counted twice. @param {Found[]} cells */
  leaveDoublesOut(cells) {
    const counted = cells.filter((cell) => this.isCounted(cell));
    const singles = findSingles(counted, this.thresholds, this.typical, this.red);
    return cells.filter((cell) => !this.isCounted(cell) || singles.has(cell));
  }

  /** Whether a cell is certain enough to be counted. @param {Found} cell */
  isCounted(cell) {
    return cell.probability >= this.thresholds[cell.label];
  }
}
