/**
 * What was found in a field, and its geometry. The twin of `hematovision/cells/cells.py`.
 */

/**
 * xmin, ymin, xmax, ymax in pixels of the field. @typedef {[number, number, number, number]} Box
 */

/**
 * What a network found: `label` is an index into the detector's labels.
 * @typedef {{box: Box, label: number, probability: number}} Found
 */

/** Geometric mean of a box's width and height. @param {Box} box */
export const side = ([x0, y0, x1, y1]) => Math.sqrt(Math.max(x1 - x0, 0) * Math.max(y1 - y0, 0));

/** Intersection over union of two boxes. @param {Box} a @param {Box} b */
export function overlap(a, b) {
  const width = Math.min(a[2], b[2]) - Math.max(a[0], b[0]);
  const height = Math.min(a[3], b[3]) - Math.max(a[1], b[1]);
  const shared = width > 0 && height > 0 ? width * height : 0;
  const both = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]);
  return both > 0 ? shared / (both - shared) : 1;
}

/**
 * Whether a box reaches the left or right, and the top or bottom border.
 * @param {Box} box @param {number} width @param {number} height @returns {[boolean, boolean]}
 */
export function touches(box, width, height, margin = 2) {
  return [
    box[0] <= margin || box[2] >= width - margin,
    box[1] <= margin || box[3] >= height - margin,
  ];
}

/**
 * The whole pixels that a box covers, as `predict.py` gives them.
 * @param {Box} box @returns {Box}
 */
export const wholePixels = ([x0, y0, x1, y1]) => [
  Math.floor(x0),
  Math.floor(y0),
  Math.ceil(x1),
  Math.ceil(y1),
];

/** @param {string} label */
export const isRbc = (label) => label.toLowerCase() === "rbc";

/** @param {string} label */
export const isWhite = (label) => label.toLowerCase() === "wbc";
