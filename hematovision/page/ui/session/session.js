/**
 * What is open: fields, their cells, what was changed by hand, and how to take it back.
 */
import { belongs } from "../../engine/border.js";
import { isTypeOpen, rateDoubt } from "./looks.js";

/** @typedef {import("../../engine/cells.js").Box} Box */

/**
 * What the page knows of its model.
 * @typedef {object} Model
 * @property {string} id
 * @property {string[]} labels of the cells that are found
 * @property {string[]} classes of the crop network
 * @property {string[]} types of white cells that the crop network tells apart
 * @property {Record<string, string[]>} kinds what each class is a kind of
 * @property {Record<string, number>} thresholds
 * @property {Record<string, number>} sure from which a counted cell isn't asked about
 * @property {Record<string, number>} nearly from which one is that isn't counted
 * @property {Record<string, string>} colours
 */

/**
 * A cell of a field. `origin`: as the model found it, null where it was added by hand. `second`:
 * what the crop network says of it, where its label has types, and how `sure` it is of its kind.
 * `type`: of a white cell, `proposed` by the model or given by hand; `tallied` once it is in the
 * differential, `named` where a person gave it outside of that. `seen`: a person said that it's
 * right.
 * @typedef {object} Cell
 * @property {number} id
 * @property {string} label
 * @property {number | null} probability
 * @property {Box} box
 * @property {boolean} counted
 * @property {{label: string, box: Box, counted: boolean} | null} origin
 * @property {{label: string, probability: number, sure?: number | null} | null} second
 * @property {string | null} type
 * @property {string | null} proposed
 * @property {boolean} named
 * @property {boolean} tallied
 * @property {boolean} seen
 * @property {boolean} deleted
 */

/**
 * A picture. `checked`: a person has gone through it, so that every cell has its box.
 * @typedef {object} Field
 * @property {string} key names the picture's content and the model
 * @property {string} name
 * @property {Blob} blob
 * @property {string} url
 * @property {number} opened milliseconds, by which fields are in order
 * @property {number} width
 * @property {number} height
 * @property {"auto" | "field" | "cell"} kind
 * @property {"waiting" | "looking" | "done" | "failed" | "cancelled"} state
 * @property {Cell[]} cells
 * @property {any} single what the picture shows, if it is a single cell
 * @property {{cellPx: number, certain: boolean} | null} scale pixels across a red cell, as found
 * @property {number | null} cellSize the same, as a person states it
 * @property {boolean} checked
 * @property {Overlap[]} overlaps with fields taken before
 * @property {import("../../engine/networks/doubts.js").Doubt[]} doubts why counts may be wrong
 * @property {import("../../engine/border.js").Rule} border which cut cells are counted
 */

/**
 * What a field shares with an earlier one: that one's key, where this one's upper left corner lies
 * in it, and what share of this one it is.
 * @typedef {{key: string, x: number, y: number, share: number}} Overlap
 */

/** @typedef {{field: Field, before: Cell[], after: Cell[], what: string}} Edit */

const MOST_EDITS = 300;
const MOST_AT_ONCE = 10; // cells that are asked about

/** @param {Cell[]} cells @returns {Cell[]} */
const copy = (cells) => cells.map((cell) => ({ ...cell }));

/** @param {Cell} cell */
const isNamed = ({ origin, label, counted }) =>
  origin !== null && (origin.label !== label || origin.counted !== counted);

/** @param {Cell} cell */
const isMoved = ({ origin, box }) => origin !== null && origin.box.some((v, i) => v !== box[i]);

/** Whether a person changed what the model said. @param {Cell} cell */
export const isByHand = (cell) =>
  cell.origin === null || cell.deleted || isNamed(cell) || isMoved(cell);

/** The cells that are there. @param {Field} field */
export const live = (field) => field.cells.filter((cell) => !cell.deleted);

/** Whether a cell counts in its field. @param {Field} field @param {Cell} cell */
export const counts = ({ width, height, border }, cell) =>
  cell.counted && belongs(cell.box, width, height, border);

/** @param {Field} field */
export const counted = (field) => live(field).filter((cell) => counts(field, cell));

/** @param {Field} field @param {string} label */
export const count = (field, label) => counted(field).filter((c) => c.label === label).length;

/** How many cells were changed by hand, and how. @param {Field} field */
export function changes(field) {
  const kept = live(field);
  const added = kept.filter((cell) => cell.origin === null).length;
  const named = kept.filter(isNamed).length;
  const moved = kept.filter((cell) => isMoved(cell) && !isNamed(cell)).length;
  const deleted = field.cells.filter((cell) => cell.deleted && cell.origin !== null).length;
  return { named, moved, added, deleted, all: added + named + moved + deleted };
}

/** Whether a person's work on a field would be lost with it. @param {Field} field */
export const isTouched = (field) =>
  field.cells.some((cell) => cell.seen || cell.tallied || isByHand(cell));

export class Session {
  /** @param {Model} model */
  constructor(model) {
    this.model = model;
    /** @type {Field[]} */
    this.fields = [];
    /** @type {Field | null} */
    this.now = null;
    /** @type {number | null} */
    this.chosenId = null;
    /** From what probability cells that aren't counted are shown too. */
    this.least = 1;
    /** @type {Edit[]} */
    this.done = [];
    /** @type {Edit[]} */
    this.taken = [];
    this.serial = 0;
    /** @type {import("../../engine/border.js").Rule} */
    this.border = "all";
    /** @type {Set<number>} cells that lie in an earlier field too, and are counted there */
    this.again = new Set();
    /** @type {((what: "field" | "cells" | "choice" | "edit" | "checked", field: Field | null) => void)[]} */
    this.listeners = [];
  }

