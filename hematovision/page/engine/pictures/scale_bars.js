/**
 * Scale bars, with the lettering beside them. The twin of that part of `hematovision/pictures/frame.py`.
 */
import { CONTRAST, HIGH, LOW, FRAME_PLAIN } from "../../constants.js";
import { median } from "./numbers.js";
import { countOf, cutPlane, emptyPlane, findPieces, select, takeChannel } from "./raster.js";

/** @typedef {import("./images.js").Picture} Picture */
/** @typedef {import("./raster.js").Plane} Plane */
/** Left, top, right, bottom. @typedef {[number, number, number, number]} Area */

/**
 * A bar is a long, thin rectangle, a fourteenth of the picture or more, that stands out from what
 * is
 * above and below. Black and white,
 * red, green and yellow: all of them are extreme in green.
 * @param {Picture} image @returns {Area[]}
 */
export function findScaleBars(image) {
  const { width, height } = image;
  const length = Math.max(24, Math.floor(width / 14)) | 1;
  const thickest = Math.max(6, Math.floor(height / 40));
  const high = (Math.floor(thickest / 3) + 2) | 1;
  const sample = everyThirdRow(image);
  /** @type {Area[]} */
  const found = [];
  for (const bright of [false, true]) {
    const wanted = (/** @type {number} */ level) => (bright ? level > HIGH : level <= LOW);
    const drawn = select(sample, wanted);
    const runs = countLongRuns(drawn, length);
    // Where so much is that bright, it is the ground, on which no bar of that kind can be seen.
    if (!(runs > 0 && runs < (bright ? 0.02 : 0.2) * sample.data.length)) continue;
    // Nuclei have long runs too, but hardly where they aren't high as well.
    if (!countLongRuns(withoutHigh(drawn, high), length)) continue;
    const green = takeChannel(image, 1);
    const ink = select(green, wanted);
    for (const { left, top, width: w, height: h, area } of findPieces(longRuns(ink, length), false)
      .pieces) {
      const thin = h >= 2 && h <= thickest && w >= 6 * h && area >= 0.9 * w * h;
      if (!thin || top === 0 || top + h >= height) continue;
      if (isScaleBar(image, green, ink, left, top, w, h))
        found.push(addLettering(ink, left, top, w, h));
    }
  }
  return found;
}

/** @param {Picture} image @returns {Plane} the green channel of it */
function everyThirdRow({ data, width, height }) {
  const sample = emptyPlane(width, Math.ceil(height / 3));
  for (let y = 0, i = 0; y < height; y += 3) {
    for (let x = 0; x < width; x++) sample.data[i++] = data[3 * (y * width + x) + 1];
  }
  return sample;
}

/**
 * What an erosion by a line of so many pixels leaves of a mask.
 * @param {Plane} mask @param {number} length
 */
function countLongRuns({ data, width }, length) {
  let [count, run] = [0, 0];
  for (let i = 0; i < data.length; i++) {
    if (i % width === 0) run = 0;
    run = data[i] ? run + 1 : 0;
    if (run >= length) count += 1;
  }
  return count;
}

/**
 * A mask without its upright runs of so many pixels at least.
 * @param {Plane} mask @param {number} length @returns {Plane}
 */
function withoutHigh(mask, length) {
  const { data, width, height } = mask;
  const kept = { ...mask, data: data.slice() };
  for (let x = 0; x < width; x++) {
    for (let y = 0, run = 0; y <= height; y++) {
      if (y < height && data[y * width + x]) run += 1;
      else {
        if (run >= length) for (let v = y - run; v < y; v++) kept.data[v * width + x] = 0;
        run = 0;
      }
    }
  }
  return kept;
}

/**
 * The pixels of a mask that lie in runs of so many at least.
 * @param {Plane} mask @param {number} length
 */
