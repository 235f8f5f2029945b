/**
 * The differential count, as at a laboratory's counter: white cell after white cell, a key each.
 */
import { wilson } from "../../engine/networks/differential.js";
import { byId, make, row, tell } from "../elements.js";
import { live } from "../session/session.js";
import { nameOf, text } from "../texts.js";

/** @typedef {import("../session/session.js").Cell} Cell */
/** @typedef {import("../session/session.js").Field} Field */
/** @typedef {import("../session/session.js").Session} Session */

/** Types and their keys, as on a counter; more of a model's own come after these. */
const TYPES = [
  ["Neutrophil", "N"],
  ["Lymphocyte", "L"],
  ["Monocyte", "M"],
  ["Eosinophil", "E"],
  ["Basophil", "B"],
  ["Immature granulocyte", "I"],
  ["Erythroblast", "R"],
];

/** @param {string} label */
export const isWhite = (label) => label.toLowerCase() === "wbc";

export class Differential {
  /** @param {Session} session @param {{show: (field: Field, cell: Cell) => void}} page */
  constructor(session, page) {
    this.session = session;
    this.page = page;
    const known = TYPES.map(([type]) => type);
    const more = session.model.types.filter((type) => !known.includes(type));
    this.types = [...TYPES, ...more.map((type) => [type, ""])];
    /** @type {AudioContext | null} */
    this.audio = null;
    byId("start").addEventListener("click", () => this.next());
    byId("confirm").addEventListener("click", () => this.confirm());
    byId("stop").addEventListener("change", () => this.redraw());
  }

  /** All white cells, as they come up. @returns {{field: Field, cell: Cell}[]} */
  whites() {
    return this.session.found.flatMap((field) =>
      live(field)
        .filter((cell) => cell.counted && isWhite(cell.label))
        .sort((a, b) => a.box[1] - b.box[1] || a.box[0] - b.box[0])
        .map((cell) => ({ field, cell })),
    );
  }

  get tallied() {
    return this.whites()
      .filter(({ cell }) => cell.tallied)
      .map(({ cell }) => cell);
  }

  get stop() {
    return Number(byId("stop").value);
  }

  get isFull() {
    return this.stop > 0 && this.tallied.length >= this.stop;
  }

  /** The type whose key this is. @param {string} key */
  typeOf(key) {
    return this.types.find(([, letter]) => letter && letter === key.toUpperCase())?.[0] ?? null;
  }

  /** Bring up the next white cell that isn't tallied. */
  next() {
    if (this.isFull) {
      this.sound(true);
      this.session.choose(null); // a key too many changes nothing
      tell(text("reached", { stop: this.stop }));
      return;
    }
    const left = this.whites().find(({ cell }) => !cell.tallied);
    if (!left) {
      tell(text("noMore"));
      this.session.choose(null);
      return;
    }
    this.page.show(left.field, left.cell);
    byId("stage").focus();
  }

  /** The chosen white cell is of this type. @param {string} type */
  tally(type) {
    const { chosen } = this.session;
    if (!chosen || !isWhite(chosen.label)) return;
    if (!chosen.tallied && this.isFull) {
      tell(text("reached", { stop: this.stop }));
      return;
    }
    const change = { type, tallied: true, counted: true, seen: true };
    this.session.editCell(chosen, text("didType", { type: nameOf(type) }), change);
    if (!this.isFull) this.sound(false);
    this.next();
  }

  /** The chosen white cell is of the type that the model proposes. */
  confirm() {
    const proposed = this.session.chosen?.proposed;
    if (proposed) this.tally(proposed);
    else tell(text("notProposed"));
  }

  /** A click a cell, a chord at the end. @param {boolean} full */
  sound(full) {
    if (!byId("sound").checked || typeof AudioContext === "undefined") return;
    this.audio ??= new AudioContext();
    const { currentTime, destination } = this.audio;
    for (const [n, pitch] of (full ? [523, 659, 784] : [880]).entries()) {
      const tone = this.audio.createOscillator();
      const volume = this.audio.createGain();
      const start = currentTime + 0.12 * n;
      tone.frequency.value = pitch;
      volume.gain.setValueAtTime(0.15, start);
      volume.gain.exponentialRampToValueAtTime(0.001, start + (full ? 0.4 : 0.07));
      tone.connect(volume).connect(destination);
      tone.start(start);
      tone.stop(start + 0.5);
    }
  }

  redraw() {
    const cells = this.tallied;
    const n = cells.length;
    const { stop } = this;
    byId("stand").textContent = stop ? text("standing", { n, stop }) : text("standingFree", { n });
    byId("counted").hidden = !stop;
    Object.assign(byId("counted"), { max: stop || 1, value: n });
    const { chosen } = this.session;
    const white = chosen && isWhite(chosen.label) ? chosen : null;
    const rows = this.types.map(([type, key]) => {
      const hits = cells.filter((cell) => cell.type === type).length;
      const [low, high] = n ? wilson(hits, n).map((share) => (100 * share).toFixed(0)) : ["", ""];
      const button = make("button", {}, `${nameOf(type)} `, ...(key ? [make("kbd", {}, key)] : []));
      button.disabled = !white;
      button.addEventListener("click", () => this.tally(type));
      const share = n ? ((100 * hits) / n).toFixed(1) : "–";
      const line = row([button], hits, share, n ? `${low}–${high}` : "–");
      line.classList.toggle("now", white?.type === type);
      return line;
    });
    byId("types").tBodies[0].replaceChildren(...rows);
    const proposed = cells.filter((cell) => cell.proposed !== null);
    const corrected = proposed.filter((cell) => cell.type !== cell.proposed).length;
    byId("corrected").textContent = this.session.model.types.length
      ? text("correctedBy", { n: proposed.length, corrected })
      : text("byHandOnly");
    byId("confirm").disabled = !white?.proposed;
    const words = white?.proposed
      ? text("proposed", { type: nameOf(white.proposed) })
      : white
        ? text("notProposed")
        : "";
    byId("proposal").textContent = words;
    this.showCell(white);
  }

  /** The cell, large. @param {Cell | null} cell */
  showCell(cell) {
    const canvas = byId("white");
    canvas.hidden = !cell;
    if (!cell) return;
    const [x0, y0, x1, y1] = cell.box;
    const across = 1.3 * Math.max(x1 - x0, y1 - y0);
    const [x, y] = [(x0 + x1 - across) / 2, (y0 + y1 - across) / 2];
    const context = canvas.getContext("2d");
    context.clearRect(0, 0, canvas.width, canvas.height);
    const picture = byId("picture");
    if (!picture.complete)
      picture.addEventListener("load", () => this.showCell(cell), { once: true });
    else context.drawImage(picture, x, y, across, across, 0, 0, canvas.width, canvas.height);
  }
}
