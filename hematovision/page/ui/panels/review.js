/**
 * Cells to look at: the list, and what one key does to a cell.
 */
import { byId, make, tell } from "../elements.js";
import { wantsType } from "../session/looks.js";
import { isByHand, live } from "../session/session.js";
import { nameOf, text } from "../texts.js";

/** @typedef {import("../session/session.js").Cell} Cell */
/** @typedef {import("../session/session.js").Field} Field */
/** @typedef {import("../session/session.js").Session} Session */
/** @typedef {import("../stage/view.js").View} View */

/** Why a cell wants another look. @param {Session} session @param {Cell} cell */
function reason(session, cell) {
  if (cell.second && cell.counted && wantsType(session.model, cell)) {
    const { label } = cell.second;
    const isWhite = label === cell.label || session.model.kinds[label]?.includes(cell.label);
    return text(isWhite ? "whyType" : "whyOther", { label: nameOf(label) });
  }
  return text(cell.counted ? "whyNear" : "whyMissed");
}

/** A cell in words. @param {Session} session @param {Cell} cell @param {Field | null} [field] */
export function describe(session, cell, field = session.now) {
  const [x, y] = cell.box.map(Math.round);
  const given =
    cell.probability === null ? "" : text("probability", { p: cell.probability.toFixed(2) });
  const label = nameOf(cell.type ?? cell.label);
  const parts = [text("describe", { label, probability: given, x, y })];
  if (!cell.counted) parts.push(text("isUncounted"));
  if (isByHand(cell)) parts.push(text("isByHand"));
  else if (cell.seen) parts.push(text("isSeen"));
  if (session.doubt(cell, field)) parts.push(text("isDoubt", { why: reason(session, cell) }));
  if (field && field !== session.now) parts.unshift(field.name);
  return parts.join("; ");
}

export class Review {
  /** @param {Session} session @param {View} view */
  constructor(session, view) {
    this.session = session;
    this.view = view;
    this.list = byId("cells");
    const labels = session.model.labels.map((label, k) => {
      const button = make("button", {}, `${nameOf(label)} `, make("kbd", {}, String(k + 1)));
      button.addEventListener("click", () => this.name(k));
      return button;
    });
    byId("labels").replaceChildren(...labels);
    byId("next-doubt").addEventListener("click", () => this.nextDoubt());
    byId("right").addEventListener("click", () => this.agree());
    byId("delete").addEventListener("click", () => this.remove());
    byId("order").addEventListener("change", () => this.redraw());
    byId("least").addEventListener("input", () => this.setLeast(byId("least").valueAsNumber));
    this.list.addEventListener("click", (/** @type {any} */ event) => {
      const item = event.target.closest("li");
      if (item) this.choose(item.cell, item.field);
    });
    byId("through").addEventListener("change", () => this.setChecked(byId("through").checked));
    this.setLeast(100);
  }

  /** @param {number} percent */
  setLeast(percent) {
    this.session.least = percent === 100 ? 2 : percent / 100;
    byId("least-said").textContent = text(percent === 100 ? "leastNone" : "leastSome", {
      n: percent,
    });
    this.session.changed("cells");
  }

  /**
   * The list: cells to look at, of whatever field, then those of the field at hand from the top.
   * @returns {{field: Field, cell: Cell}[]}
   */
  ordered() {
    const { session } = this;
    const first = byId("order").value === "doubt" ? session.lookAt() : [];
    const field = session.now;
    if (!field || field.single) return first;
    const listed = new Set(first.map(({ cell }) => cell));
    const rest = live(field).filter((cell) => session.isShown(cell) && !listed.has(cell));
    rest.sort((a, b) => a.box[1] - b.box[1] || a.box[0] - b.box[0]);
    return [...first, ...rest.map((cell) => ({ field, cell }))];
  }

  redraw() {
    const { session } = this;
    const items = this.ordered().map(({ field, cell }) => {
      const selected = cell.id === session.chosenId;
      const item = make("li", { role: "option", id: `cell-${cell.id}`, "aria-selected": selected });
      item.textContent = describe(session, cell, field);
      item.style.borderLeftColor = session.model.colours[cell.label];
      return Object.assign(item, { cell, field });
    });
    this.list.replaceChildren(...items);
    const n = session.lookAt().length;
    const all = session.found.reduce((sum, field) => sum + session.doubtful(field).length, 0);
    const words = n ? text("doubts", { n }) : text("noneLeft");
    const more = all > n ? ` ${text("doubtsMore", { n: all - n })}` : "";
    byId("doubts").textContent = session.found.length ? words + more : text("noPicture");
    byId("through").checked = session.now?.checked ?? false;
    byId("through").disabled = !session.found.includes(/** @type {Field} */ (session.now));
    this.mark();
  }

