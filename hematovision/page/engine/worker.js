/**
 * What runs beside the page, so that it stays alive: pictures in, cells out, one after the other.
 */
import { Classifier } from "./networks/classifier.js";
import { FIELD_CELLS, FIELD_SIDES, MOST_COMPARED } from "../constants.js";
import { findShift, makeSmall } from "./overlap.js";
import { Detector } from "./networks/detector.js";
import { Beside, helpThrough } from "./networks/beside.js";
import { openNetwork, startLiteRt, unpack } from "./networks/litert.js";
import { cut } from "./pictures/images.js";
import { blank } from "./pictures/resize.js";

/** @typedef {import("./pictures/images.js").Picture} Picture */
/** @typedef {import("./overlap.js").Small} Small */
/** @typedef {"auto" | "field" | "cell"} Kind */

/**
 * What the page asks: to start; to `look` at a picture, whole (`cellPx`:
 * pixels across a red cell, where that is known); to name the one cell in a `segment`;
 * to `glance` at a frame of a camera: boxes alone, at the size of cells seen in the one before;
 * to `remember` a field of last time, which later ones may overlap; to cancel what it asked under a number.
 * @typedef {{type: "start", card: any, wasm: string,
 *   networks: {fields: string, crops: string}}} Start
 * @typedef {{type: "look" | "name" | "glance" | "remember", id: number, image: Picture, kind: Kind,
 *   minProbability: number, cellPx: number | null, key: string}} Ask
 */

class Cancelled extends Error {}

/** @type {Detector} */
let detector;
/** @type {Classifier} */
let classifier;
/** @type {Beside} */
let beside;
/** @type {string[]} labels that have types */
let typed = [];
/** @type {Promise<void>} what has to end before the next question is turned to */
let queue = Promise.resolve();
const NOBODY = 0; // the number under which the worker asks itself
let asked = NOBODY; // the number of the question that is turned to
/** @type {Set<number>} */
const cancelled = new Set();

/** @param {Start} model */
async function start({ card, networks, wasm }) {
  await startLiteRt(wasm);
  const model = await unpack(networks.fields);
  const fields = openNetwork(model);
  const crops = openNetwork(await unpack(networks.crops));
  beside = new Beside(wasm, model);
  detector = new Detector(card.fields, async (picture, isBeside) => {
    const told = isBeside && (await beside.ask(picture));
    if (told) return told;
    const pixels = new Float32Array(picture.data);
    const [answer] = await fields(pixels, picture.height, picture.width);
    await breathe(asked);
    return answer;
  });
  typed = card.typed;
  classifier = new Classifier(card, (crop, size) => crops(crop, size, size));
  postMessage({ type: "ready" });
}

/**
 * Look at discs on even ground before anybody asks: the browser compiles as it goes, and the first
 * field doesn't wait for that. Ends with the first question.
 */
async function warmUp() {
  asked = NOBODY;
  const image = blank(640, 480);
  for (let i = 0; i < image.data.length; i++) {
    const pixel = Math.floor(i / 3);
    const [x, y] = [(pixel % 640) % 120, Math.floor(pixel / 640) % 120];
    image.data[i] = Math.hypot(x - 60, y - 60) < 45 ? 120 + 40 * (i % 3) : 230;
  }
  await breathe(NOBODY);
  const { levelled } = await detector.search(image, 1);
  await classifier.answer(cut(image, 0, 0, 120, 120));
  makeSmall(image, levelled);
}

/** Fields in small that a later one may overlap, the last ones. @type {Map<string, Small>} */
const remembered = new Map();

/**
 * What a field has in common with those before it.
 * @param {string} key @param {Small} small
 */
function findOverlaps(key, small) {
  const overlaps = [];
  for (const [other, earlier] of remembered) {
    const shift = other === key ? null : findShift(earlier, small);
    if (shift) overlaps.push({ key: other, ...shift });
  }
  remember(key, small);
  return overlaps;
}

