/**
 * What OpenCV does to one channel of a picture: thresholds, pieces, morphology.
 */
import { round } from "./numbers.js";

/** One channel, row by row. @typedef {{data: Uint8Array, width: number, height: number}} Plane */

/** What hangs together: its box and its pixels. @typedef {object} Piece
 * @property {number} left @property {number} top @property {number} width
 * @property {number} height @property {number} area */

/** @param {number} width @param {number} height @returns {Plane} */
export const emptyPlane = (width, height) => ({
  data: new Uint8Array(width * height),
  width,
  height,
});

/**
 * A part of a mask.
 * @param {Plane} mask @param {[number, number, number, number]} area @returns {Plane}
 */
export function cutPlane({ data, width }, [left, top, right, bottom]) {
  const part = emptyPlane(right - left, bottom - top);
  for (let y = top; y < bottom; y++) {
    part.data.set(data.subarray(y * width + left, y * width + right), (y - top) * part.width);
  }
  return part;
}

/**
 * One channel of a picture.
 * @param {import("./images.js").Picture} image @param {number} channel @returns {Plane}
 */
export function takeChannel({ data, width, height }, channel) {
  const plane = emptyPlane(width, height);
  for (let i = 0, at = channel; i < plane.data.length; i++, at += 3) plane.data[i] = data[at];
  return plane;
}

/** 1 where a level is wanted. @param {Plane} plane @param {(level: number) => boolean} wanted */
export function select(plane, wanted) {
  const table = Uint8Array.from({ length: 256 }, (_, level) => Number(wanted(level)));
  return { ...plane, data: plane.data.map((level) => table[level]) };
}

/** @param {ArrayLike<number>} data */
export function countOf(data) {
  let count = 0;
  for (let i = 0; i < data.length; i++) count += data[i] ? 1 : 0;
  return count;
}

/**
 * The level that parts dark from bright best (Otsu, 1979), as OpenCV finds it.
 * @param {Uint8Array} levels
 */
export function otsu(levels) {
  const TINY = 2 ** -23;
  const share = new Float64Array(256);
  for (const level of levels) share[level] += 1;
  const unit = 1 / levels.length;
  let mean = 0;
  for (let i = 0; i < 256; i++) mean += i * share[i];
  mean *= unit;
  let [dark, darkMean, most, best] = [0, 0, 0, 0];
  for (let i = 0; i < 256; i++) {
    const here = share[i] * unit;
    darkMean *= dark;
    dark += here;
    const bright = 1 - dark;
    if (Math.min(dark, bright) < TINY || Math.max(dark, bright) > 1 - TINY) continue;
    darkMean = (darkMean + i * here) / dark;
    const brightMean = (mean - dark * darkMean) / bright;
    const between = dark * bright * (darkMean - brightMean) ** 2;
    if (between > most) [most, best] = [between, i];
  }
  return best;
}

/**
 * What hangs together, at sides or (by eight) at corners too: for each pixel the number of its
 * piece, 0 where the mask is 0, and the pieces, of which the first is number 1.
 * @param {Plane} mask @param {boolean} [byEight]
 * @returns {{numbers: Int32Array, pieces: Piece[]}}
 */
export function findPieces({ data, width, height }, byEight = true) {
  const numbers = new Int32Array(data.length);
  /** @type {Piece[]} */
  const pieces = [];
  /** @type {number[]} */
  const stack = [];
  for (let start = 0; start < data.length; start++) {
    if (!data[start] || numbers[start]) continue;
    const number = pieces.length + 1;
    let [x0, x1, y0, y1, area] = [width, 0, height, 0, 0];
    numbers[start] = number;
    stack.push(start);
    while (stack.length) {
      const at = /** @type {number} */ (stack.pop());
      const x = at % width;
      const y = (at - x) / width;
      area += 1;
      [x0, x1] = [Math.min(x0, x), Math.max(x1, x)];
      [y0, y1] = [Math.min(y0, y), Math.max(y1, y)];
      for (let v = Math.max(0, y - 1); v <= Math.min(height - 1, y + 1); v++) {
        for (let u = Math.max(0, x - 1); u <= Math.min(width - 1, x + 1); u++) {
          const next = v * width + u;
          if (!data[next] || numbers[next] || (!byEight && u !== x && v !== y)) continue;
          numbers[next] = number;
          stack.push(next);
        }
      }
    }
    pieces.push({ left: x0, top: y0, width: x1 - x0 + 1, height: y1 - y0 + 1, area });
  }
  return { numbers, pieces };
}

/**
 * What hangs together with a place at sides, where `belongs`: 1 there.
 * @param {number} width @param {number} height @param {number} x @param {number} y
 * @param {(at: number) => boolean} belongs @returns {Plane}
 */
export function flood(width, height, x, y, belongs) {
  const region = emptyPlane(width, height);
  const stack = [y * width + x];
  region.data[stack[0]] = 1;
  while (stack.length) {
    const at = /** @type {number} */ (stack.pop());
    const column = at % width;
    const next = [at - width, at + width];
    if (column > 0) next.push(at - 1);
    if (column < width - 1) next.push(at + 1);
    for (const one of next) {
      if (one < 0 || one >= region.data.length || region.data[one] || !belongs(one)) continue;
      region.data[one] = 1;
      stack.push(one);
    }
  }
  return region;
}

