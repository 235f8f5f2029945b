/**
 * The differential count, as at a laboratory's counter: white cell after white cell, a key each.
 */
import { CHECKED } from "../../constants.js";
import { isWhite } from "../../engine/cells.js";
import { byId, make, row, tell } from "../elements.js";
import { tallyUp, whitesOf } from "../session/tally.js";
import { nameOf, text } from "../texts.js";
import { ring } from "./sound.js";

/** @typedef {import("../session/session.js").Cell} Cell */
/** @typedef {import("../session/session.js").Field} Field */
/** @typedef {import("../session/session.js").Session} Session */
/** @typedef {import("../session/tally.js").Tally} Tally */
/** @typedef {import("../session/tally.js").TypeRow} TypeRow */
/** @typedef {import("../session/types.js").Types} Types */

const APART = "\u2009/100"; // per hundred white cells

/** @param {TypeRow} row @returns {[string, string]} share and interval in words */
export function shareWords({ share, interval, apart }) {
  if (share === null) return ["–", "–"];
  const percent = (100 * share).toFixed(1);
  if (!interval) return [apart ? percent + APART : percent, ""];
  const [low, high] = interval.map((end) => (100 * end).toFixed(0));
  return [percent, `${low}–${high}`];
}

/** How far the types can be believed. @param {Tally} tally @param {boolean} proposes */
export function trustWords(tally, proposes) {
  const { white, confirmed, judged, right } = tally;
  const percent = white ? Math.round((100 * confirmed) / white) : 0;
  const words = [text("confirmedOf", { confirmed, white, percent })];
  if (!proposes) words.push(text("byHandOnly"));
  else if (judged < CHECKED) words.push(text("unchecked", { n: CHECKED }));
  if (judged) words.push(text("correctedBy", { n: judged, corrected: judged - right }));
  return words.join(" ");
}

export class Differential {
  /**
   * @param {Session} session @param {Types} types
   * @param {{show: (field: Field, cell: Cell) => void, kept: () => void}} page
   */
  constructor(session, types, page) {
    this.session = session;
    this.types = types;
    this.page = page;
    byId("start").addEventListener("click", () => this.next());
    byId("confirm").addEventListener("click", () => this.confirm());
    byId("stop").addEventListener("change", () => this.redraw());
    byId("add-type").addEventListener("submit", (/** @type {Event} */ event) => {
      event.preventDefault();
      this.addType();
    });
  }

  get stop() {
    return Number(byId("stop").value);
  }

  get isFull() {
    return this.stop > 0 && tallyUp(this.session, this.types).confirmed >= this.stop;
  }

  /** Bring up the next white cell that isn't tallied. */
  next() {
    if (this.isFull) {
      this.sound(true);
      this.session.choose(null); // a key too many changes nothing
      tell(text("reached", { stop: this.stop }));
      return;
    }
    const left = whitesOf(this.session).find(({ cell }) => !cell.tallied);
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

  /** @param {boolean} full */
  sound(full) {
    if (byId("sound").checked) ring(full);
  }

  addType() {
    try {
      this.types.add(byId("type-name").value, byId("type-key").value);
    } catch (error) {
      tell(text(/** @type {any} */ (error).message));
      return;
    }
    byId("add-type").reset();
    this.page.kept();
    this.redraw();
  }

  redraw() {
    const tally = tallyUp(this.session, this.types);
    const { confirmed: n } = tally;
    const { stop } = this;
    byId("stand").textContent = stop ? text("standing", { n, stop }) : text("standingFree", { n });
    byId("counted").hidden = !stop;
    Object.assign(byId("counted"), { max: stop || 1, value: Math.min(n, stop || 1) });
    const { chosen } = this.session;
    const white = chosen && isWhite(chosen.label) ? chosen : null;
    byId("types").tBodies[0].replaceChildren(...tally.rows.map((one) => this.drawRow(one, white)));
    const total = [n, n ? "100" : "–", "", tally.proposed];
    byId("types").tFoot.replaceChildren(row(text("total"), ...total));
    byId("trust").textContent = trustWords(tally, this.session.model.types.length > 0);
    byId("confirm").disabled = !white?.proposed;
    const words = white?.proposed
      ? text("proposed", { type: nameOf(white.proposed) })
      : white
        ? text("notProposed")
        : "";
    byId("proposal").textContent = words;
    this.showCell(white);
  }

  /** @param {TypeRow} one @param {Cell | null} white the cell that is chosen */
  drawRow(one, white) {
    const key = one.key ? [make("kbd", {}, one.key)] : [];
    const button = make("button", {}, `${nameOf(one.name)} `, ...key);
    button.disabled = !white;
    button.addEventListener("click", () => this.tally(one.name));
    const line = row([button], one.confirmed, ...shareWords(one), one.proposed);
    line.classList.toggle("now", white?.type === one.name);
    return line;
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