/** @param {string} key @param {Small} small */
function remember(key, small) {
  remembered.delete(key); // and set again: the newest stands last
  remembered.set(key, small);
  const [oldest] = remembered.keys();
  if (remembered.size > MOST_COMPARED) remembered.delete(oldest);
}

/** Let messages in, of which one may be to cancel. @param {number} id */
async function breathe(id) {
  await new Promise((resolve) => setTimeout(resolve));
  if (cancelled.has(id)) throw new Cancelled();
}

/**
 * Find the cells of a field, or name the one cell that a picture shows; then say what the crop
 * network calls each counted cell whose label has types.
 * @param {Ask} question
 */
async function look({ id, image, kind, minProbability, cellPx, key }) {
  /** @param {number} part */
  const tell = (part) => postMessage({ type: "progress", id, part });
  const sides = [image.width, image.height].sort((a, b) => a - b);
  const large = sides.every((length, k) => length >= FIELD_SIDES[k]);
  let field = null;
  if (kind === "field" || (kind === "auto" && large)) {
    field = await detector.search(image, minProbability, cellPx, tell);
    const few = field.cells.filter((cell) => detector.isCounted(cell)).length < FIELD_CELLS;
    if (kind === "auto" && few) field = null;
  }
  if (!field) {
    postMessage({ type: "answer", id, single: await classifier.answer(image) });
    return;
  }
  const cells = field.cells.map((cell) => ({ ...cell, counted: detector.isCounted(cell) }));
  const labelled = cells.map((cell) => ({ ...cell, label: detector.labels[cell.label] }));
  postMessage({ type: "found", id, cells: labelled, scale: field.scale, doubts: field.doubts });
  const small = makeSmall(image, field.levelled);
  const seconds = [];
  for (const [n, cell] of cells.entries()) {
    const isAsked = cell.counted && typed.includes(detector.labels[cell.label]);
    const second = isAsked ? await classifier.answerBox(image, cell.box) : null;
    const sure = second && classifier.sureOfKind(second);
    seconds.push(second && { label: second.label, probability: second.probability, sure });
    if (n % 16 === 15) await breathe(id);
  }
  postMessage({ type: "answer", id, seconds, overlaps: findOverlaps(key, small) });
}

/**
 * The counted cells of a frame, and how large its red ones are by them: null where too few tell.
 * @param {Ask} question
 */
async function glance({ id, image, cellPx }) {
  const found = await detector.search(image, 1, cellPx);
  const cells = found.cells.map(({ box, label }) => ({ box, label: detector.labels[label] }));
  postMessage({ type: "answer", id, cells, seen: detector.measure(found.cells, image) });
}

/** @param {Ask} question */
async function answer(question) {
  asked = question.id;
  try {
    await breathe(asked);
    if (question.type === "look") await look(question);
    else if (question.type === "glance") await glance(question);
    else if (question.type === "remember") {
      remember(question.key, makeSmall(question.image));
      postMessage({ type: "answer", id: asked });
    } else {
      const single = await classifier.answer(question.image);
      postMessage({ type: "answer", id: asked, single });
    }
  } catch (error) {
    if (error instanceof Cancelled) postMessage({ type: "cancelled", id: asked });
    else postMessage({ type: "failed", id: asked, why: String(error) });
  }
}

addEventListener("message", ({ data }) => {
  if (data.type === "cancel") {
    cancelled.add(data.id);
  } else if (data.type === "help") {
    helpThrough(data.port);
  } else if (data.type === "alone") {
    beside.giveUp();
  } else if (data.type === "start") {
    queue = start(data).catch((error) => postMessage({ type: "failed", why: String(error) }));
    queue = queue.then(warmUp).catch(() => {}); // whoever asks is told
  } else {
    cancelled.add(NOBODY);
    queue = queue.then(() => answer(data));
  }
});
