/**
 * The picture with its boxes, as far as it is seen.
 */
import { byId, draw } from "../elements.js";
import { clamp } from "../../engine/pictures/numbers.js";
import { text } from "../texts.js";

/** @typedef {import("../session/session.js").Cell} Cell */
/** @typedef {import("../session/session.js").Session} Session */

const LABEL = 12; // pixels of the screen
// Pixels of the screen across which a box still bears its label; on a stage that is NARROW it would
// hide the cells around.
const NARROWEST = 26;
const NARROW = 500;
const NARROWEST_THERE = 90;
const HANDLE = 6;

/** Whether white stands out better than black on a colour. @param {string} colour #rrggbb */
export function isDark(colour) {
  const [r, g, b] = [1, 3, 5].map((at) => parseInt(colour.slice(at, at + 2), 16));
  return 0.3 * r + 0.6 * g + 0.1 * b <= 110;
}

/**
 * Where a view starts that has something in its middle, if it can without showing much beyond the
 * picture.
 * @param {number} middle @param {number} seen pixels of the field @param {number} whole
 */
function within(middle, seen, whole) {
  const beyond = 0.02 * seen;
  if (seen >= whole) return (whole - seen) / 2;
  return clamp(middle - seen / 2, -beyond, whole - seen + beyond);
}

export class View {
  /** @param {Session} session @param {(cell: Cell) => string} label what stands beside a cell */
  constructor(session, label) {
    this.session = session;
    this.label = label;
    this.stage = byId("stage");
    this.picture = byId("picture");
    this.boxes = byId("boxes");
    // Where the view starts in the field, and how many pixels of the screen one of its takes.
    this.left = 0;
    this.top = 0;
    this.scale = 1;
    this.adding = false;
    new ResizeObserver(() => this.fit()).observe(this.stage);
  }

  get size() {
    return { width: this.stage.clientWidth || 1, height: this.stage.clientHeight || 1 };
  }

  /** Show another field. */
  open() {
    const field = this.session.now;
    this.picture.hidden = !field;
    byId("hint").hidden = !!field;
    if (field) {
      this.picture.src = field.url;
      this.picture.width = field.width;
      this.picture.height = field.height;
    }
    this.fit();
    this.redraw();
  }

  fit() {
    const field = this.session.now;
    if (!field) return;
    const { width, height } = this.size;
    this.scale = 0.98 * Math.min(width / field.width, height / field.height);
    this.left = (field.width - width / this.scale) / 2;
    this.top = (field.height - height / this.scale) / 2;
    this.place();
  }

  /** @param {number} factor @param {number} [x] @param {number} [y] what stays where it is */
  zoom(factor, x = this.middle()[0], y = this.middle()[1]) {
    const scale = clamp(this.scale * factor, 0.02, 60);
    this.left = x - ((x - this.left) * this.scale) / scale;
    this.top = y - ((y - this.top) * this.scale) / scale;
    this.scale = scale;
    this.place();
  }

  /** @param {number} x in parts of the view @param {number} y */
  pan(x, y) {
    this.left += (x * this.size.width) / this.scale;
    this.top += (y * this.size.height) / this.scale;
    this.place();
  }

  /** @param {number} left @param {number} top in pixels of the field */
  moveTo(left, top) {
    this.left = left;
    this.top = top;
    this.place();
  }

  /** Bring a cell to the middle, large enough to judge it. @param {Cell} cell */
  centre(cell) {
    const { width, height } = this.size;
    const [x0, y0, x1, y1] = cell.box;
    const across = Math.max(x1 - x0, y1 - y0);
    const wanted = Math.min(width, height) / (4 * across);
    if (this.scale < wanted) this.scale = wanted;
    const { now } = this.session;
    if (!now) return;
    this.left = within((x0 + x1) / 2, width / this.scale, now.width);
    this.top = within((y0 + y1) / 2, height / this.scale, now.height);
    this.place();
  }

  /** The middle of what is seen, in the field. @returns {[number, number]} */
  middle() {
    const { width, height } = this.size;
    return [this.left + width / this.scale / 2, this.top + height / this.scale / 2];
  }

