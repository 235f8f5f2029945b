/**
 * Cells by doubt: the list, and what one key does to a cell.
 */
import { byId, make, tell } from "../elements.js";
import { isByHand, live } from "../session/session.js";
import { nameOf, text } from "../texts.js";

/** @typedef {import("../session/session.js").Cell} Cell */
/** @typedef {import("../session/session.js").Field} Field */
/** @typedef {import("../session/session.js").Session} Session */
/** @typedef {import("../stage/view.js").View} View */

/** Why a cell wants another look. @param {Session} session @param {Cell} cell */
function reason(session, cell) {
  if (cell.second && cell.counted) {
    if (!session.agrees(cell.second.label, cell.label)) {
      return text("whyOther", { label: nameOf(cell.second.label) });
    }
    if (cell.second.uncertain) return text("whyUnlike");
  }
  return text("whyNear");
}

/** A cell in words. @param {Session} session @param {Cell} cell */
export function describe(session, cell) {
  const [x, y] = cell.box.map(Math.round);
  const given =
    cell.probability === null ? "" : text("probability", { p: cell.probability.toFixed(2) });
  const label = nameOf(cell.type ?? cell.label);
  const parts = [text("describe", { label, probability: given, x, y })];
  if (!cell.counted) parts.push(text("isUncounted"));
  if (isByHand(cell)) parts.push(text("isByHand"));
  else if (cell.seen) parts.push(text("isSeen"));
  if (session.doubt(cell)) parts.push(text("isDoubt", { why: reason(session, cell) }));
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
      const cell = event.target.closest("li")?.cell;
      if (cell) this.choose(cell);
    });
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

  /** The cells in the order of the list. @returns {Cell[]} */
  ordered() {
    const field = this.session.now;
    if (!field || field.single) return [];
    const doubtful = byId("order").value === "doubt" ? this.session.doubtful(field) : [];
    const rest = live(field).filter((c) => this.session.isShown(c) && !doubtful.includes(c));
    rest.sort((a, b) => a.box[1] - b.box[1] || a.box[0] - b.box[0]);
    return [...doubtful, ...rest];
  }

  redraw() {
    const { session } = this;
    const items = this.ordered().map((cell) => {
      const selected = cell.id === session.chosenId;
      const item = make("li", { role: "option", id: `cell-${cell.id}`, "aria-selected": selected });
      item.textContent = describe(session, cell);
      item.style.borderLeftColor = session.model.colours[cell.label];
      item.cell = cell;
      return item;
    });
    this.list.replaceChildren(...items);
    const here = session.now ? session.doubtful(session.now).length : 0;
    const all = session.found.reduce((sum, field) => sum + session.doubtful(field).length, 0);
    const words = here ? text("doubts", { n: here }) : text("noneLeft");
    const more = session.found.length > 1 ? ` ${text("outOf", { all })}` : "";
    byId("doubts").textContent = session.found.length ? words + more : text("noPicture");
    this.mark();
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

  /** Choose a cell and bring it into view. @param {Cell} cell */
  choose(cell) {
    this.session.choose(cell);
    this.view.centre(cell);
    tell(text("chosen", { cell: describe(this.session, cell) }));
  }

  /** The next cell of the list. @param {number} step */
  step(step) {
    const cells = this.ordered();
    if (!cells.length) return;
    const at = cells.findIndex((cell) => cell.id === this.session.chosenId);
    const next = at < 0 ? (step > 0 ? 0 : -1) : at + step;
    this.choose(cells[(next + cells.length) % cells.length]);
  }

  /**
   * The most doubtful cell after the chosen one, in this field or in one of the next.
   * @param {number} [step]
   */
  nextDoubt(step = 1) {
    const { session } = this;
    const start = session.now ? session.found.indexOf(session.now) : 0;
    const fields = [
      ...session.found.slice(Math.max(0, start)),
      ...session.found.slice(0, Math.max(0, start)),
    ];
    if (step < 0) fields.splice(1, fields.length - 1, ...fields.slice(1).reverse());
    for (const field of fields) {
      const doubtful = session.doubtful(field);
      const at = doubtful.findIndex((cell) => cell.id === session.chosenId);
      const next = doubtful[at < 0 ? (step > 0 ? 0 : doubtful.length - 1) : at + step];
      if (!next) continue;
      if (field !== session.now) session.show(field);
      this.choose(next);
      return;
    }
    const first = fields.map((field) => session.doubtful(field)).find((cells) => cells.length);
    if (!first) tell(text("noneLeft"));
    else if (session.now && session.doubtful(session.now).length)
      this.choose(session.doubtful(session.now)[0]);
  }

  /**
   * Do something to the chosen cell; the next doubtful one comes up if it was one.
   * @param {(cell: Cell) => void} change
   */
  settle(change) {
    const { chosen } = this.session;
    if (!chosen) {
      tell(text("chooseFirst"));
      return;
    }
    const field = /** @type {Field} */ (this.session.now);
    const doubtful = this.session.doubtful(field);
    const at = doubtful.indexOf(chosen);
    change(chosen);
    const next = at >= 0 && (doubtful[at + 1] ?? doubtful.find((cell) => cell !== chosen));
    if (next) this.choose(/** @type {Cell} */ (field.cells.find((cell) => cell.id === next.id)));
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
