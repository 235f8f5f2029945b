/**
 * The keyboard: what each key does, and the table that tells it.
 */
import { isWhite } from "../../engine/cells.js";
import { byId, make, row, tell } from "../elements.js";
import { nameOf, text } from "../texts.js";

/**
 * @typedef {object} Parts
 * @property {import("../session/session.js").Session} session
 * @property {import("../stage/view.js").View} view
 * @property {import("./review.js").Review} review
 * @property {import("./differential.js").Differential} differential
 * @property {(box: import("../../engine/cells.js").Box) => void} added
 * @property {(again: boolean) => void} undo
 * @property {import("../stage/live.js").Live} live
 */

const STEP = 0.1; // of the view, for each press of an arrow
/** @type {("grabPicture" | "grabBox" | "grabSize")[]} */
const GRABS = ["grabPicture", "grabBox", "grabSize"];

/** @type {Record<string, [number, number]>} */
const ARROWS = { arrowleft: [-1, 0], arrowright: [1, 0], arrowup: [0, -1], arrowdown: [0, 1] };

export class Keys {
  /** @param {Parts} parts */
  constructor(parts) {
    this.parts = parts;
    this.grab = 0;
    this.showTable();
    addEventListener("keydown", (event) => {
      if (this.press(event)) event.preventDefault();
    });
  }

  showTable() {
    const { labels } = this.parts.session.model;
    /** @type {[string, string][]} */
    const keys = [
      ["U", text("keyU")],
      ["J, K", text("keyTab")],
      ...labels.map(
        (label, k) =>
          /** @type {[string, string]} */ ([
            String(k + 1),
            text("keyLabel", { labels: nameOf(label) }),
          ]),
      ),
      ["Enter", text("keyEnter")],
      ["Del", text("keyDelete")],
      ["Ctrl Z", text("keyUndo")],
      ["C", text("keyC")],
      ["A", text("keyA")],
      ["G", text("keyG")],
      ["← → ↑ ↓", text("keyArrows")],
      ["+ − F", text("keyZoom")],
      ["PgUp, PgDn", text("keyPage")],
      ["W", text("keyW")],
      [byId("take-key").textContent, text("keyTake")],
      ["Esc", text("keyEscape")],
    ];
    const rows = keys.map(([key, does]) => row([make("kbd", {}, key)], does));
    byId("keys").tBodies[0].replaceChildren(...rows);
  }

  /** @param {KeyboardEvent} event @returns {boolean} whether it meant something */
  press(event) {
    const target = /** @type {HTMLElement} */ (event.target);
    const key = event.key.toLowerCase();
    const command = event.ctrlKey || event.metaKey;
    const { session, undo, live } = this.parts;
    if (byId("asking").open || target.matches("input:not([type=checkbox], [type=range]), select"))
      return false;
    if (!command && live.press(event)) return true;
    if (command && (key === "z" || key === "y")) {
      undo(key === "y" || event.shiftKey);
      return true;
    }
    if (command || event.altKey || !session.now) return false;
    if (this.isTaken(target, key)) return false;
    if (key.length === 1 && !byId("letters").checked) return false;
    if (target.id === "cells" && this.grab === 0 && ["arrowup", "arrowdown"].includes(key)) {
      this.parts.review.step(key === "arrowup" ? -1 : 1);
      return true;
    }
    return this.act(key, event.shiftKey);
  }

  /**
   * Whether an element has a use of its own for a key.
   * @param {HTMLElement} target @param {string} key
   */
  isTaken(target, key) {
    const inert = "[role=tab][aria-selected=true]"; // it is open already
    if (["enter", " "].includes(key))
      return target.matches(`:is(button, summary, input):not(${inert})`);
    if (target.matches("input[type=range]")) return key in ARROWS || key.startsWith("page");
    if (target.getAttribute("role") === "tab") return key in ARROWS;
    return false;
  }

  /** @param {string} key @param {boolean} shift */
  act(key, shift) {
    const { session, view, review, differential, added } = this.parts;
    const white = session.chosen && isWhite(session.chosen.label);
    const typing = !byId("differential").hidden && white;
    const type = white ? differential.types.ofKey(key) : null;
    if (type && typing) differential.tally(type);
    else if (type && !byId("review").hidden) review.nameType(type);
    else if (session.model.labels[Number(key) - 1]) review.name(Number(key) - 1);
    else if (key in ARROWS) this.arrow(...ARROWS[key]);
    else if (key === "enter" && view.adding) added(this.middleBox());
    else if (key === "enter") typing ? differential.confirm() : review.agree();
    else if (key === "delete" || key === "backspace") review.remove();
    else if (["u", "j", "k"].includes(key)) this.next(key, shift);
    else if (key === "c") review.setChecked(!session.now?.checked);
    else if (key === "a") view.setAdding(!view.adding);
    else if (key === "g") this.setGrab((this.grab + 1) % GRABS.length);
    else if (key === "f") view.fit();
    else if (key === "+" || key === "=") view.zoom(1.25);
    else if (key === "-") view.zoom(0.8);
    else if (key === "pageup" || key === "pagedown") this.page(key === "pageup" ? -1 : 1);
    else if (key === "w") (byId("tab-differential").click(), differential.next());
    else if (key === "escape") this.escape();
    else return false;
    return true;
  }

  /** @param {string} key @param {boolean} shift */
  next(key, shift) {
    const { review } = this.parts;
    (byId("review").hidden ? byId("stage") : review.list).focus();
    if (key === "u") review.nextDoubt(shift ? -1 : 1);
    else review.step(key === "j" ? 1 : -1);
  }

  escape() {
    this.grab = 0;
    this.parts.view.setAdding(false);
    this.parts.session.choose(null);
  }

  /** @param {number} grab */
  setGrab(grab) {
    this.grab = this.parts.session.chosen ? grab : 0;
    tell(text(GRABS[this.grab]));
  }

  /** @param {number} step */
  page(step) {
    const { session } = this.parts;
    const next = session.fields[session.fields.findIndex((field) => field === session.now) + step];
    if (!next) return;
    this.parts.live.stop();
    session.show(next);
  }

  /** A box of a usual size in the middle of what is seen. @returns {import("../../engine/cells.js").Box} */
  middleBox() {
    const { session, view } = this.parts;
    const field = /** @type {import("../session/session.js").Field} */ (session.now);
    const sizes = field.cells.map(({ box }) => box[2] - box[0]).sort((a, b) => a - b);
    const half = (sizes[sizes.length >> 1] ?? field.width / 8) / 2;
    const [x, y] = view.middle();
    return [
      Math.max(0, x - half),
      Math.max(0, y - half),
      Math.min(field.width, x + half),
      Math.min(field.height, y + half),
    ];
  }

  /** @param {number} x @param {number} y */
  arrow(x, y) {
    const { session, view } = this.parts;
    const { chosen, now } = session;
    if (!chosen || !now || this.grab === 0) {
      view.pan(x * STEP, y * STEP);
      return;
    }
    const step = Math.max(1, Math.round((chosen.box[2] - chosen.box[0]) / 40));
    const [x0, y0, x1, y1] = chosen.box;
    const start = this.grab === 1 ? [x0 + x * step, y0 + y * step] : [x0, y0];
    const [left, top] = [Math.max(0, start[0]), Math.max(0, start[1])];
    const right = Math.min(now.width, Math.max(left + 3, x1 + x * step));
    const bottom = Math.min(now.height, Math.max(top + 3, y1 + y * step));
    session.editCell(chosen, text("didMove"), { box: [left, top, right, bottom] });
  }
}
