/**
 * Which part of a field was in an earlier one already: phase correlation, and what it finds is
 * held against the pictures. The twin of `hematovision/answering/overlap.py`.
 */
import {
  ALIKE,
  BLUR,
  COARSE,
  LEAST_SHARED,
  PADDED,
  PEAKS,
  REFINED,
  SIDE,
  TWICE,
  WORTH,
} from "../constants.js";
import { emptyComplex, transform } from "./pictures/fourier.js";
import { findFrame } from "./pictures/frame.js";
import { levelLight } from "./pictures/light.js";
import { round } from "./pictures/numbers.js";
import { blur, takeChannel } from "./pictures/raster.js";
import { resize } from "./pictures/resize.js";

/** @typedef {import("./cells.js").Box} Box */
/** @typedef {import("./pictures/fourier.js").Complex} Complex */
/** @typedef {import("./pictures/images.js").Picture} Picture */
/** @typedef {import("./pictures/raster.js").Plane} Plane */

/**
 * A field in small: `fine`, and a quarter of that, sharpened, with its spectrum. `width`, `height`:
 * of the field.
 * @typedef {{width: number, height: number, fine: Plane, coarse: Sharp, spectrum: Complex}} Small
 */

/** Where a field's upper left corner lies in an earlier one, and what share of it they have in
 * common. @typedef {{x: number, y: number, share: number}} Shift */

/**
 * A plane less the mean of so many pixels around: light that falls askew goes.
 * @typedef {{data: Float64Array, width: number, height: number}} Sharp
 */

/**
 * A field in small, its frame left out: an eyepiece stays where it is while the stage moves.
 * @param {Picture} image @param {Picture} [level] the same, its light levelled @returns {Small}
 */
export function makeSmall(image, level = levelLight(image, findFrame(image))) {
  const { width, height } = image;
  const shrink = Math.max(1, Math.max(width, height) / SIDE);
  const at = (/** @type {number} */ length) => Math.max(COARSE, round(length / shrink));
  const fine = resize(level, at(width), at(height), true);
  const small = [fine.width, fine.height].map((n) => Math.max(1, Math.floor(n / COARSE)));
  const coarse = sharpen(takeChannel(resize(fine, small[0], small[1], true), 1), BLUR);
  return { width, height, fine: takeChannel(fine, 1), coarse, spectrum: spectrum(coarse) };
}

/** @param {Plane} plane @param {number} across @returns {Sharp} */
function sharpen({ data, width, height }, across) {
  const sharp = Float64Array.from(data);
  const means = blur(sharp, width, height, across, true);
  for (let i = 0; i < sharp.length; i++) sharp[i] -= means[i];
  return { data: sharp, width, height };
}

/** The transform of a small field, with nothing around. @param {Sharp} sharp */
function spectrum({ data, width }) {
  const padded = emptyComplex(PADDED);
  for (let i = 0; i < data.length; i++) {
    padded.re[Math.floor(i / width) * PADDED + (i % width)] = data[i];
  }
  transform(padded);
  return padded;
}

/**
 * Where two small fields may lie in one another by their spectra, the likeliest first: shifts of the
 * second in the first, in pixels of the planes.
 * @param {Complex} a @param {Complex} b @returns {[number, number][]}
 */
function correlate(a, b) {
  const peaks = emptyComplex(PADDED);
  for (let i = 0; i < a.re.length; i++) {
    const real = a.re[i] * b.re[i] + a.im[i] * b.im[i];
    const imaginary = a.im[i] * b.re[i] - a.re[i] * b.im[i];
    const size = Math.max(Math.sqrt(real * real + imaginary * imaginary), 1e-12);
    peaks.re[i] = real / size;
    peaks.im[i] = imaginary / size;
  }
  transform(peaks, true);
  const levels = peaks.re;
  /** @type {[number, number][]} */
  const shifts = [];
  for (let n = 0; n < PEAKS; n++) {
    let best = 0;
    for (let i = 1; i < levels.length; i++) if (levels[i] > levels[best]) best = i;
    const [x, y] = [best % PADDED, Math.floor(best / PADDED)];
    const half = PADDED / 2;
    shifts.push([x < half ? x : x - PADDED, y < half ? y : y - PADDED]);
    for (let v = y - 1; v <= y + 1; v++)
      for (let u = x - 1; u <= x + 1; u++)
        levels[((v + PADDED) % PADDED) * PADDED + ((u + PADDED) % PADDED)] = -Infinity;
  }
  return shifts;
}