  /** A person has gone through the field at hand, or hasn't. @param {boolean} checked */
  setChecked(checked) {
    const field = this.session.now;
    if (!field || !this.session.found.includes(field)) return;
    field.checked = checked;
    this.session.changed("checked", field);
    tell(text(checked ? "isThrough" : "isNotThrough", { name: field.name }));
  }

  /** Mark the chosen cell in the list. */
  mark() {
    const { chosen } = this.session;
    for (const item of this.list.children) {
      const selected = item.cell.id === chosen?.id;
      item.setAttribute("aria-selected", selected);
      if (selected && !byId("review").hidden) item.scrollIntoView({ block: "nearest" });
    }
    if (chosen) this.list.setAttribute("aria-activedescendant", `cell-${chosen.id}`);
    else this.list.removeAttribute("aria-activedescendant");
    for (const id of ["right", "delete"]) byId(id).disabled = !chosen;
    for (const button of byId("labels").children) button.disabled = !chosen;
  }

  /**
   * Choose a cell and bring it into view.
   * @param {Cell} cell @param {Field | null} [field] that it is of
   */
  choose(cell, field = this.session.now) {
    if (field && field !== this.session.now) this.session.show(field);
    this.session.choose(cell);
    this.view.centre(cell);
    tell(text("chosen", { cell: describe(this.session, cell) }));
  }

  /** The next cell of the list. @param {number} step */
  step(step) {
    const cells = this.ordered();
    if (!cells.length) return;
    const at = cells.findIndex(({ cell }) => cell.id === this.session.chosenId);
    const next = at < 0 ? (step > 0 ? 0 : -1) : at + step;
    const { cell, field } = cells[(next + cells.length) % cells.length];
    this.choose(cell, field);
  }

  /** The next of the cells to look at, in whatever field. @param {number} [step] */
  nextDoubt(step = 1) {
    const cells = this.session.lookAt();
    if (!cells.length) {
      tell(text("noneLeft"));
      return;
    }
    const at = cells.findIndex(({ cell }) => cell.id === this.session.chosenId);
    const next = at < 0 ? (step > 0 ? 0 : -1) : at + step;
    const { cell, field } = cells[(next + cells.length) % cells.length];
    this.choose(cell, field);
  }

  /**
   * Do something to the chosen cell; if it was one to look at, the next of them comes up.
   * @param {(cell: Cell) => void} change
   */
  settle(change) {
    const { session } = this;
    const { chosen } = session;
    if (!chosen) {
      tell(text("chooseFirst"));
      return;
    }
    const before = session.lookAt();
    const at = before.findIndex(({ cell }) => cell.id === chosen.id);
    change(chosen);
    if (at < 0) return;
    const left = session.lookAt().filter(({ cell }) => cell.id !== chosen.id);
    const after = before.slice(at + 1).map(({ cell }) => cell.id);
    const next = left.find(({ cell }) => after.includes(cell.id)) ?? left[0];
    if (next) this.choose(next.cell, next.field);
  }

  /** The chosen cell has a label. @param {number} k index into the labels */
  name(k) {
    const label = this.session.model.labels[k];
    const change = { label, counted: true, seen: true };
    this.settle((cell) => {
      const type = cell.label === label ? cell.type : null;
      this.session.editCell(cell, text("didName", { label: nameOf(label) }), { ...change, type });
    });
  }

  /**
   * The chosen white cell is of a type. It isn't tallied: a differential of the doubtful ones would
   * be none of the smear.
   * @param {string} type
   */
  nameType(type) {
    this.settle((cell) =>
      this.session.editCell(cell, text("didType", { type: nameOf(type) }), {
        type,
        named: true,
        counted: true,
        seen: true,
      }),
    );
  }

  /** The chosen cell is what it is said to be. */
  agree() {
    this.settle((cell) =>
      this.session.editCell(cell, text("didSeen"), { counted: true, seen: true }),
    );
  }

  /** The chosen cell is none. */
  remove() {
    this.settle((cell) => this.session.editCell(cell, text("didDelete"), { deleted: true }));
  }
}
