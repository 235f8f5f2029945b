/**
 * How many pixels a red cell of a field is across, and whether what is found there agrees. The twin
 * of `hematovision/networks/scale.py`.
 */
import { side, touches } from "../cells.js";
import {
  CONVINCING,
  CROWD,
  EMPTY,
  FAINT,
  LOOK,
  MIN_CELL_PX,
  MIN_PROBABILITY,
  NEAR,
  OVERVIEW,
  PLACES,
  QUARTER,
  SCALE_DOUBTFUL,
  SCALE_LEAST,
  SEEN,
  SMALL,
  STEP,
  SURE,
  SURE_IN_CROWD,
} from "../../constants.js";
import { cut } from "../pictures/images.js";
import { clamp, median, percentile, round } from "../pictures/numbers.js";
import { blurAt, otsu, takeChannel } from "../pictures/raster.js";
import { resize } from "../pictures/resize.js";
import { findCells } from "./tiles.js";

/** @typedef {import("../cells.js").Found} Found */
/** @typedef {import("../pictures/images.js").Picture} Picture */
/** @typedef {import("../pictures/raster.js").Plane} Plane */
/** @typedef {import("./tiles.js").Run} Run */

/** @typedef {{cellPx: number, certain: boolean}} Scale */

/**
 * A part of a field: top, left, height, width.
 * @typedef {[number, number, number, number]} Place
 */

/**
 * What was seen in one part of a field at one scale: how large a red cell was supposed to be and
 * seems to be; what share of the dark is explained; of how many cells that tell the size, and their
 * median probability.
 * @typedef {{supposed: number, seen: number, explained: number, count: number,
 *   probability: number}} Look
 */

/** How much a look explains, the less its cells are fewer than SCALE_LEAST. @param {Look} look */
const weigh = ({ explained, count }) => (explained * Math.min(count, SCALE_LEAST)) / SCALE_LEAST;

/** Whether a look's cells are as probable as at about the right scale. @param {Look} look */
function isSure({ supposed, seen, count, probability }) {
  const crowd = count >= CROWD && Math.abs(Math.log(seen / supposed)) < NEAR;
  return probability >= (crowd ? SURE_IN_CROWD : SURE);
}

/** @param {Look} look @param {number} [minCount] */
const convinces = (look, minCount = SCALE_LEAST) =>
  look.count >= minCount && look.explained >= CONVINCING && isSure(look);

/**
 * The green channel at a size.
 * @param {Picture} image @param {number} width @param {number} height
 */
const greenOf = (image, width, height) => takeChannel(resize(image, width, height, true), 1);

/**
 * Green light of a field in overview, the ground's brightness, and where dark begins.
 * @param {Picture} image @returns {{green: Plane, bright: number, darkFrom: number}}
 */
export function measureGround(image) {
  const shrink = Math.max(image.height, image.width, OVERVIEW) / OVERVIEW;
  const width = Math.max(1, round(image.width / shrink));
  const height = Math.max(1, round(image.height / shrink));
  const green = greenOf(image, width, height);
  const level = otsu(green.data);
  const [pale, dark] = [green.data.filter((v) => v > level), green.data.filter((v) => v <= level)];
  const bright = pale.length ? median(pale) : green.data.reduce((a, b) => Math.max(a, b), 0);
  const dim = dark.length ? median(dark) : bright;
  return { green, bright, darkFrom: Math.min(bright - 0.35 * (bright - dim), bright - FAINT) };
}

/**
 * Share of what is darker than `darkFrom` that lies in boxes, each counted by its probability.
 * @param {Picture} image @param {Found[]} cells @param {number} darkFrom @param {number} scale
 */
