/**
 * A field in, its cells out. The twin of `hematovision/detector.py`, function by function.
 */
import { isSliver, median, overlap, side, touches } from "./cells.js";
import {
  CELL,
  EVEN,
  FIRST_LOOK,
  LEAST_CELL,
  LEAST_SHOWN,
  MOST_LOOKS,
  OVERLAP,
  OVERLAPPING,
  STRIDE,
  TILE,
} from "./constants.js";
import { clamp, cut, levelLight, resize, round, spread } from "./images.js";

/** @typedef {import("./cells.js").Box} Box */
/** @typedef {import("./cells.js").Found} Found */
/** @typedef {import("./images.js").Picture} Picture */

/**
 * The network: a picture whose sides are multiples of 32 to its answer, row by row, for each place
 * the heat of each label and four distances.
 * @typedef {(picture: Picture) => Promise<Float32Array>} Run
 */

/**
 * What the model card says of fields.
 * @typedef {object} FieldCard
 * @property {string[]} labels
 * @property {Record<string, number>} thresholds
 * @property {Record<string, number>} typical_side
 */

/** The multiple of 32 nearest to a length in pixels. @param {number} length */
export const networkSize = (length) => Math.max(64, round(length / 32) * 32);

/** Most probable first; of equals, as they come. @param {Found[]} cells */
const byProbability = (cells) => cells.sort((a, b) => b.probability - a.probability);

/**
 * Whether no neighbour of a place is more likely for a label.
 * @param {Float32Array} answer @param {number} depth @param {number} w @param {number} h
 * @param {number} x @param {number} y @param {number} label
 */
function isPeak(answer, depth, w, h, x, y, label) {
  const heat = answer[(y * w + x) * depth + label];
  for (let v = Math.max(0, y - 1); v <= Math.min(h - 1, y + 1); v++) {
    for (let u = Math.max(0, x - 1); u <= Math.min(w - 1, x + 1); u++) {
      if (answer[(v * w + u) * depth + label] > heat) return false;
    }
  }
  return true;
}

/**
 * Cells from the network's answer to a picture of `width` x `height`, from probability `least` up;
 * of boxes of one label that overlap by more than OVERLAPPING the most likely stays.
 * @param {Float32Array} answer @param {number} labels @param {number} width @param {number} height
 * @param {number} least @returns {Found[]}
 */
export function decode(answer, labels, width, height, least) {
  const w = width / STRIDE;
  const h = height / STRIDE;
  const depth = labels + 4;
  const lowest = Math.fround(least);
  /** @type {Found[]} */
  const found = [];
  for (let y = 0; y < h; y++) {
    for (let x = 0; x < w; x++) {
      const at = (y * w + x) * depth;
      for (let label = 0; label < labels; label++) {
        const probability = answer[at + label];
        if (!(probability >= lowest) || !isPeak(answer, depth, w, h, x, y, label)) continue;
        const [left, top, right, bottom] = answer.subarray(at + labels, at + depth);
        const corners = [x + 0.5 - left, y + 0.5 - top, x + 0.5 + right, y + 0.5 + bottom];
        const box = /** @type {Box} */ (
          corners.map((corner, i) => clamp(corner * STRIDE, 0, i % 2 ? height : width))
        );
        found.push({ box, label, probability });
      }
    }
  }
  /** @type {Found[]} */
  const kept = [];
  for (const cell of byProbability(found)) {
    const again = kept.some((k) => k.label === cell.label && overlap(k.box, cell.box) > OVERLAPPING);
    if (!again) kept.push(cell);
  }
  return kept;
}

/**
 * Tiles along one side of a field: where each begins and ends, and what it answers for.
 * @param {number} length @param {number} scale @returns {[number, number, number, number][]}
 */
export function spreadTiles(length, scale) {
  const large = length * scale > TILE;
  const count = large ? Math.ceil((length * scale - OVERLAP) / (TILE - OVERLAP)) : 1;
  const span = count > 1 ? Math.min(length, Math.ceil(TILE / scale)) : length;
  const step = count > 1 ? (length - span) / (count - 1) : 0;
  const starts = Array.from({ length: count }, (_, i) => round(i * step));
  const seams = starts.slice(1).map((start, i) => (start + starts[i] + span) / 2);
  const edges = [-Infinity, ...seams, Infinity];
  return starts.map((start, i) => [start, start + span, edges[i], edges[i + 1]]);
}

