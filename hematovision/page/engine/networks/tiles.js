/**
 * A field looked at in parts of the size that the network takes. The twin of
 * `hematovision/networks/tiles.py`.
 */
import { overlap } from "../cells.js";
import { CELL, CELL_WIDE, OVERLAP, QUARTER, SAME_CELL, TILE, WIDE } from "../../constants.js";
import { cut } from "../pictures/images.js";
import { clamp, round } from "../pictures/numbers.js";
import { resize } from "../pictures/resize.js";

/** @typedef {import("../cells.js").Box} Box */
/** @typedef {import("../cells.js").Found} Found */
/** @typedef {import("../pictures/images.js").Picture} Picture */

/**
 * The network: a picture whose sides are multiples of 32 to its answer, row by row, for each place
 * the heat of each label and four distances. `beside`: in another worker, where there is one.
 * @typedef {(picture: Picture, beside?: boolean) => Promise<Float32Array>} Run
 */

/** A tile: left, right and top, bottom, and the places that it answers for.
 * @typedef {{x: [number, number, number, number], y: [number, number, number, number]}} Tile */

/** The multiple of 32 nearest to a length in pixels. @param {number} length */
export const networkSize = (length) => Math.max(64, round(length / 32) * 32);

/** Most probable first; of equals, as they come. @param {Found[]} cells */
const byProbability = (cells) => cells.sort((a, b) => b.probability - a.probability);

/**
 * Whether no neighbour of a place is more likely for a label.
 * @param {Float32Array} answer @param {number} depth @param {number} w @param {number} h
 * @param {number} x @param {number} y @param {number} label
 */
function isPeak(answer, depth, w, h, x, y, label) {
  const heat = answer[(y * w + x) * depth + label];
  for (let v = Math.max(0, y - 1); v <= Math.min(h - 1, y + 1); v++) {
    for (let u = Math.max(0, x - 1); u <= Math.min(w - 1, x + 1); u++) {
      if (answer[(v * w + u) * depth + label] > heat) return false;
    }
  }
  return true;
}

/**
 * Cells from the network's answer to a picture of `width` x `height`, from `minProbability` up;
 * of boxes of one label that overlap by more than SAME_CELL the most likely stays.
 * @param {Float32Array} answer @param {number} labels @param {number} width @param {number} height
 * @param {number} minProbability @returns {Found[]}
 */
export function decode(answer, labels, width, height, minProbability) {
  const w = width / QUARTER;
  const h = height / QUARTER;
  const depth = labels + 4;
  const lowest = Math.fround(minProbability);
  /** @type {Found[]} */
  const found = [];
  for (let y = 0; y < h; y++) {
    for (let x = 0; x < w; x++) {
      const at = (y * w + x) * depth;
      for (let label = 0; label < labels; label++) {
        const probability = answer[at + label];
        if (!(probability >= lowest) || !isPeak(answer, depth, w, h, x, y, label)) continue;
        const [left, top, right, bottom] = answer.subarray(at + labels, at + depth);
        const corners = [x + 0.5 - left, y + 0.5 - top, x + 0.5 + right, y + 0.5 + bottom];
        const box = /** @type {Box} */ (
          corners.map((corner, i) => clamp(corner * QUARTER, 0, i % 2 ? height : width))
        );
        found.push({ box, label, probability });
      }
    }
  }
  /** @type {Found[]} */
  const kept = [];
  for (const cell of byProbability(found)) {
    const again = kept.some((k) => k.label === cell.label && overlap(k.box, cell.box) > SAME_CELL);
    if (!again) kept.push(cell);
  }
  return kept;
}

/**
 * Tiles along one side of a field: where each begins and ends, and what it answers for.
 * @param {number} length @param {number} scale
 * @param {number} shared pixels of the network's input by which they overlap
 * @returns {[number, number, number, number][]}
 */
export function spreadTiles(length, scale, shared) {
  const large = length * scale > TILE;
  const count = large ? Math.ceil((length * scale - shared) / (TILE - shared)) : 1;
  const span = count > 1 ? Math.min(length, Math.ceil(TILE / scale)) : length;
  const step = count > 1 ? (length - span) / (count - 1) : 0;
  const starts = Array.from({ length: count }, (_, i) => round(i * step));
  const seams = starts.slice(1).map((start, i) => (start + starts[i] + span) / 2);
  const edges = [-Infinity, ...seams, Infinity];
  return starts.map((start, i) => [start, start + span, edges[i], edges[i + 1]]);
}

/** How many pixels across the network sees a red cell. @param {number} cellPx in the field */
export const chooseSeen = (cellPx) => (cellPx < WIDE ? CELL_WIDE : CELL);

/**
 * Every cell of a field whose red cells are `cellPx` pixels across, from `minProbability` up.
 * @param {Run} run @param {number} labels @param {Picture} image @param {number} cellPx
 * @param {number} minProbability
 * @param {number} [seen] pixels across a red cell as the network sees it
 * @param {(part: number) => void} [tell] told what part is done
 * @returns {Promise<Found[]>}
 */
export async function findCells(
  run,
  labels,
  image,
  cellPx,
  minProbability,
  seen = chooseSeen(cellPx),
  tell = () => {},
) {
  const scale = seen / cellPx;
  const columns = spreadTiles(image.width, scale, OVERLAP * seen);
  const rows = spreadTiles(image.height, scale, OVERLAP * seen);
  const tiles = columns.flatMap((x) => rows.map((y) => ({ x, y })));
  /** @type {Found[][]} */
  const found = tiles.map(() => []);
  let [next, done] = [0, 0];
  /** @param {boolean} beside */
  const work = async (beside) => {
    while (next < tiles.length) {
      const n = next++;
      const { x, y } = tiles[n];
      found[n] = await findInTile(run, labels, image, { x, y }, scale, minProbability, beside);
      tell(++done / tiles.length);
    }
  };
  // Who works beside is asked first: the other way it would wait for the first tile's end.
  await Promise.all(tiles.length > 1 ? [work(true), work(false)] : [work(false)]);
  return byProbability(found.flat());
}

/**
 * The cells that one tile answers for.
 * @param {Run} run @param {number} labels @param {Picture} image @param {Tile} tile
 * @param {number} scale from the picture to what the network sees @param {number} minProbability
 * @param {boolean} beside @returns {Promise<Found[]>}
 */
async function findInTile(run, labels, image, { x, y }, scale, minProbability, beside) {
  const [left, right, x0, x1] = x;
  const [top, bottom, y0, y1] = y;
  const part = cut(image, left, top, right - left, bottom - top);
  const width = networkSize(part.width * scale);
  const height = networkSize(part.height * scale);
  const answer = await run(resize(part, width, height), beside);
  const [sx, sy] = [part.width / width, part.height / height];
  return decode(answer, labels, width, height, minProbability).flatMap((one) => {
    const [a, b, c, d] = one.box;
    /** @type {Box} */
    const box = [a * sx + left, b * sy + top, c * sx + left, d * sy + top];
    const [u, v] = [(box[0] + box[2]) / 2, (box[1] + box[3]) / 2];
    return u >= x0 && u < x1 && v >= y0 && v < y1 ? [{ ...one, box }] : [];
  });
}
