/**
 * The sample at hand: what it is called, what all its fields together hold, and its report.
 */
import { isRbc } from "../../engine/cells.js";
import { byId, row } from "../elements.js";
import { totalsOf } from "../session/measures.js";
import { emptySample, restoreSample } from "../session/sample.js";
import { nameOf, text } from "../texts.js";

/** @typedef {import("../session/session.js").Session} Session */
/** @typedef {import("../session/measures.js").Totals} Totals */

const ENTRIES = {
  name: "sample-name",
  date: "sample-date",
  who: "sample-who",
  note: "sample-note",
};

/**
 * What totals say, line by line: a name and a value.
 * @param {Totals} totals @param {string[]} labels @returns {[string, string][]}
 */
export function totalLines(totals, labels) {
  /** @type {[string, string][]} */
  const lines = [
    [text("totalFields"), String(totals.fields)],
    [text("totalChecked"), String(totals.checked)],
    ...labels.map(
      (label) =>
        /** @type {[string, string]} */ ([
          nameOf(label),
          text("totalPerField", {
            n: totals.counts[label],
            mean: totals.perField[label].toFixed(1),
          }),
        ]),
    ),
  ];
  if (totals.redPerWhite !== null && labels.some(isRbc)) {
    lines.push([text("totalRatio"), totals.redPerWhite.toFixed(1)]);
  }
  if (totals.redPx.length) {
    const mean = totals.redPx.reduce((sum, px) => sum + px, 0) / totals.redPx.length;
    lines.push([text("totalSize"), `${mean.toFixed(0)} ${text("pixels")}`]);
  }
  if (totals.overlapping) lines.push([text("totalTwice"), String(totals.twice)]);
  lines.push([text("totalByHand"), String(totals.byHand)]);
  return lines;
}

export class SamplePanel {
  /** @param {Session} session @param {() => void} kept what to do where an entry was changed */
  constructor(session, kept) {
    this.session = session;
    this.sample = emptySample();
    for (const [key, id] of Object.entries(ENTRIES)) {
      byId(id).addEventListener("input", () => {
        this.sample[/** @type {keyof typeof ENTRIES} */ (key)] = byId(id).value;
        kept();
      });
    }
    this.fill();
  }

  /** @param {any} kept */
  restore(kept) {
    this.sample = restoreSample(kept);
    this.fill();
  }

  fill() {
    for (const [key, id] of Object.entries(ENTRIES)) {
      byId(id).value = this.sample[/** @type {keyof typeof ENTRIES} */ (key)];
    }
  }

  redraw() {
    const lines = totalLines(totalsOf(this.session), this.session.model.labels);
    byId("totals").tBodies[0].replaceChildren(...lines.map((line) => row(...line)));
  }
}
