/**
 * Numbers as Python and NumPy round and rank them.
 */

/** Python's `round`: halves to the even number. @param {number} x */
export function round(x) {
  const floor = Math.floor(x);
  const rest = x - floor;
  return rest > 0.5 || (rest === 0.5 && floor % 2 !== 0) ? floor + 1 : floor;
}

/** @param {number} x @param {number} low @param {number} high */
export const clamp = (x, low, high) => Math.min(Math.max(x, low), high);

/**
 * A percentile as NumPy interpolates it, of sorted values.
 * @param {ArrayLike<number>} sorted @param {number} part in [0, 1]
 */
export function percentile(sorted, part) {
  const at = part * (sorted.length - 1);
  const low = Math.floor(at);
  const below = sorted[low];
  const gap = sorted[Math.min(low + 1, sorted.length - 1)] - below;
  const rest = at - low;
  return rest < 0.5 ? below + gap * rest : below + gap - gap * (1 - rest);
}

/** The middle of values in any order. @param {ArrayLike<number>} values */
export function median(values) {
  const sorted = Float64Array.from(values).sort();
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}
