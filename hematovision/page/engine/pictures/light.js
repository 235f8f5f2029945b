/**
 * The light of a picture: brought to one colour, as density, as brightness. The twin of
 * `hematovision/pictures/light.py`.
 */
import { GROUND, QUARTER } from "../../constants.js";
import { clamp, median, percentile, round } from "./numbers.js";
import { countOf, otsu } from "./raster.js";
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
