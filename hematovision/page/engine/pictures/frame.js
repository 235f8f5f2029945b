/**
 * What of a picture shows nothing of the smear: bars, the black around an eyepiece, scale bars. The
 * twin of `hematovision/pictures/frame.py`.
 */
import {
  BLACK,
  BLACK_FRAME,
  CORNER,
  EVEN,
  EVEN_FRAME,
  QUARTER,
  RIM,
  SHARE,
} from "../../constants.js";
import { clamp, percentile, round } from "./numbers.js";
import { countOf, ellipse, emptyPlane, findPieces, flood, morph, square } from "./raster.js";
import { resize } from "./resize.js";
import { findScaleBars } from "./scale_bars.js";

/** @typedef {import("./images.js").Picture} Picture */
/** @typedef {import("./raster.js").Plane} Plane */

/**
 * Where a picture shows no smear, at a quarter of its resolution: 1 there. A frame takes in a
 * corner, is black or as even as no smear is, and bulges nowhere into the picture.
 * @param {Picture} image @returns {Plane}
 */
export function findFrame(image) {
  const { width, height } = image;
  const frame = emptyPlane(Math.ceil(width / QUARTER), Math.ceil(height / QUARTER));
  if (Math.min(height, width) < 16 * QUARTER) return frame;
  const corners = findEvenCorners(image);
  if (corners.length) growFrame(image, corners, frame);
  for (const [left, top, right, bottom] of findScaleBars(image)) {
    const end = Math.ceil(right / QUARTER);
    for (let y = Math.floor(top / QUARTER); y < Math.ceil(bottom / QUARTER); y++) {
      frame.data.fill(1, y * frame.width + Math.floor(left / QUARTER), y * frame.width + end);
    }
  }
  return frame;
}

/**
 * The part of a picture outside of which there is frame alone: left, top, right, bottom.
 * @param {Plane} frame @param {Picture} image @returns {[number, number, number, number]}
 */
export function trim(frame, image) {
  const { data, width, height } = frame;
  const columns = Array.from({ length: width }, () => false);
  const rows = Array.from({ length: height }, () => false);
  for (let i = 0; i < data.length; i++) {
    if (!data[i]) columns[i % width] = rows[Math.floor(i / width)] = true;
  }
  if (!rows.includes(true) || !data.includes(1)) return [0, 0, image.width, image.height];
  return [
    QUARTER * columns.indexOf(true),
    QUARTER * rows.indexOf(true),
    Math.min(QUARTER * (columns.lastIndexOf(true) + 1), image.width),
    Math.min(QUARTER * (rows.lastIndexOf(true) + 1), image.height),
  ];
}

/**
 * Whether a patch is black, or quite even.
 * @param {Picture} image @param {number[]} rows from, to @param {number[]} columns
 */
function isEven({ data, width }, rows, columns) {
  const low = [255, 255, 255];
  const high = [0, 0, 0];
  for (let y = rows[0]; y < rows[1]; y++) {
    for (let x = columns[0]; x < columns[1]; x++) {
      for (let c = 0; c < 3; c++) {
        const level = data[3 * (y * width + x) + c];
        if (level < low[c]) low[c] = level;
        if (level > high[c]) high[c] = level;
      }
    }
  }
  return Math.max(...high) < BLACK || high.every((level, c) => level - low[c] <= EVEN);
}

/**
 * Which corners show nothing, and so does the border from there, one way at least: pairs of whether
 * it is the lower and the right one.
 * @param {Picture} image @returns {[boolean, boolean][]}
 */
function findEvenCorners(image) {
  const { width, height } = image;
  /** @param {boolean} last @param {number} length @param {number} whole */
  const end = (last, length, whole) =>
    last ? [Math.max(0, whole - length), whole] : [0, Math.min(length, whole)];
  const down = Math.max(2 * CORNER, Math.floor(height / 12));
  const across = Math.max(2 * CORNER, Math.floor(width / 12));
  /** @type {[boolean, boolean][]} */
  const corners = [
    [false, false],
    [false, true],
    [true, false],
    [true, true],
  ];
  return corners.filter(([lower, right]) => {
    const rows = end(lower, CORNER, height);
    const columns = end(right, CORNER, width);
    if (!isEven(image, rows, columns)) return false;
    return (
      isEven(image, rows, end(right, across, width)) ||
      isEven(image, end(lower, down, height), columns)
    );
  });
}

/**
 * Add the frames that begin in corners.
 * @param {Picture} image @param {[boolean, boolean][]} corners @param {Plane} frame
 */