function longRuns(mask, length) {
  const { data, width, height } = mask;
  const kept = emptyPlane(width, height);
  for (let y = 0; y < height; y++) {
    for (let x = 0, run = 0; x <= width; x++) {
      const on = x < width && data[y * width + x];
      if (on) run += 1;
      else {
        const from = y * width + x - run;
        if (run >= length) kept.data.fill(1, from, Math.min(from + run, (y + 1) * width));
        run = 0;
      }
    }
  }
  return kept;
}

/**
 * Whether a thin rectangle is a bar: even, alone, and unlike what is above and below.
 * @param {Picture} image @param {Plane} green @param {Plane} ink
 * @param {number} x @param {number} y @param {number} w @param {number} h
 */
function isScaleBar(image, green, ink, x, y, w, h) {
  const rows = [y + Math.floor(h / 3), y + h - Math.floor(h / 3)];
  /** @type {number[]} */
  const core = [];
  let plain = true;
  for (let v = rows[0]; v < rows[1]; v++) {
    for (let c = 0; c < 3; c++) {
      const line = [];
      for (let u = x + 2; u < x + w - 2; u++) line.push(image.data[3 * (v * image.width + u) + c]);
      plain &&= deviation(line) <= FRAME_PLAIN;
      if (c === 1) core.push(...line);
    }
  }
  const bar = median(core);
  const beside = [y - 3, y + h + 2].filter((k) => k >= 0 && k < image.height);
  const apart = beside.every((k) => {
    const line = green.data.subarray(k * image.width + x, k * image.width + x + w);
    return Math.abs(median([...line]) - bar) >= CONTRAST;
  });
  return apart && plain && measurePiece(ink, x, y, w, h) < 1.5 * w * h;
}

/** @param {number[]} values */
function deviation(values) {
  const mean = values.reduce((sum, v) => sum + v, 0) / values.length;
  return Math.sqrt(values.reduce((sum, v) => sum + (v - mean) ** 2, 0) / values.length);
}

/**
 * Pixels near a bar that hang together with it: few more than its own, but for end caps.
 * @param {Plane} ink @param {number} x @param {number} y @param {number} w @param {number} h
 */
function measurePiece(ink, x, y, w, h) {
  const right = Math.min(ink.width, x + w + 4 * h);
  const bottom = Math.min(ink.height, y + 5 * h);
  const near = cutPlane(ink, [Math.max(0, x - 4 * h), Math.max(0, y - 4 * h), right, bottom]);
  const { numbers, pieces } = findPieces(near);
  const middle = (Math.min(y, 4 * h) + (h >> 1)) * near.width + Math.min(x, 4 * h) + (w >> 1);
  const number = numbers[middle];
  return number ? pieces[number - 1].area : near.data.length - countOf(near.data);
}

/**
 * The box around a scale bar and what is written in its ink just above or below it.
 * @param {Plane} ink @param {number} x @param {number} y @param {number} w @param {number} h
 * @returns {Area}
 */
function addLettering(ink, x, y, w, h) {
  const { width, height } = ink;
  const tall = Math.max(Math.floor(height / 12), 4 * h);
  const top = Math.max(0, y - 2 * tall);
  const left = Math.max(0, x - (w >> 1));
  const right = Math.min(width, x + w + (w >> 1));
  const bottom = Math.min(height, y + h + 2 * tall);
  let [x0, y0, x1, y1] = [x, y, x + w, y + h];
  for (const piece of findPieces(cutPlane(ink, [left, top, right, bottom])).pieces) {
    if (piece.height > tall || piece.width > 2 * tall) continue;
    [x0, y0] = [Math.min(x0, left + piece.left), Math.min(y0, top + piece.top)];
    x1 = Math.max(x1, left + piece.left + piece.width);
    y1 = Math.max(y1, top + piece.top + piece.height);
  }
  const margin = Math.max(2, h);
  return [
    Math.max(0, x0 - margin),
    Math.max(0, y0 - margin),
    Math.min(width, x1 + margin),
    Math.min(height, y1 + margin),
  ];
}
