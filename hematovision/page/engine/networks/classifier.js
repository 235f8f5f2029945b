/**
 * A crop in, its class out. The twin of `hematovision/networks/classifier.py`.
 */
import { wholePixels } from "../cells.js";
import { cut, quarterTurn, scalePixels, squareCrop } from "../pictures/images.js";

/** @typedef {import("../pictures/images.js").Picture} Picture */
/** @typedef {(crop: Float32Array, size: number) => Promise<Float32Array[]>} RunCrop */

/**
 * @typedef {object} Card
 * @property {string[]} classes
 * @property {number} image_size
 * @property {number | null} threshold from which a crop is a red cell, in the binary task
 * @property {(string | null)[]} parents what each class is a kind of, of the others
 * @property {number} kind_threshold share of its parent's probability from which a kind is named
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

  /**
   * Index of the class: RBC from the threshold up, where there is one; else the likeliest class
   * that
   * is no kind of another, and then its likeliest kind, where that is likely enough.
   * @param {number[]} probabilities
   */
  choose(probabilities) {
    const { classes, threshold, parents, kind_threshold } = this.card;
    if (threshold !== null) return probabilities[classes.indexOf("RBC")] >= threshold ? 1 : 0;
    /** @param {string | null} parent */
    const likeliest = (parent) => {
      const of = probabilities.map((p, k) => (parents[k] === parent ? p : -1));
      return of.indexOf(Math.max(...of));
    };
    let chosen = likeliest(null);
    while (parents.includes(classes[chosen])) {
      const kind = likeliest(classes[chosen]);
      if (probabilities[kind] < Math.fround(kind_threshold * probabilities[chosen])) break;
      chosen = kind;
    }
    return chosen;
  }

  /** Probabilities and novelty of a crop. @param {Picture} crop */
  async ask(crop) {
    const { classes, image_size } = this.card;
    const outputs = await this.run(scalePixels(crop), image_size);
    const found = outputs.find((output) => output.length === classes.length);
    const novelty = outputs.find((output) => output.length === 1);
    if (!found || !novelty) throw Error("network and card belong to different models");
    return { probabilities: [...found], novelty: novelty[0] };
  }

  /** Whether class `k` is a kind of the class `root`. @param {number} k @param {number} root */
  isKind(k, root) {
    const { classes, parents } = this.card;
    for (let above = parents[k]; above !== null; above = parents[classes.indexOf(above)])
      if (above === classes[root]) return true;
    return false;
  }

  /**
   * Probabilities, where those of the kinds of the likeliest class are means over quarter turns: a
   * nucleus has no up and down.
   * @param {Picture} crop @param {number[]} probabilities
   */
  async settleKinds(crop, probabilities) {
    const { parents, threshold } = this.card;
    const ofRoots = probabilities.map((p, k) => (parents[k] === null ? p : -1));
    const root = ofRoots.indexOf(Math.max(...ofRoots));
    const kinds = parents.map((_, k) => k).filter((k) => this.isKind(k, root));
    if (threshold !== null || kinds.length === 0) return probabilities;
    const seen = [...probabilities];
    let turned = crop;
    for (let turn = 0; turn < 3; turn++) {
      turned = quarterTurn(turned);
      const { probabilities: again } = await this.ask(turned);
      again.forEach((p, k) => (seen[k] += p));
    }
    const settled = [...probabilities];
    for (const k of kinds)
      settled[k] = (probabilities[root] * seen[k]) / Math.max(seen[root], 1e-12);
    return settled;
  }

  /** @param {Picture} segment @returns {Promise<Answer>} */
  async answer(segment) {
    const { classes, image_size, novelty_threshold } = this.card;
    const crop = squareCrop(segment, image_size);
    const asked = await this.ask(crop);
    const probabilities = await this.settleKinds(crop, asked.probabilities);
    const chosen = this.choose(probabilities);
    return {
      label: classes[chosen],
      probability: probabilities[chosen],
      probabilities: Object.fromEntries(classes.map((name, k) => [name, probabilities[k]])),
      uncertain: asked.novelty > novelty_threshold,
    };
  }

  /**
   * How sure it is of which kind a cell is: the likeliest kind's share of all; null of what has no
   * kinds.
   * @param {Answer} answer @returns {number | null}
   */
  sureOfKind({ label, probabilities }) {
    const { classes, parents } = this.card;
    let root = classes.indexOf(label);
    for (let above = parents[root]; above !== null; above = parents[root])
      root = classes.indexOf(above);
    const kinds = classes.filter((_, k) => this.isKind(k, root)).map((name) => probabilities[name]);
    const total = kinds.reduce((sum, p) => sum + p, 0);
    return total ? Math.max(...kinds) / total : null;
  }

  /**
   * What the cell in a box of a field is.
   * @param {Picture} field @param {import("../cells.js").Box} box
   */
  answerBox(field, box) {
    const [x0, y0, x1, y1] = wholePixels(box);
    const width = Math.max(1, Math.min(x1, field.width) - x0);
    const height = Math.max(1, Math.min(y1, field.height) - y0);
    return this.answer(cut(field, x0, y0, width, height));
  }
}
