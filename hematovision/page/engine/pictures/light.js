/**
 * The light of a picture, as density and as brightness. The twin of that part of
 * `hematovision/pictures/light.py`.
 */
import { median } from "./numbers.js";
import { otsu } from "./raster.js";

/** @typedef {import("./images.js").Picture} Picture */

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