/**
 * The largest (or smallest) level within a kernel around each pixel; what is beyond the border
 * doesn't count. `halves[k]`: how far the kernel's k-th row reaches to either side.
 * @param {Plane} plane @param {number[]} halves @param {boolean} smallest @returns {Plane}
 */
export function morph({ data, width, height }, halves, smallest) {
  const sign = smallest ? 255 : 0; // the smallest is 255 less the largest of 255 less each
  const result = emptyPlane(width, height);
  const middle = (halves.length - 1) / 2;
  const row = new Uint8Array(width);
  for (const half of new Set(halves)) {
    const rows = halves.flatMap((h, k) => (h === half ? [k - middle] : []));
    for (let v = 0; v < height; v++) {
      slideMost(data.subarray(v * width, (v + 1) * width), half, sign, row);
      for (const offset of rows) {
        const y = v - offset;
        if (y < 0 || y >= height) continue;
        for (let x = 0, at = y * width; x < width; x++, at++) {
          if (row[x] > result.data[at]) result.data[at] = row[x];
        }
      }
    }
  }
  if (smallest) for (let i = 0; i < result.data.length; i++) result.data[i] ^= 255;
  return result;
}

/**
 * The largest of each pixel and `half` neighbours to either side (van Herk, 1992).
 * @param {Uint8Array} line @param {number} half @param {number} sign 255 turns levels around
 * @param {Uint8Array} most filled in
 */
function slideMost(line, half, sign, most) {
  const size = 2 * half + 1;
  const padded = new Uint8Array(Math.ceil((line.length + 2 * half) / size) * size);
  for (let i = 0; i < line.length; i++) padded[i + half] = line[i] ^ sign;
  const before = padded.slice();
  const after = padded.slice();
  for (let i = 1; i < padded.length; i++) {
    if (i % size && before[i - 1] > before[i]) before[i] = before[i - 1];
    const j = padded.length - 1 - i;
    if ((j + 1) % size && after[j + 1] > after[j]) after[j] = after[j + 1];
  }
  for (let i = 0; i < line.length; i++) most[i] = Math.max(after[i], before[i + size - 1]);
}

/** The rows of OpenCV's elliptic kernel, an odd number of pixels across. @param {number} side */
export function ellipse(side) {
  const r = side >> 1;
  return Array.from({ length: side }, (_, i) =>
    round(r * Math.sqrt((r * r - (i - r) ** 2) / (r * r))),
  );
}

/** The rows of a square kernel. @param {number} side odd */
export const square = (side) => new Array(side).fill(side >> 1);

/**
 * The sums of so many levels around each of a line, mirrored at its ends.
 * @param {Float64Array} levels @param {number} first place of the line
 * @param {number} step from one of its places to the next @param {number} n @param {number} half
 * @param {number} skipped 1: the line's last level isn't mirrored
 * @param {Float64Array} sums filled in at the line's places
 */
function sumLine(levels, first, step, n, half, skipped, sums) {
  const line = new Float64Array(n + 2 * half);
  for (let i = 0; i < line.length; i++) {
    let at = i - half;
    if (n === 1) at = 0;
    while (at < 0 || at >= n) at = at < 0 ? -at - 1 + skipped : 2 * n - 1 - skipped - at;
    line[i] = levels[first + step * at];
  }
  let sum = 0;
  for (let i = 0; i < 2 * half; i++) sum += line[i];
  for (let i = 0, at = first; i < n; i++, at += step) {
    sum += line[i + 2 * half];
    sums[at] = sum;
    sum -= line[i];
  }
}

/**
 * Means of a square around each place, mirrored at the border, as OpenCV's blur.
 * @param {Float64Array} levels @param {number} width @param {number} height
 * @param {number} across odd
 * @param {boolean} [twice] whether the border itself is mirrored (BORDER_REFLECT)
 * @returns {Float64Array}
 */
export function blur(levels, width, height, across, twice = false) {
  const [half, skipped] = [across >> 1, twice ? 0 : 1];
  const rows = new Float64Array(levels.length);
  const sums = new Float64Array(levels.length);
  for (let y = 0; y < height; y++) sumLine(levels, y * width, 1, width, half, skipped, rows);
  for (let x = 0; x < width; x++) sumLine(rows, x, width, height, half, skipped, sums);
  const area = across * across;
  for (let i = 0; i < sums.length; i++) sums[i] /= area;
  return sums;
}

/**
 * Means of a box around some places, mirrored at the border, as OpenCV's blur.
 * @param {Float32Array} shade @param {number} width @param {number} height
 * @param {number} wide @param {number} high @param {number[]} columns @param {number[]} rows
 */
export function blurAt(shade, width, height, wide, high, columns, rows) {
  /** @param {number} at @param {number} length */
  const mirror = (at, length) => {
    const turn = 2 * length;
    const inside = ((at % turn) + turn) % turn;
    return inside < length ? inside : turn - 1 - inside;
  };
  return rows.flatMap((row) =>
    columns.map((column) => {
      let sum = 0;
      for (let y = row - (high >> 1); y < row - (high >> 1) + high; y++) {
        const line = mirror(y, height) * width;
        for (let x = column - (wide >> 1); x < column - (wide >> 1) + wide; x++) {
          sum += shade[line + mirror(x, width)];
        }
      }
      return Math.fround(sum * (1 / (wide * high)));
    }),
  );
}