  /** @param {"field" | "cells" | "choice" | "edit" | "checked"} what @param {Field | null} [field] */
  changed(what, field = this.now) {
    for (const listener of this.listeners) listener(what, field);
  }

  /** Count cells that the border cuts by a rule. @param {import("../../engine/border.js").Rule} rule */
  setBorder(rule) {
    this.border = rule;
    for (const field of this.fields) field.border = rule;
    this.changed("cells");
  }

  /** @param {Field} field @param {boolean} shown */
  add(field, shown) {
    this.fields.push(field);
    if (shown || !this.now) this.show(field);
    else this.changed("cells");
  }

  /** Fields with cells, not pictures of a single one. */
  get found() {
    return this.fields.filter((field) => field.state === "done" && !field.single);
  }

  /** @returns {Cell | null} */
  get chosen() {
    return this.now?.cells.find((cell) => cell.id === this.chosenId && !cell.deleted) ?? null;
  }

  /** @param {Field} field */
  show(field) {
    this.now = field;
    this.chosenId = null;
    this.changed("field");
  }

  /** @param {Field} field */
  remove(field) {
    const at = this.fields.indexOf(field);
    this.fields.splice(at, 1);
    this.done = this.done.filter((edit) => edit.field !== field);
    this.taken = this.taken.filter((edit) => edit.field !== field);
    URL.revokeObjectURL(field.url);
    this.now = this.fields[Math.min(at, this.fields.length - 1)] ?? null;
    this.chosenId = null;
    this.changed("field");
  }

  /** @param {Cell | null} cell */
  choose(cell) {
    this.chosenId = cell?.id ?? null;
    this.changed("choice");
  }

  /** @param {Partial<Cell> & {label: string, box: Box}} cell @returns {Cell} */
  makeCell(cell) {
    const fresh = { probability: null, counted: true, origin: null, second: null, type: null };
    const unseen = { proposed: null, named: false, tallied: false, seen: false, deleted: false };
    return { ...fresh, ...unseen, ...cell, id: ++this.serial };
  }

  /**
   * Change cells of the field at hand.
   * @param {string} what @param {(cells: Cell[]) => void} change
   */
  edit(what, change) {
    const field = this.now;
    if (!field) return;
    const before = copy(field.cells);
    change(field.cells);
    this.done.push({ field, before, after: copy(field.cells), what });
    if (this.done.length > MOST_EDITS) this.done.shift();
    this.taken = [];
    this.changed("edit", field);
  }

  /** Change one cell. @param {Cell} cell @param {string} what @param {Partial<Cell>} change */
  editCell(cell, what, change) {
    this.edit(what, (cells) => Object.assign(cells.find((c) => c.id === cell.id) ?? {}, change));
  }

  /**
   * Take the last edit back, or do it again.
   * @param {boolean} again @returns {string | null} what it was
   */
  undo(again = false) {
    const edit = (again ? this.taken : this.done).pop();
    if (!edit) return null;
    (again ? this.done : this.taken).push(edit);
    edit.field.cells = copy(again ? edit.after : edit.before);
    if (this.now !== edit.field) this.show(edit.field);
    this.changed("edit", edit.field);
    return edit.what;
  }

  /** Whether a cell is counted, or probable enough to be shown too. @param {Cell} cell */
  isListed(cell) {
    return cell.counted || (cell.probability !== null && cell.probability >= this.least);
  }

  /** Whether a cell is drawn. @param {Cell} cell */
  isShown(cell) {
    return !cell.deleted && (this.isListed(cell) || cell.id === this.chosenId);
  }

  /**
   * How much a cell wants another look: 0 settled or sure, from 1 up doubtful, more the more.
   * @param {Cell} cell @param {Field | null} [field] that it is of @returns {number}
   */
  doubt(cell, field = this.now) {
    const isSettled = field?.checked || cell.deleted || cell.seen || isByHand(cell);
    if (isSettled || this.again.has(cell.id)) return 0;
    if (field && !belongs(cell.box, field.width, field.height, field.border)) return 0;
    return rateDoubt(this.model, cell);
  }

  /** Doubtful cells of a field, most doubtful first. @param {Field} field */
  doubtful(field) {
    return this.rate(field).map(({ cell }) => cell);
  }

  /** @param {Field} field @returns {{field: Field, cell: Cell, doubt: number}[]} */
  rate(field) {
    const rated = live(field).map((cell) => ({ field, cell, doubt: this.doubt(cell, field) }));
    return rated.filter(({ doubt }) => doubt > 0).sort((a, b) => b.doubt - a.doubt);
  }

  /**
   * The most doubtful cells of all fields, MOST_AT_ONCE at most, those of open type spread over the
   * types proposed; field by field, since each change of picture costs the eye.
   * @returns {{field: Field, cell: Cell}[]}
   */
  lookAt() {
    const rated = this.found.flatMap((field) => this.rate(field));
    rated.sort((a, b) => b.doubt - a.doubt);
    /** @type {Map<string | null, number>} */
    const alike = new Map();
    for (const one of rated.filter(({ cell }) => isTypeOpen(cell))) {
      const before = alike.get(one.cell.proposed) ?? 0;
      alike.set(one.cell.proposed, before + 1);
      one.doubt /= 1 + before / SAME_TYPE;
    }
    const first = rated.sort((a, b) => b.doubt - a.doubt).slice(0, MOST_AT_ONCE);
    const order = new Map(this.found.map((field, k) => [field, k]));
    const place = (/** @type {Field} */ field) => order.get(field) ?? 0;
    return first.sort((a, b) => place(a.field) - place(b.field) || b.doubt - a.doubt);
  }
}

const SAME_TYPE = 3; // cells of one proposed type before, that halve what a further one teaches