/**
 * Every cell of a field whose red cells are `cell` pixels across, from probability `least` up.
 * @param {Run} run @param {number} labels @param {Picture} image @param {number} cell
 * @param {number} least @param {(part: number) => Promise<void>} [tell] told what part is done
 * @returns {Promise<Found[]>}
 */
export async function findCells(run, labels, image, cell, least, tell) {
  const scale = CELL / cell;
  const columns = spreadTiles(image.width, scale);
  const rows = spreadTiles(image.height, scale);
  /** @type {Found[]} */
  const found = [];
  let done = 0;
  for (const [left, right, x0, x1] of columns) {
    for (const [top, bottom, y0, y1] of rows) {
      const tile = cut(image, left, top, right - left, bottom - top);
      const width = networkSize(tile.width * scale);
      const height = networkSize(tile.height * scale);
      const answer = await run(resize(tile, width, height));
      const [sx, sy] = [tile.width / width, tile.height / height];
      for (const one of decode(answer, labels, width, height, least)) {
        const [a, b, c, d] = one.box;
        /** @type {Box} */
        const box = [a * sx + left, b * sy + top, c * sx + left, d * sy + top];
        const [x, y] = [(box[0] + box[2]) / 2, (box[1] + box[3]) / 2];
        if (x >= x0 && x < x1 && y >= y0 && y < y1) found.push({ ...one, box });
      }
      done += 1;
      await tell?.(done / (columns.length * rows.length));
    }
  }
  return byProbability(found);
}

/**
 * How many pixels of the field a red cell is across, from a few looks at low resolution.
 * @param {Run} run @param {Picture} image
 * @param {number[]} typical side of a cell of each label in parts of a red cell's
 */
export async function estimateCell(run, image, typical) {
  const { width, height } = image;
  let guess = (CELL * Math.max(width, height)) / FIRST_LOOK;
  let cell = guess;
  for (let look = 0; look < MOST_LOOKS; look++) {
    const reach = Math.max(1, round((FIRST_LOOK * guess) / CELL));
    const [w, h] = [Math.min(width, reach), Math.min(height, reach)];
    const left = Math.floor((width - w) / 2);
    const top = Math.floor((height - h) / 2);
    const part = cut(image, left, top, w, h);
    const cells = await findCells(run, typical.length, part, guess, 0.3);
    const inside = cells.filter((c) => !touches(c.box, w, h).includes(true));
    const whole = inside.length >= 3 ? inside : cells;
    if (whole.length === 0) {
      guess /= 2.5;
      if (guess < LEAST_CELL) break;
      continue;
    }
    cell = median(whole.map((c) => side(c.box) / typical[c.label]));
    const change = Math.abs(Math.log(cell / guess));
    const conviction = median(whole.map((c) => c.probability));
    if (change < 0.1 || (change < 0.45 && conviction >= 0.45)) break;
    guess = cell;
  }
  return cell;
}

/** The exported network and its card. */
export class Detector {
  /** @param {FieldCard} card @param {Run} run */
  constructor(card, run) {
    this.run = run;
    this.labels = card.labels;
    this.thresholds = card.labels.map((label) => card.thresholds[label]);
    this.typical = card.labels.map((label) => card.typical_side[label]);
  }

  /**
   * The cells of a field, the most probable first: those from their label's threshold up, and the
   * less certain ones from probability `least` up.
   * @param {Picture} image @param {number} least
   * @param {(part: number) => Promise<void>} [tell]
   * @returns {Promise<{cells: Found[], cell: number | null}>} `cell`: pixels across a red cell
   */
  async find(image, least, tell) {
    if (spread(image) < EVEN) return { cells: [], cell: null };
    const levelled = levelLight(image);
    await tell?.(0);
    const cell = await estimateCell(this.run, levelled, this.typical);
    await tell?.(0);
    const lowest = this.thresholds.map((threshold) => Math.min(threshold, least));
    const labels = this.labels.length;
    const cells = await findCells(this.run, labels, levelled, cell, Math.min(...lowest), tell);
    const thinnest = 0.9 * LEAST_SHOWN * cell;
    const kept = cells.filter((one) => {
      const small = this.typical[one.label] < 2 * LEAST_SHOWN; // a platelet is no sliver
      const sliver = isSliver(one.box, image.width, image.height, thinnest);
      return one.probability >= lowest[one.label] && (small || !sliver);
    });
    return { cells: kept, cell };
  }

  /** Whether a cell is certain enough to be counted. @param {Found} cell */
  isCounted(cell) {
    return cell.probability >= this.thresholds[cell.label];
  }
}