export function explainDark(image, cells, darkFrom, scale) {
  const width = Math.max(1, round(image.width * scale));
  const height = Math.max(1, round(image.height * scale));
  const { data } = greenOf(image, width, height);
  const explained = new Float32Array(data.length);
  for (const { box, probability } of cells) {
    const [x0, y0, x1, y1] = box.map((v) => v * scale);
    for (let y = Math.trunc(y0); y < Math.min(height, Math.ceil(y1)); y++) {
      for (let x = Math.trunc(x0); x < Math.min(width, Math.ceil(x1)); x++) {
        const at = y * width + x;
        if (probability > explained[at]) explained[at] = probability;
      }
    }
  }
  let [dark, sum] = [0, 0];
  for (let i = 0; i < data.length; i++) {
    if (data[i] >= darkFrom) continue;
    dark += 1;
    sum += explained[i];
  }
  return dark / data.length < 0.002 ? 0 : sum / dark;
}

/**
 * The cells that tell the size of a red one: whole red cells; where there are fewer than three,
 * large ones of any label, else all whole ones, else all.
 * @param {Found[]} cells @param {number} width @param {number} height
 * @param {number[]} typical @param {boolean[]} red of each label
 */
export function pickTelling(cells, width, height, typical, red) {
  const whole = cells.filter((cell) => !touches(cell.box, width, height).includes(true));
  const ofRed = whole.filter((cell) => red[cell.label]);
  if (ofRed.length >= 3) return ofRed;
  const large = whole.filter((cell) => typical[cell.label] > SMALL);
  if (large.length >= 3) return large;
  return whole.length ? whole : cells;
}

/**
 * How large a red cell is by the median of cells.
 * @param {Found[]} cells @param {number[]} typical
 */
export const measureSeen = (cells, typical) =>
  median(cells.map((cell) => side(cell.box) / typical[cell.label]));

/** A number of whole steps from 0 to the end. @param {number} end */
const steps = (end) => Array.from({ length: PLACES }, (_, i) => (i * end) / (PLACES - 1));

/** Looks at a field with its light levelled. */
class Search {
  /** @param {Run} run @param {Picture} image @param {number[]} typical @param {boolean[]} red */
  constructor(run, image, typical, red) {
    this.run = run;
    this.image = image;
    this.typical = typical;
    this.red = red;
    const { green, bright, darkFrom } = measureGround(image);
    this.darkFrom = darkFrom;
    this.isEmpty = green.data.filter((v) => v < darkFrom).length / green.data.length < EMPTY;
    this.overview = green;
    this.shade = Float32Array.from(green.data, (v) => Math.max(bright - v, 0));
  }

  /**
   * Parts of the field to look at: first one that is as full as most that aren't empty, then those
   * far from the ones before.
   * @param {number} cellPx @returns {Generator<Place>}
   */
  *places(cellPx) {
    const { width, height } = this.image;
    const reach = Math.max(1, round((LOOK * cellPx) / SEEN));
    const [high, wide] = [Math.min(height, reach), Math.min(width, reach)];
    if (high === height && wide === width) {
      yield [0, 0, high, wide];
      return;
    }
    const { overview } = this;
    const shrink = height / overview.height;
    const [tops, lefts] = [steps(height - high), steps(width - wide)];
    /** @param {number} at @param {number} length */
    const within = (at, length) => clamp(Math.trunc(at / shrink), 0, length - 1);
    const rows = tops.map((top) => within(top + high / 2, overview.height));
    const columns = lefts.map((left) => within(left + wide / 2, overview.width));
    const across = Math.max(1, round(wide / shrink));
    const down = Math.max(1, round(high / shrink));
    const { width: w, height: h } = overview;
    const full = blurAt(this.shade, w, h, across, down, columns, rows).map((v) =>
      Math.fround(v + 1),
    );
    const most = Math.max(...full);
    const some = full.filter((v) => v > most / 4).sort((a, b) => a - b);
    const usual = percentile(some, 0.6);
    const odd = full.map((v) => 0.7 * Math.abs(Math.log(v / usual)));
    const at = full.map((_, i) => [Math.trunc(i / PLACES), i % PLACES]);
    const [y, x] = [0, 1].map((axis) => at.map((place) => (2 * place[axis]) / (PLACES - 1) - 1));
    /** @param {number} i @param {number} u @param {number} v */
    const apart = (i, u, v) => Math.sqrt((x[i] - u) ** 2 + (y[i] - v) ** 2);
    let best = indexOfLeast(odd.map((o, i) => o + 0.1 * apart(i, 0, 0)));
    let far = full.map(() => Infinity);
    for (let n = 0; n < PLACES; n++) {
      yield [Math.trunc(tops[at[best][0]]), Math.trunc(lefts[at[best][1]]), high, wide];
      const [u, v] = [x[best], y[best]];
      far = far.map((distance, i) => Math.min(distance, apart(i, u, v)));
      best = indexOfLeast(far.map((distance, i) => odd[i] - distance));
    }
  }

