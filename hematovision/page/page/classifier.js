/**
 * A crop in, its class out. The twin of `hematovision/classifier.py`.
 */
import { cut, scalePixels, squareCrop } from "./images.js";
import { wholePixels } from "./cells.js";

/** @typedef {import("./images.js").Picture} Picture */
/** @typedef {(crop: Float32Array, size: number) => Promise<Float32Array[]>} RunCrop */

/**
 * @typedef {object} Card
 * @property {string[]} classes
 * @property {number} image_size
 * @property {number | null} threshold from which a crop is a red cell, in the binary task
 * @property {number} novelty_threshold
 */

/**
 * What `predict.py --json` says of a segment.
 * @typedef {object} Answer
 * @property {string} label
 * @property {number} probability
 * @property {Record<string, number>} probabilities
 * @property {boolean} uncertain unlike any cell that the model has learnt
 */

export class Classifier {
  /** @param {Card} card @param {RunCrop} run */
  constructor(card, run) {
    this.card = card;
    this.run = run;
  }

  /** @param {number[]} probabilities @returns {number} index into the classes */
  choose(probabilities) {
    const { classes, threshold } = this.card;
    if (threshold === null) return probabilities.indexOf(Math.max(...probabilities));
    return probabilities[classes.indexOf("RBC")] >= threshold ? 1 : 0;
  }

  /** @param {Picture} segment @returns {Promise<Answer>} */
  async answer(segment) {
    const { classes, image_size, novelty_threshold } = this.card;
    const outputs = await this.run(scalePixels(squareCrop(segment, image_size)), image_size);
    const found = outputs.find((output) => output.length === classes.length);
    const novelty = outputs.find((output) => output.length === 1);
    if (!found || !novelty) throw Error("network and card belong to different models");
    const probabilities = [...found];
    const chosen = this.choose(probabilities);
    return {
      label: classes[chosen],
      probability: probabilities[chosen],
      probabilities: Object.fromEntries(classes.map((name, k) => [name, probabilities[k]])),
      uncertain: novelty[0] > novelty_threshold,
    };
  }

  /** What the cell in a box of a field is. @param {Picture} field @param {import("./cells.js").Box} box */
  answerBox(field, box) {
    const [x0, y0, x1, y1] = wholePixels(box);
    const width = Math.max(1, Math.min(x1, field.width) - x0);
    const height = Math.max(1, Math.min(y1, field.height) - y0);
    return this.answer(cut(field, x0, y0, width, height));
  }
}
