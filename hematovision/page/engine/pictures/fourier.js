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
 * Transform one line of a plane in place.
 * @param {Complex} plane @param {number} from @param {number} step @param {Float64Array} cos
 * @param {Float64Array} sin
 */
function transformLine({ re, im, side }, from, step, cos, sin) {
  for (let i = 1, j = 0; i < side; i++) {
    let bit = side >> 1;
    for (; j & bit; bit >>= 1) j ^= bit;
    j ^= bit;
    if (i >= j) continue;
    const [a, b] = [from + i * step, from + j * step];
    [re[a], re[b]] = [re[b], re[a]];
    [im[a], im[b]] = [im[b], im[a]];
  }
  for (let half = 1; half < side; half *= 2) {
    const turn = side / (2 * half);
    for (let start = 0; start < side; start += 2 * half) {
      for (let k = 0; k < half; k++) {
        const a = from + (start + k) * step;
        const b = a + half * step;
        const [c, s] = [cos[k * turn], sin[k * turn]];
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

/**
 * Transform a plane in place; the way back isn't scaled.
 * @param {Complex} plane @param {boolean} [back]
 */
export function transform(plane, back = false) {
  const { side } = plane;
  const sign = back ? 2 : -2;
  const angles = Array.from({ length: side / 2 }, (_, k) => (sign * Math.PI * k) / side);
  const cos = Float64Array.from(angles, Math.cos);
  const sin = Float64Array.from(angles, Math.sin);
  for (let k = 0; k < side; k++) transformLine(plane, k * side, 1, cos, sin);
  for (let k = 0; k < side; k++) transformLine(plane, k, side, cos, sin);
}