  /**
   * What is seen at a place where a red cell is supposed to be `cellPx` across.
   * @param {number} cellPx @param {Place} place @returns {Promise<Look>}
   */
  async look(cellPx, [top, left, high, wide]) {
    const { typical } = this;
    const part = cut(this.image, left, top, wide, high);
    const cells = await findCells(this.run, typical.length, part, cellPx, MIN_PROBABILITY, SEEN);
    const supposed = cellPx;
    if (!cells.length) return { supposed, seen: cellPx, explained: 0, count: 0, probability: 0 };
    const explained = explainDark(part, cells, this.darkFrom, SEEN / cellPx / QUARTER);
    const telling = pickTelling(cells, wide, high, typical, this.red);
    const probability = median(telling.map((cell) => cell.probability));
    const seen = measureSeen(telling, typical);
    return { supposed, seen, explained, count: telling.length, probability };
  }

  /** Look again at the scale that was seen, until it is the one supposed. @param {Look} look */
  async refine(look) {
    for (let n = 0; n < 3; n++) {
      if (look.count === 0 || Math.abs(Math.log(look.seen / look.supposed)) < NEAR) break;
      const [place] = this.places(look.seen);
      const again = await this.look(look.seen, place);
      if (again.explained < 0.7 * look.explained) break;
      look = again;
    }
    return look;
  }

  /** The first places to look at. @param {number} cellPx @param {number} n @returns {Place[]} */
  first(cellPx, n) {
    const chosen = [];
    for (const place of this.places(cellPx)) {
      chosen.push(place);
      if (chosen.length === n) break;
    }
    return chosen;
  }
}

/** @param {number[]} values */
const indexOfLeast = (values) => values.indexOf(Math.min(...values));

/**
 * How many pixels across a red cell of a field, levelled, is: from coarse to fine until cells
 * explain most of the dark.
 * @param {Run} run @param {Picture} image @param {number[]} typical side of a cell of each label in
 *   parts of a red cell's @param {boolean[]} red @returns {Promise<Scale>}
 */
export async function measureCellPx(run, image, typical, red) {
  const search = new Search(run, image, typical, red);
  /** @type {Look[]} */
  const looks = [];
  let cellPx = (SEEN * Math.max(image.height, image.width)) / LOOK;
  while (!looks.length || cellPx >= MIN_CELL_PX) {
    for (const place of search.first(cellPx, 2)) {
      looks.push(await search.look(cellPx, place));
      const last = looks[looks.length - 1];
      if (convinces(last, looks.length > 1 ? 5 : SCALE_LEAST)) {
        const look = await search.refine(last);
        if (convinces(look)) return { cellPx: look.seen, certain: true };
        looks.push(look);
      }
      if (looks[looks.length - 1].explained > 0.4) break;
    }
    cellPx /= STEP;
  }
  const most = Math.max(...looks.map(weigh));
  const best = await search.refine(/** @type {Look} */ (looks.find((l) => weigh(l) === most)));
  const agreeing = best.explained > 0.5 * best.explained ? [best] : [];
  for (const place of search.first(best.seen, 3)) {
    const look = await search.look(best.seen, place);
    if (look.explained > 0.5 * best.explained) agreeing.push(look);
  }
  const counted = agreeing.length ? agreeing : [{ ...best, count: 1 }];
  const weights = counted.map((look) => Math.max(look.count, 1));
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  const sum = counted.reduce((s, look, i) => s + weights[i] * Math.log(look.seen), 0);
  const certain = search.isEmpty || (weigh(best) >= SCALE_DOUBTFUL && isSure(best));
  return { cellPx: Math.exp(sum / total), certain };
}
