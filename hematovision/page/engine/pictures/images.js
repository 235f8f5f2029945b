/**
 * Pictures as the networks take them: cut, resized as OpenCV does it, scaled.
 *
 * The twin of `hematovision/pictures/images.py`; tests hold the two equal on real fields.
 */
import { clamp, round } from "./numbers.js";
import { blank, resize } from "./resize.js";

/**
 * A picture: RGB, row by row.
 * @typedef {{data: Uint8ClampedArray, width: number, height: number}} Picture
 */

/**
 * A part of a picture.
 * @param {Picture} image @param {number} left @param {number} top
 * @param {number} width @param {number} height @returns {Picture}
 */
export function cut(image, left, top, width, height) {
  const part = blank(width, height);
  for (let y = 0; y < height; y++) {
    const from = 3 * ((top + y) * image.width + left);
    part.data.set(image.data.subarray(from, from + 3 * width), 3 * y * width);
  }
  return part;
}

/** The largest standard deviation of a channel, in grey levels. @param {Picture} image */
export function spread(image) {
  const count = image.width * image.height;
  let most = 0;
  for (let c = 0; c < 3; c++) {
    let [sum, squares] = [0, 0];
    for (let i = c; i < image.data.length; i += 3) {
      sum += image.data[i];
      squares += image.data[i] ** 2;
    }
    most = Math.max(most, Math.sqrt(Math.max(0, squares / count - (sum / count) ** 2)));
  }
  return most;
}

/**
 * A segment as a crop, its proportions kept: the longer side fills it, the shorter one is centred
 * and its edge pixels repeated outwards.
 * @param {Picture} segment @param {number} size @returns {Picture}
 */
export function squareCrop(segment, size) {
  const scale = size / Math.max(segment.width, segment.height);
  const width = Math.max(1, round(segment.width * scale));
  const height = Math.max(1, round(segment.height * scale));
  const left = Math.floor((size - width) / 2);
  const top = Math.floor((size - height) / 2);
  const seen = resize(segment, width, height, Math.max(segment.width, segment.height) > size);
  const crop = blank(size, size);
  for (let y = 0, p = 0; y < size; y++) {
    const row = clamp(y - top, 0, height - 1) * width;
    for (let x = 0; x < size; x++) {
      const q = 3 * (row + clamp(x - left, 0, width - 1));
      for (let c = 0; c < 3; c++) crop.data[p++] = seen.data[q + c];
    }
  }
  return crop;
}

/** Each level of a pixel in [0, 1], in half precision as `scale_pixels` gives it. */
const HALVES = Float32Array.from({ length: 256 }, (_, level) => {
  const x = level / 255;
  if (x === 0) return 0;
  const unit = 2 ** (Math.floor(Math.log2(x)) - 10);
  return round(x / unit) * unit;
});

/** A square crop turned by a quarter, against the clock. @param {Picture} crop @returns {Picture} */
export function quarterTurn({ data, width, height }) {
  const turned = blank(width, height);
  for (let y = 0, p = 0; y < height; y++)
    for (let x = 0; x < width; x++)
      for (let c = 0; c < 3; c++) turned.data[p++] = data[3 * (x * width + width - 1 - y) + c];
  return turned;
}

/** @param {Picture} crop @returns {Float32Array} */
export function scalePixels({ data }) {
  const scaled = new Float32Array(data.length);
  for (let i = 0; i < data.length; i++) scaled[i] = HALVES[data[i]];
  return scaled;
}
