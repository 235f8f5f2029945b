/**
 * Discrete Fourier transforms of square planes whose side is a power of two (Cooley and Tukey,
 * 1965).
 */

/** A complex plane, row by row. @typedef {{re: Float64Array, im: Float64Array, side: number}} Complex */

/** @param {number} side @returns {Complex} */
export const emptyComplex = (side) => ({
  re: new Float64Array(side * side),
  im: new Float64Array(side * side),
  side,
});

/**
 * What every transform of a side needs: where each place of a line goes, and the turns.
 * @type {Map<number, {swapped: Uint16Array, cos: Float64Array, sin: Float64Array}>}
 */
const plans = new Map();

/** @param {number} side */
function plan(side) {
  const known = plans.get(side);
  if (known) return known;
  const swapped = new Uint16Array(side);
  for (let i = 1; i < side; i++) swapped[i] = (swapped[i >> 1] >> 1) | (i & 1 ? side >> 1 : 0);
  const angles = Array.from({ length: side / 2 }, (_, k) => (-2 * Math.PI * k) / side);
  const made = {
    swapped,
    cos: Float64Array.from(angles, Math.cos),
    sin: Float64Array.from(angles, Math.sin),
  };
  plans.set(side, made);
  return made;
}

/**
 * Transform a plane's rows in place.
 * @param {Complex} plane @param {boolean} back
 */
function transformRows({ re, im, side }, back) {
  const { swapped, cos, sin } = plan(side);
  const sign = back ? -1 : 1;
  for (let from = 0; from < side * side; from += side) {
    for (let i = 0; i < side; i++) {
      if (i >= swapped[i]) continue;
      const [a, b] = [from + i, from + swapped[i]];
      const [real, imaginary] = [re[a], im[a]];
      re[a] = re[b];
      im[a] = im[b];
      re[b] = real;
      im[b] = imaginary;
    }
    for (let half = 1; half < side; half *= 2) {
      const turn = side / (2 * half);
      for (let k = 0; k < half; k++) {
        const c = cos[k * turn];
        const s = sign * sin[k * turn];
        for (let a = from + k; a < from + side; a += 2 * half) {
          const b = a + half;
          const real = re[b] * c - im[b] * s;
          const imaginary = re[b] * s + im[b] * c;
          re[b] = re[a] - real;
          im[b] = im[a] - imaginary;
          re[a] += real;
          im[a] += imaginary;
        }
      }
    }
  }
}

/** Rows become columns, in place. @param {Float64Array} levels @param {number} side */
function turn(levels, side) {
  for (let y = 0; y < side; y++) {
    for (let x = y + 1; x < side; x++) {
      const level = levels[y * side + x];
      levels[y * side + x] = levels[x * side + y];
      levels[x * side + y] = level;
    }
  }
}

/**
 * Transform a plane in place; the way back isn't scaled.
 * @param {Complex} plane @param {boolean} [back]
 */
export function transform(plane, back = false) {
  for (let pass = 0; pass < 2; pass++) {
    transformRows(plane, back);
    turn(plane.re, plane.side);
    turn(plane.im, plane.side);
  }
}
