/**
 * What runs beside the page, so that it stays alive: pictures in, cells out, one after the other.
 */
import { Classifier } from "./classifier.js";
import { FEW, LARGE } from "./constants.js";
import { Detector } from "./detector.js";
import { openNetwork, startLiteRt, unpack } from "./litert.js";

/** @typedef {import("./images.js").Picture} Picture */
/** @typedef {"auto" | "field" | "cell"} Kind */

/**
 * What the page asks: to start; to `look` at a picture, whole; to name the one cell in a `segment`;
 * to cancel what it asked under a number.
 * @typedef {{type: "start", card: any, networks: {fields: string, crops: string}, wasm: string}} Start
 * @typedef {{type: "look" | "name", id: number, image: Picture, kind: Kind, least: number}} Ask
 */

class Cancelled extends Error {}

/** @type {Detector} */
let detector;
/** @type {Classifier} */
let classifier;
/** @type {Promise<void>} what has to end before the next question is turned to */
let queue = Promise.resolve();
/** @type {Set<number>} */
const cancelled = new Set();

/** @param {Start} asked */
async function start({ card, networks, wasm }) {
  await startLiteRt(wasm);
  const fields = openNetwork(await unpack(networks.fields));
  const crops = openNetwork(await unpack(networks.crops));
  detector = new Detector(card.fields, async (picture) => {
    const pixels = Float32Array.from(picture.data);
    return (await fields(pixels, picture.height, picture.width))[0];
  });
  classifier = new Classifier(card, (crop, size) => crops(crop, size, size));
  postMessage({ type: "ready" });
}

/** Let messages in, of which one may be to cancel. @param {number} id */
async function breathe(id) {
  await new Promise((resolve) => setTimeout(resolve));
  if (cancelled.has(id)) throw new Cancelled();
}

/**
 * Find the cells of a field, or name the one cell that a picture shows; then say what the crop
 * network thinks of each cell found.
 * @param {Ask} asked
 */
async function look({ id, image, kind, least }) {
  /** @param {number} part */
  const tell = async (part) => {
    postMessage({ type: "progress", id, part });
    await breathe(id);
  };
  const small = Math.min(image.width, image.height) < LARGE;
  let field = null;
  if (kind === "field" || (kind === "auto" && !small)) {
    field = await detector.find(image, least, tell);
    const few = field.cells.filter((cell) => detector.isCounted(cell)).length < FEW;
    if (kind === "auto" && few) field = null;
  }
  if (!field) {
    postMessage({ type: "answer", id, single: await classifier.answer(image) });
    return;
  }
  const cells = field.cells.map((cell) => ({ ...cell, counted: detector.isCounted(cell) }));
  const labelled = cells.map((cell) => ({ ...cell, label: detector.labels[cell.label] }));
  postMessage({ type: "found", id, cells: labelled, cell: field.cell });
  const seconds = [];
  for (const [n, cell] of cells.entries()) {
    const second = await classifier.answerBox(image, cell.box);
    seconds.push({ label: second.label, uncertain: second.uncertain });
    if (n % 16 === 15) await breathe(id);
  }
  postMessage({ type: "answer", id, seconds });
}

/** @param {Ask} asked */
async function answer(asked) {
  try {
    await breathe(asked.id);
    if (asked.type === "look") await look(asked);
    else postMessage({ type: "answer", id: asked.id, single: await classifier.answer(asked.image) });
  } catch (error) {
    if (error instanceof Cancelled) postMessage({ type: "cancelled", id: asked.id });
    else postMessage({ type: "failed", id: asked.id, why: String(error) });
  }
}

addEventListener("message", ({ data }) => {
  if (data.type === "cancel") {
    cancelled.add(data.id);
  } else if (data.type === "start") {
    queue = start(data).catch((error) => postMessage({ type: "failed", why: String(error) }));
  } else {
    queue = queue.then(() => answer(data));
  }
});