function growFrame(image, corners, frame) {
  const { width, height } = frame;
  const small = resize(image, width, height, true).data;
  const value = emptyPlane(width, height);
  for (let i = 0; i < value.data.length; i++) {
    value.data[i] = Math.max(small[3 * i], small[3 * i + 1], small[3 * i + 2]);
  }
  const black = Math.trunc(Math.min(BLACK, SHARE * percentile(value.data.slice().sort(), 0.95)));
  for (const [lower, right] of corners) {
    const x = right ? width - 1 : 0;
    const y = lower ? height - 1 : 0;
    const seed = y * width + x;
    const isBlack = value.data[seed] < black;
    /** @type {Plane} */
    let region;
    if (isBlack) {
      const filled = fillCells(value).data;
      const most = filled[seed] + black - value.data[seed];
      region = flood(width, height, x, y, (at) => filled[at] <= most);
    } else {
      const start = small.slice(3 * seed, 3 * seed + 3);
      region = flood(width, height, x, y, (at) =>
        start.every((level, c) => Math.abs(small[3 * at + c] - level) <= EVEN),
      );
    }
    const [smallest, bulge] = isBlack ? BLACK_FRAME : EVEN_FRAME;
    if (!isFrame(region, smallest, bulge)) continue;
    const rim = isBlack && !isBar(region) ? RIM : 1;
    const grown = morph(region, square(2 * rim + 1), false).data;
    for (let i = 0; i < grown.length; i++) frame.data[i] |= grown[i];
  }
}

/**
 * A picture's brightness without dark spots smaller than a quarter of it, but for those that hang
 * together with the border.
 * @param {Plane} value @returns {Plane}
 */
function fillCells(value) {
  const { width, height } = value;
  const side = Math.max(3, Math.floor(Math.min(width, height) / 4)) | 1;
  const padded = emptyPlane(width + 2 * side, height + 2 * side);
  for (let y = 0; y < height; y++) {
    const row = value.data.subarray(y * width, (y + 1) * width);
    padded.data.set(row, (y + side) * padded.width + side);
  }
  const kernel = ellipse(side);
  const closed = morph(morph(padded, kernel, false), kernel, true);
  const filled = emptyPlane(width, height);
  for (let y = 0; y < height; y++) {
    const from = (y + side) * padded.width + side;
    filled.data.set(closed.data.subarray(from, from + width), y * width);
  }
  return filled;
}

/**
 * Whether what a region leaves is one convex piece, `smallest` of the picture or more, but for a
 * share `bulge` of the region that bulges into it.
 * @param {Plane} region @param {number} smallest @param {number} bulge
 */
function isFrame(region, smallest, bulge) {
  const { data, width, height } = region;
  const area = countOf(data);
  const share = area / data.length;
  if (share < 0.002 || share > 1 - smallest) return false;
  const { numbers, pieces } = findPieces({ ...region, data: data.map((v) => 1 - v) });
  const areas = pieces.map((piece) => piece.area);
  const largest = Math.max(...areas);
  if (largest < Math.max(0.8 * (data.length - area), smallest * data.length)) return false;
  const spans = hullSpans(numbers, areas.indexOf(largest) + 1, width, height);
  let inside = 0;
  for (const [y, [first, last]] of spans) {
    for (let x = first; x <= last; x++) inside += data[y * width + x];
  }
  return inside < bulge * area && inside < 0.03 * largest;
}

/** Whether what a region leaves is a rectangle, whose edges are sharp. @param {Plane} region */
function isBar({ data, width }) {
  let [left, top, right, bottom, count] = [Infinity, Infinity, 0, 0, 0];
  for (let i = 0; i < data.length; i++) {
    if (data[i]) continue;
    const [x, y] = [i % width, Math.floor(i / width)];
    count += 1;
    [left, right] = [Math.min(left, x), Math.max(right, x)];
    [top, bottom] = [Math.min(top, y), Math.max(bottom, y)];
  }
  return count >= 0.98 * (bottom - top + 1) * (right - left + 1);
}

/**
 * The rows of the convex hull around a piece: first and last pixel of each.
 * @param {Int32Array} numbers @param {number} number @param {number} width @param {number} height
 * @returns {Map<number, [number, number]>}
 */
function hullSpans(numbers, number, width, height) {
  /** @type {[number, number][]} */
  const lefts = [];
  /** @type {[number, number][]} */
  const rights = [];
  for (let y = 0; y < height; y++) {
    const first = numbers.subarray(y * width, (y + 1) * width).indexOf(number);
    if (first < 0) continue;
    lefts.push([first, y]);
    rights.push([numbers.subarray(y * width, (y + 1) * width).lastIndexOf(number), y]);
  }
  const left = chain(lefts, 1);
  const right = chain(rights, -1);
  return new Map(
    lefts.map(([, y]) => [y, [clamp(round(at(left, y)), 0, width), round(at(right, y))]]),
  );
}

/**
 * The convex outline of points given from top to bottom, at their left (1) or right (-1).
 * @param {[number, number][]} points @param {number} sign
 */
function chain(points, sign) {
  /** @type {[number, number][]} */
  const hull = [];
  for (const point of points) {
    while (hull.length > 1) {
      const [a, b] = hull.slice(-2);
      const turn = (b[0] - a[0]) * (point[1] - a[1]) - (b[1] - a[1]) * (point[0] - a[0]);
      if (sign * turn < 0) break;
      hull.pop();
    }
    hull.push(point);
  }
  return hull;
}

/** Where an outline is at a height. @param {[number, number][]} outline @param {number} y */
function at(outline, y) {
  const k = outline.findIndex((point) => point[1] >= y);
  const [x1, y1] = outline[k];
  if (y1 === y) return x1;
  const [x0, y0] = outline[k - 1];
  return x0 + ((x1 - x0) * (y - y0)) / (y1 - y0);
}