  place() {
    const { width, height } = this.size;
    const [x, y] = [-this.left * this.scale, -this.top * this.scale];
    this.picture.style.transform = `translate(${x}px, ${y}px) scale(${this.scale})`;
    const seen = [this.left, this.top, width / this.scale, height / this.scale];
    this.boxes.setAttribute("viewBox", seen.join(" "));
    for (const group of this.boxes.children) if (group.cell) this.placeLabel(group);
  }

  /** Labels stay as large on the screen, whatever the zoom. @param {any} group */
  placeLabel(group) {
    const unit = 1 / this.scale;
    const [x0, y0, x1, y1] = group.cell.box;
    for (const handle of group.querySelectorAll("circle")) handle.setAttribute("r", HANDLE * unit);
    const least = this.size.width < NARROW ? NARROWEST_THERE : NARROWEST;
    const legible = x1 - x0 >= least * unit || group.cell.id === this.session.chosenId;
    group.tag.setAttribute("visibility", legible ? "visible" : "hidden");
    group.words.setAttribute("visibility", legible ? "visible" : "hidden");
    if (!legible) return;
    const above = Math.max(this.top, 0) + LABEL * unit;
    const low = y1 - y0 < 3 * LABEL * unit; // its label would hide it
    const base = y0 - 4 * unit >= above ? y0 - 4 * unit : low ? y1 + LABEL * unit : above;
    group.words.setAttribute("font-size", LABEL * unit);
    group.words.setAttribute("x", x0 + 3 * unit);
    group.words.setAttribute("y", base);
    group.tag.setAttribute("x", x0);
    group.tag.setAttribute("y", base - 11 * unit);
    group.tag.setAttribute("width", (group.words.textContent.length * 7.6 + 6) * unit);
    group.tag.setAttribute("height", 15 * unit);
  }

  redraw() {
    const { now, chosenId, model } = this.session;
    const cells = now ? now.cells.filter((cell) => this.session.isShown(cell)) : [];
    cells.sort((a, b) => Number(a.id === chosenId) - Number(b.id === chosenId)); // it lies on top
    const groups = cells.map((cell) => this.drawCell(cell, model.colours[cell.label]));
    // Labels after all boxes, so that none crosses one.
    const labels = draw("g", {}, ...groups.flatMap(({ tag, words }) => [tag, words]));
    this.boxes.replaceChildren(...groups, labels);
    this.place();
  }

  /** @param {Cell} cell @param {string} colour */
  drawCell(cell, colour) {
    const [x, y, x1, y1] = cell.box;
    const chosen = cell.id === this.session.chosenId;
    const around = { x, y, width: x1 - x, height: y1 - y };
    const name = (chosen ? "chosen " : "") + (cell.counted ? "" : "unsure");
    const group = draw("g", { class: name });
    if (chosen) group.append(draw("rect", { class: "halo", ...around }));
    group.append(draw("rect", { class: "box", stroke: colour, ...around }));
    group.tag = draw("rect", { class: "tag", fill: colour });
    const words = this.label(cell) + (this.session.doubt(cell) ? " ?" : "");
    group.words = draw("text", { fill: isDark(colour) ? "#fff" : "#000" }, words);
    if (chosen) {
      [
        [x, y],
        [x1, y],
        [x1, y1],
        [x, y1],
      ].forEach(([cx, cy], corner) => {
        const handle = draw("circle", { class: "handle", cx, cy });
        handle.corner = corner;
        group.append(handle);
      });
    }
    group.cell = cell;
    return group;
  }

  /** @param {boolean} on */
  setAdding(on) {
    this.adding = on;
    byId("add").setAttribute("aria-pressed", String(on));
    this.stage.classList.toggle("adding", on);
    if (on) byId("state").textContent = text("adding");
  }

  /** Where a pointer is, in the field. @param {MouseEvent} event @returns {[number, number]} */
  at(event) {
    const frame = this.stage.getBoundingClientRect();
    const [x, y] = [event.clientX - frame.left, event.clientY - frame.top];
    return [this.left + x / this.scale, this.top + y / this.scale];
  }
}
