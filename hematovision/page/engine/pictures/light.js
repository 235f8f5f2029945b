/**
 * The light of a picture: brought to one colour, as density, as brightness. The twin of
 * `hematovision/pictures/light.py`.
 */
import {
  GROUND,
  LIGHT_BORDER,
  LIGHT_DARK,
  LIGHT_SMOOTHEST,
  LIGHT_WINDOW,
  QUARTER,
} from "../../constants.js";
import { clamp, median, percentile, round } from "./numbers.js";
import { blur, countOf, otsu } from "./raster.js";
import { blank, resize } from "./resize.js";

/** @typedef {import("./images.js").Picture} Picture */
/** @typedef {import("./raster.js").Plane} Plane */

/** Optical density by pixel value; black counts as what passes a fiftieth of the light. */
export const DENSITY = Float64Array.from(
  { length: 256 },
  (_, level) => -Math.log(Math.max(level / 255, 0.02)),
);

/**
 * Median green light of what is paler than Otsu's threshold in a picture: the ground's.
 * @param {Picture} image
 */
export function measureBrightness({ data, width, height }) {
  /** @type {number[]} */
  const green = [];
  for (let y = 0; y < height; y += 4)
    for (let x = 0; x < width; x += 4) green.push(data[3 * (y * width + x) + 1]);
  const level = otsu(Uint8Array.from(green));
  const pale = green.filter((value) => value > level);
  return median(pale.length ? pale : green);
}

/**
 * Whether a field can't be one in bright field, since its ground is dark: fluorescence, a negative.
 * @param {Picture} image @param {Plane} [frame] @returns {boolean}
 */
export function isDarkField(image, frame) {
  const reduction = Math.max(1, Math.floor(Math.max(image.width, image.height) / 400));
  const width = Math.max(1, Math.floor(image.width / reduction));
  const height = Math.max(1, Math.floor(image.height / reduction));
  const { data } = resize(image, width, height, true);
  const grey = Float64Array.from(
    { length: width * height },
    (_, i) => (data[3 * i] + data[3 * i + 1] + data[3 * i + 2]) / 3,
  );
  const left = round(LIGHT_BORDER * width);
  const top = round(LIGHT_BORDER * height);
  const framed = frame && frame.data.includes(1) ? frame : null;
  /** @type {number[]} */
  const inside = [];
  for (let y = top; y < height - top; y++) {
    for (let x = left; x < width - left; x++) {
      if (!framed || !isNearFrame(image, framed, x, y, width, height)) inside.push(y * width + x);
    }
  }
  if (!inside.length) return false;
  const mean = blur(grey, width, height, LIGHT_WINDOW);
  // Half of the smoothest have to be dark: where fewer are in all, nothing else need be asked.
  const dark = inside.filter((i) => mean[i] < LIGHT_DARK).length;
  if (dark < (LIGHT_SMOOTHEST / 200) * inside.length) return false;
  const squared = blur(grey.map((value) => value * value), width, height, LIGHT_WINDOW);
  const spread = inside.map((i) => squared[i] - mean[i] * mean[i]);
  const smooth = percentile(Float64Array.from(spread).sort(), LIGHT_SMOOTHEST / 100);
  const ground = median(inside.filter((_, k) => spread[k] <= smooth).map((i) => mean[i]));
  const levels = Float64Array.from(inside, (i) => grey[i]).sort();
  return ground < Math.min(LIGHT_DARK, (percentile(levels, 0.02) + percentile(levels, 0.98)) / 2);
}

/**
 * Whether the frame lies within half a window of a pixel of the reduced picture.
 * @param {Picture} image @param {Plane} frame @param {number} x @param {number} y
 * @param {number} width @param {number} height
 */
function isNearFrame(image, frame, x, y, width, height) {
  const half = (LIGHT_WINDOW - 1) / 2;
  const [column, row] = [nearest(x, image.width, width), nearest(y, image.height, height)];
  const last = [image.width - 1, image.height - 1];
  const [x0, x1] = [column - half, column + half].map((at) => clamp(at, 0, last[0]));
  const [y0, y1] = [row - half, row + half].map((at) => clamp(at, 0, last[1]));
  for (let v = Math.floor(y0 / QUARTER); v <= Math.floor(y1 / QUARTER); v++)
    for (let u = Math.floor(x0 / QUARTER); u <= Math.floor(x1 / QUARTER); u++)
      if (frame.data[v * frame.width + u]) return true;
  return false;
}

/**
 * Bring the empty ground of a field, its brightest twentieth, to one colour. Ground is measured
 * outside the frame, where there is one (see `findFrame`), and the frame is painted over with it.
 * @param {Picture} image @param {Plane} [frame] @returns {Picture}
 */
export function levelLight(image, frame) {
  const width = Math.max(1, Math.floor(image.width / 8));
  const height = Math.max(1, Math.floor(image.height / 8));
  const small = resize(image, width, height, true);
  const covered = frame ? countOf(frame.data) : 0;
  const framed = frame && covered > 0 && covered < frame.data.length ? frame : null;
  let shown = Array.from({ length: width * height }, (_, i) => i);
  if (framed) {
    const inside = shown.filter((i) => {
      const x = nearest(i % width, image.width, width);
      const y = nearest(Math.floor(i / width), image.height, height);
      return !framed.data[Math.floor(y / QUARTER) * framed.width + Math.floor(x / QUARTER)];
    });
    if (inside.length) shown = inside;
  }
  const ground = round(255 * GROUND);
  const tables = [0, 1, 2].map((c) => {
    const levels = Uint8Array.from(shown, (i) => small.data[3 * i + c]);
    const white = Math.max(percentile(levels.sort(), 0.95), 48);
    return Uint8Array.from({ length: 256 }, (_, level) => clamp(level * (ground / white), 0, 255));
  });
  const levelled = blank(image.width, image.height);
  for (let i = 0; i < levelled.data.length; i += 3) {
    for (let c = 0; c < 3; c++) levelled.data[i + c] = tables[c][image.data[i + c]];
  }
  if (framed) paint(levelled, framed, ground);
  return levelled;
}

/**
 * The source pixel that OpenCV's INTER_NEAREST takes.
 * @param {number} at @param {number} from @param {number} to
 */
const nearest = (at, from, to) => Math.min(Math.floor(at * (1 / (to / from))), from - 1);

/**
 * One level for all that a frame covers.
 * @param {Picture} image @param {Plane} frame @param {number} level
 */
function paint(image, frame, level) {
  for (let y = 0; y < image.height; y++) {
    const row = Math.floor(y / QUARTER) * frame.width;
    for (let x = 0; x < image.width; x++) {
      const at = 3 * (y * image.width + x);
      if (frame.data[row + Math.floor(x / QUARTER)]) image.data.fill(level, at, at + 3);
    }
  }
}
