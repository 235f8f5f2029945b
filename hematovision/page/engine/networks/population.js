/**
 * The many of a field, and which cells are one of them whatever they were called. The twin of
 * `hematovision/networks/population.py`.
 */
import { DEVIATIONS, LARGE, MIDDLE, NARROWEST, POPULATION_LEAST, SMALL } from "../../constants.js";
import { side, touches } from "../cells.js";
import { DENSITY } from "../pictures/light.js";
import { clamp, median } from "../pictures/numbers.js";

/** @typedef {import("../cells.js").Box} Box */
/** @typedef {import("../cells.js").Found} Found */
/** @typedef {import("../pictures/images.js").Picture} Picture */

/**
 * Medians of log size and of density in red, green and blue light, and a robust deviation of each.
 * @typedef {{size: number, sizeSpread: number, density: number[], densitySpread: number[]}}
 *   Population
 */

/** Log of a cell's side in pixels. @param {Found} cell */
const sizeOf = ({ box }) => Math.log(Math.max(side(box), 1));

/**
 * Whether a cell of this log size and these densities is like the many, in each of the four.
 * @param {Population} many @param {number} size @param {number[]} density
 * @param {number} deviations
 */
export const holds = (many, size, density, deviations) =>
  Math.abs(size - many.size) <= deviations * many.sizeSpread &&
  density.every((v, c) => Math.abs(v - many.density[c]) <= deviations * many.densitySpread[c]);

/**
 * Mean optical density of the middle of a box, of red, green and blue light: a nucleus takes the
 * red that a red cell lets through.
 * @param {Picture} levelled @param {Box} box @returns {number[]}
 */
export function measureDensity({ data, width, height }, [x0, y0, x1, y1]) {
  const [wide, high] = [(x1 - x0) * MIDDLE, (y1 - y0) * MIDDLE];
  const left = clamp(Math.floor(x0 + wide), 0, width - 1);
  const top = clamp(Math.floor(y0 + high), 0, height - 1);
  const right = Math.max(clamp(Math.ceil(x1 - wide), 1, width), left + 1);
  const bottom = Math.max(clamp(Math.ceil(y1 - high), 1, height), top + 1);
  const sum = [0, 0, 0];
  for (let y = top; y < bottom; y++) {
    for (let x = left, i = 3 * (y * width + left); x < right; x++) {
      for (let c = 0; c < 3; c++) sum[c] += DENSITY[data[i++]];
    }
  }
  return sum.map((total) => total / ((bottom - top) * (right - left)));
}

/** @param {number[]} values @returns {[number, number]} median, and the deviation from it */
function spreadOf(values) {
  const middle = median(values);
  return [middle, 1.4826 * median(values.map((value) => Math.abs(value - middle)))];
}

/**
 * The many of a field: its whole cells but small ones, where half of these or more were called red,
 * else the red ones; null where they are few.
 * @param {Found[]} sure the cells that count @param {Picture} levelled @param {number[]} typical
 * @param {boolean[]} red @returns {Population | null}
 */
export function findMany(sure, levelled, typical, red) {
  const { width, height } = levelled;
  const whole = sure.filter(
    ({ box, label }) => !touches(box, width, height).includes(true) && typical[label] > SMALL,
  );
  const reds = whole.filter(({ label }) => red[label]);
  const many = 2 * reds.length >= whole.length ? whole : reds;
  if (many.length < POPULATION_LEAST) return null;
  const [size, sizeSpread] = spreadOf(many.map(sizeOf));
  const densities = many.map(({ box }) => measureDensity(levelled, box));
  const spreads = [0, 1, 2].map((c) => spreadOf(densities.map((density) => density[c])));
  return {
    size,
    sizeSpread: Math.max(sizeSpread, NARROWEST),
    density: spreads.map(([middle]) => middle),
    densitySpread: spreads.map(([, spread]) => Math.max(spread, NARROWEST)),
  };
}

/**
 * The cells, those called red that were called white but are one of the many, and these.
 * @param {Found[]} cells @param {(cell: Found) => boolean} isSure @param {Picture} levelled
 * @param {number[]} typical @param {boolean[]} red
 * @returns {{cells: Found[], recalled: Set<Found>}} `recalled`: as they were
 */
export function recallMany(cells, isSure, levelled, typical, red) {
  const white = cells.filter(({ label }) => typical[label] > LARGE && !red[label]);
  const many = white.length ? findMany(cells.filter(isSure), levelled, typical, red) : null;
  if (!many || !red.includes(true)) return { cells, recalled: new Set() };
  const recalled = new Set(
    white.filter((cell) =>
      holds(many, sizeOf(cell), measureDensity(levelled, cell.box), DEVIATIONS),
    ),
  );
  const label = red.indexOf(true);
  const called = cells.map((cell) => (recalled.has(cell) ? { ...cell, label } : cell));
  return { cells: called, recalled };
}

/**
 * How many of the white cells are told apart from the many by size or density.
 * @param {Found[]} cells the counted ones @param {Found[]} white @param {Picture} levelled
 * @param {number[]} typical @param {boolean[]} red @param {number} deviations
 */
export function countApart(cells, white, levelled, typical, red, deviations) {
  const many = findMany(cells, levelled, typical, red);
  if (!many) return white.length;
  return white.filter(
    (cell) => !holds(many, sizeOf(cell), measureDensity(levelled, cell.box), deviations),
  ).length;
}
