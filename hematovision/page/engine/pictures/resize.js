/**
 * A picture at another size, to the grey level as OpenCV resizes it; tests hold the two equal.
 */
import { clamp, round } from "./numbers.js";

/** @typedef {import("./images.js").Picture} Picture */

/**
 * For each place along one side of a resized picture: where it starts in the source, and the
 * weights from there on, `weight[start[i]]` to `weight[start[i + 1] - 1]`.
 * @typedef {{first: Int32Array, start: Int32Array, weight: Float32Array}} Taps
 */

/** @param {number} width @param {number} height @returns {Picture} */
export const blank = (width, height) => ({
  data: new Uint8ClampedArray(3 * width * height),
  width,
  height,
});

/**
 * The scale of a side as OpenCV computes it, in this order.
 * @param {number} from @param {number} to
 */
const scaleOf = (from, to) => 1 / (to / from);

/**
 * Shares of the source pixels that a smaller one covers.
 * @param {number} from @param {number} to @returns {Taps}
 */
function areaTaps(from, to) {
  const scale = scaleOf(from, to);
  const first = new Int32Array(to);
  const start = new Int32Array(to + 1);
  const weight = new Float32Array(from + 2 * to);
  for (let i = 0, n = 0; i < to; i++) {
    const begin = i * scale;
    const end = begin + scale;
    const covered = Math.min(scale, from - begin);
    const last = Math.min(Math.floor(end), from - 1);
    const whole = Math.min(Math.ceil(begin), last);
    first[i] = whole;
    if (whole - begin > 1e-3) {
      first[i] = whole - 1;
      weight[n++] = (whole - begin) / covered;
    }
    for (let s = whole; s < last; s++) weight[n++] = 1 / covered;
    if (end - last > 1e-3) weight[n++] = Math.min(end - last, 1, covered) / covered;
    start[i + 1] = n;
  }
  return { first, start, weight };
}

/**
 * The two neighbours of each place, in 2048ths. `area`: as OpenCV's INTER_AREA where a side grows.
 * @param {number} from @param {number} to @param {boolean} area @returns {Taps}
 */
function linearTaps(from, to, area) {
  const scale = scaleOf(from, to);
  const first = new Int32Array(to);
  const start = Int32Array.from({ length: to + 1 }, (_, i) => 2 * i);
  const weight = new Float32Array(2 * to);
  for (let i = 0; i < to; i++) {
    let at = 0;
    let rest = 0;
    if (area) {
      at = Math.floor(i * scale);
      rest = Math.fround(i + 1 - (at + 1) * (to / from));
      rest = rest <= 0 ? 0 : Math.fround(rest - Math.floor(rest));
    } else {
      rest = Math.fround((i + 0.5) * scale - 0.5);
      at = Math.floor(rest);
      rest = Math.fround(rest - at);
    }
    first[i] = at;
    weight[2 * i] = round(Math.fround(Math.fround(1 - rest) * 2048));
    weight[2 * i + 1] = round(Math.fround(rest * 2048));
  }
  return { first, start, weight };
}

/** @param {Picture} image @param {number} width @param {number} height @returns {Picture} */
function shrinkWhole(image, width, height) {
  // Where each pixel is a block of whole ones OpenCV adds up in whole numbers.
  const across = image.width / width;
  const down = image.height / height;
  const part = Math.fround(1 / (across * down));
  const half = across === 2 && down === 2;
  const small = blank(width, height);
  for (let y = 0, p = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      for (let c = 0; c < 3; c++, p++) {
        let sum = 0;
        for (let v = 0; v < down; v++) {
          let q = 3 * ((y * down + v) * image.width + x * across) + c;
          for (let u = 0; u < across; u++, q += 3) sum += image.data[q];
        }
        small.data[p] = half ? (sum + 2) >> 2 : Math.fround(Math.fround(sum) * part);
      }
    }
  }
  return small;
}

/**
 * OpenCV's INTER_AREA of a picture that shrinks.
 * @param {Picture} image @param {number} width @param {number} height
 */
function shrink(image, width, height) {
  if (image.width % width === 0 && image.height % height === 0) {
    return shrinkWhole(image, width, height);
  }
  const { data } = image;
  const x = areaTaps(image.width, width);
  const y = areaTaps(image.height, height);
  const small = blank(width, height);
  const line = new Float32Array(3 * width);
  const sum = new Float32Array(3 * width);
  const { fround } = Math;
  for (let v = 0; v < height; v++) {
    for (let k = y.start[v]; k < y.start[v + 1]; k++) {
      const row = 3 * image.width * (y.first[v] + k - y.start[v]);
      for (let u = 0, p = 0; u < width; u++, p += 3) {
        let q = row + 3 * x.first[u];
        let [r, g, b] = [0, 0, 0];
        for (let j = x.start[u]; j < x.start[u + 1]; j++, q += 3) {
          const w = x.weight[j];
          r = fround(r + fround(w * data[q]));
          g = fround(g + fround(w * data[q + 1]));
          b = fround(b + fround(w * data[q + 2]));
        }
        line[p] = r;
        line[p + 1] = g;
        line[p + 2] = b;
      }
      const w = y.weight[k];
      if (k === y.start[v]) for (let p = 0; p < sum.length; p++) sum[p] = w * line[p];
      else for (let p = 0; p < sum.length; p++) sum[p] += fround(w * line[p]);
    }
    small.data.set(sum, 3 * width * v); // a clamped array rounds halves to the even level
  }
  return small;
}

/**
 * OpenCV's INTER_LINEAR, and its INTER_AREA of a picture of which one side grows.
 * @param {Picture} image @param {number} width @param {number} height @param {boolean} area
 */
function interpolate(image, width, height, area) {
  const { data } = image;
  const x = linearTaps(image.width, width, area);
  const y = linearTaps(image.height, height, area);
  const result = blank(width, height);
  /** @type {Map<number, Int32Array>} */
  const kept = new Map();
  /** @param {number} row */
  const across = (row) => {
    const at = clamp(row, 0, image.height - 1);
    const known = kept.get(at);
    if (known) return known;
    if (kept.size > 3) kept.clear();
    const line = new Int32Array(3 * width);
    for (let u = 0, p = 0; u < width; u++) {
      const inside = x.first[u] >= 0 && x.first[u] < image.width - 1;
      const q = 3 * (at * image.width + clamp(x.first[u], 0, image.width - 1));
      const [first, second] = [x.weight[2 * u], x.weight[2 * u + 1]];
      for (let c = 0; c < 3; c++) {
        line[p++] = inside ? first * data[q + c] + second * data[q + c + 3] : 2048 * data[q + c];
      }
    }
    kept.set(at, line);
    return line;
  };
  for (let v = 0, p = 0; v < height; v++) {
    const [first, second] = [y.weight[2 * v], y.weight[2 * v + 1]];
    const above = across(y.first[v]);
    const below = across(y.first[v] + 1);
    for (let u = 0; u < 3 * width; u++) {
      const upper = (first * (above[u] >> 4)) >> 16;
      const lower = (second * (below[u] >> 4)) >> 16;
      result.data[p++] = (upper + lower + 2) >> 2;
    }
  }
  return result;
}

/**
 * Resize as OpenCV does: by area where the picture `shrinks`, else between neighbours.
 * @param {Picture} image @param {number} width @param {number} height @param {boolean} [shrinks]
 * @returns {Picture}
 */
export function resize(image, width, height, shrinks = width < image.width) {
  if (width === image.width && height === image.height) return image;
  if (shrinks && width <= image.width && height <= image.height)
    return shrink(image, width, height);
  return interpolate(image, width, height, shrinks);
}