/**
 * How alike two planes are where they lie over one another: Pearson's r; -1 where that is little.
 * @param {Sharp} first @param {Sharp} second @param {number} x @param {number} y of the second
 */
function likeness(first, second, x, y) {
  const { width, height } = first;
  const [left, right] = [Math.max(0, x), Math.min(width, x + width)];
  const [top, bottom] = [Math.max(0, y), Math.min(height, y + height)];
  const n = Math.max(0, right - left) * Math.max(0, bottom - top);
  if (n < LEAST_SHARED * width * height) return -1;
  let [a, b, aa, bb, ab] = [0, 0, 0, 0, 0];
  for (let v = top; v < bottom; v++) {
    for (let u = left; u < right; u++) {
      const p = first.data[v * width + u];
      const q = second.data[(v - y) * width + u - x];
      a += p;
      b += q;
      aa += p * p;
      bb += q * q;
      ab += p * q;
    }
  }
  const spread = Math.sqrt((aa - (a * a) / n) * (bb - (b * b) / n));
  return spread > 0 ? (ab - (a * b) / n) / spread : -1;
}

/**
 * Where a field lies in an earlier one of the same size; null where they share nothing.
 * @param {Small} earlier @param {Small} later @returns {Shift | null}
 */
export function findShift(earlier, later) {
  const { width, height } = earlier;
  if (later.width !== width || later.height !== height) return null;
  const rated = correlate(earlier.spectrum, later.spectrum).map(([x, y]) => ({
    at: [x, y],
    alike: likeness(earlier.coarse, later.coarse, x, y),
  }));
  const most = Math.max(...rated.map(({ alike }) => alike));
  if (most < WORTH * ALIKE) return null;
  const [x0, y0] = /** @type {any} */ (rated.find(({ alike }) => alike === most)).at;
  const [fine, other] = [earlier, later].map((one) => sharpen(one.fine, (COARSE * BLUR) | 1));
  let best = { x: 0, y: 0, alike: -1 };
  for (let y = COARSE * y0 - REFINED; y <= COARSE * y0 + REFINED; y++) {
    for (let x = COARSE * x0 - REFINED; x <= COARSE * x0 + REFINED; x++) {
      const alike = likeness(fine, other, x, y);
      if (alike > best.alike) best = { x, y, alike };
    }
  }
  if (best.alike < ALIKE) return null;
  const share = (1 - Math.abs(best.x) / fine.width) * (1 - Math.abs(best.y) / fine.height);
  return { x: (best.x * width) / fine.width, y: (best.y * height) / fine.height, share };
}

/**
 * Which cells of a field are cells of an earlier one again: pairs of indices, each cell in one at
 * most, those that share most first.
 * @param {{box: Box, label: string}[]} earlier @param {{box: Box, label: string}[]} later
 * @param {{x: number, y: number}} shift of the later field in the earlier one
 * @returns {[number, number][]}
 */
export function findAgain(earlier, later, { x, y }) {
  const pairs = later.flatMap((cell, j) =>
    earlier.flatMap((before, i) => {
      if (before.label !== cell.label) return [];
      const [a, b] = [before.box, cell.box];
      const wide = Math.min(a[2], b[2] + x) - Math.max(a[0], b[0] + x);
      const high = Math.min(a[3], b[3] + y) - Math.max(a[1], b[1] + y);
      const least = Math.min((a[2] - a[0]) * (a[3] - a[1]), (b[2] - b[0]) * (b[3] - b[1]));
      const part = wide > 0 && high > 0 ? (wide * high) / least : 0;
      return part >= TWICE ? [{ i, j, part }] : [];
    }),
  );
  pairs.sort((p, q) => q.part - p.part);
  const [first, second] = [new Set(), new Set()];
  /** @type {[number, number][]} */
  const again = [];
  for (const { i, j } of pairs) {
    if (first.has(i) || second.has(j)) continue;
    first.add(i);
    second.add(j);
    again.push([i, j]);
  }
  return again;
}
