/**
 * Whether a picture is in focus and bright enough, by the pixels of its middle.
 */
import { percentile } from "../../engine/pictures/numbers.js";

/** @typedef {{sharpness: number, light: "dark" | "bright" | "right"}} Judgement */

const DARK = 110; // grey level of the ground below which much of the camera's range is unused
const BURNT = 254; // from which nothing can be told any more
const MOST_BURNT = 0.3; // share of pixels
const REMEMBERED = 60; // frames, of which the sharpest is what focus can be here
const IN_FOCUS = 0.6; // of that

/**
 * `sharpness`: variance of the Laplacian (Pech-Pacheco et al., 2000), in parts of the brightness
 * squared, so that a lamp turned up is no better focus.
 * @param {Uint8ClampedArray} rgba @param {number} width @returns {Judgement}
 */
export function judge(rgba, width) {
  const green = Uint8Array.from({ length: rgba.length / 4 }, (_, i) => rgba[4 * i + 1]);
  const height = green.length / width;
  let [sum, squares, total] = [0, 0, 0];
  for (let y = 1; y < height - 1; y++) {
    for (let x = 1; x < width - 1; x++) {
      const at = y * width + x;
      const around = green[at - 1] + green[at + 1] + green[at - width] + green[at + width];
      const edge = around - 4 * green[at];
      sum += edge;
      squares += edge * edge;
      total += green[at];
    }
  }
  const n = (width - 2) * (height - 2);
  const mean = total / n;
  const sharpness = (squares / n - (sum / n) ** 2) / Math.max(1, mean) ** 2;
  const burnt = green.filter((level) => level >= BURNT).length / green.length;
  const ground = percentile(green.sort(), 0.9);
  return { sharpness, light: ground < DARK ? "dark" : burnt > MOST_BURNT ? "bright" : "right" };
}

/** How sharp frames are in parts of the sharpest of late. */
export class Focus {
  constructor() {
    /** @type {number[]} */
    this.last = [];
  }

  /** @param {number} sharpness @returns {{part: number, isSharp: boolean}} */
  compare(sharpness) {
    this.last.push(sharpness);
    if (this.last.length > REMEMBERED) this.last.shift();
    const part = sharpness / Math.max(...this.last, 1e-12);
    return { part, isSharp: part >= IN_FOCUS };
  }
}
