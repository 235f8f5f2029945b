/**
 * The picture with its boxes: zoom, pan, pinch, choose, drag a new box or a corner of one.
 */
import { clamp } from "./images.js";
import { byId, draw } from "./elements.js";
import { text } from "./texts.js";

/** @typedef {import("./session.js").Cell} Cell */
/** @typedef {import("./session.js").Session} Session */
/** @typedef {import("./cells.js").Box} Box */

const LABEL = 12; // pixels of the screen
const NARROWEST = 26; // pixels of the screen across which a box still bears its label
const HANDLE = 6;
const MOVED = 4; // pixels of the screen from which a press is a drag
const SMALLEST = 3; // pixels of the field across a box

/** Whether white stands out better than black on a colour. @param {string} colour #rrggbb */
export function isDark(colour) {
  const [r, g, b] = [1, 3, 5].map((at) => parseInt(colour.slice(at, at + 2), 16));
  return 0.3 * r + 0.6 * g + 0.1 * b <= 110;
}

/** @param {number} x0 @param {number} y0 @param {number} x1 @param {number} y1 @returns {Box} */
const ordered = (x0, y0, x1, y1) => [
  Math.min(x0, x1),
  Math.min(y0, y1),
  Math.max(x0, x1),
  Math.max(y0, y1),
];

export class View {
  /**
   * @param {Session} session
   * @param {{label: (cell: Cell) => string, added: (box: Box) => void, moved: (cell: Cell, box: Box) => void}} page
   */
  constructor(session, page) {
    this.session = session;
    this.page = page;
    this.stage = byId("stage");
    this.picture = byId("picture");
    this.boxes = byId("boxes");
    /** Where the view starts in the field, and how many pixels of the screen a pixel of it takes. */
    this.left = 0;
    this.top = 0;
    this.scale = 1;
    this.adding = false;
    /** @type {Map<number, PointerEvent>} */
    this.fingers = new Map();
    /** @type {any} */
    this.drag = null;
    this.stage.addEventListener("wheel", (/** @type {WheelEvent} */ event) => {
      if (!session.now) return;
      event.preventDefault();
      this.zoom(Math.exp(-event.deltaY / 400), ...this.at(event));
    }, { passive: false }); // prettier-ignore
    this.stage.addEventListener("pointerdown", (/** @type {PointerEvent} */ e) => this.press(e));
    this.stage.addEventListener("pointermove", (/** @type {PointerEvent} */ e) => this.move(e));
    for (const end of ["pointerup", "pointercancel"]) {
      this.stage.addEventListener(end, (/** @type {PointerEvent} */ e) => this.release(e));
    }
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

  /** Bring a cell to the middle, large enough to judge it. @param {Cell} cell */
  centre(cell) {
    const { width, height } = this.size;
    const [x0, y0, x1, y1] = cell.box;
    const across = Math.max(x1 - x0, y1 - y0);
    const wanted = Math.min(width, height) / (4 * across);
    if (this.scale < wanted) this.scale = wanted;
    this.left = (x0 + x1) / 2 - width / this.scale / 2;
    this.top = (y0 + y1) / 2 - height / this.scale / 2;
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
    const legible = x1 - x0 >= NARROWEST * unit || group.cell.id === this.session.chosenId;
    group.tag.setAttribute("visibility", legible ? "visible" : "hidden");
    group.words.setAttribute("visibility", legible ? "visible" : "hidden");
    if (!legible) return;
    const base = Math.max(y0 - 4 * unit, this.top + LABEL * unit, LABEL * unit);
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
    const words = this.page.label(cell) + (this.session.doubt(cell) ? " ?" : "");
    group.words = draw("text", { fill: isDark(colour) ? "#fff" : "#000" }, words);
    if (chosen) {
      [[x, y], [x1, y], [x1, y1], [x, y1]].forEach(([cx, cy], corner) => {
        const handle = draw("circle", { class: "handle", cx, cy });
        handle.corner = corner;
        group.append(handle);
      }); // prettier-ignore
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

  /** @param {PointerEvent} event */
  press(event) {
    const target = /** @type {any} */ (event.target);
    if (!this.session.now || event.button || target.closest("button")) return;
    this.fingers.set(event.pointerId, event);
    this.stage.setPointerCapture(event.pointerId);
    this.drag = {
      from: this.at(event),
      event,
      cell: target.closest("g")?.cell ?? null,
      corner: target.corner,
      start: [this.left, this.top],
      moved: this.fingers.size > 1,
    };
  }

  /** @param {PointerEvent} event */
  move(event) {
    if (!this.drag || !this.fingers.has(event.pointerId)) return;
    if (this.fingers.size === 2) {
      const apart = () => {
        const [a, b] = [...this.fingers.values()];
        return Math.hypot(a.clientX - b.clientX, a.clientY - b.clientY);
      };
      const before = apart();
      this.fingers.set(event.pointerId, event);
      this.zoom(apart() / before, ...this.at(event));
      return;
    }
    const [dx, dy] = [event.clientX - this.drag.event.clientX, event.clientY - this.drag.event.clientY];
    this.drag.moved ||= Math.hypot(dx, dy) > MOVED;
    if (!this.drag.moved) return;
    if (this.adding || this.drag.corner !== undefined) this.stretch(this.at(event));
    else {
      [this.left, this.top] = [this.drag.start[0] - dx / this.scale, this.drag.start[1] - dy / this.scale];
      this.place();
    }
  }

  /** Draw the box that is being dragged. @param {[number, number]} to */
  stretch([x, y]) {
    const { now } = this.session;
    if (!now) return;
    let [x0, y0] = this.drag.from;
    if (this.drag.corner !== undefined) {
      const box = this.drag.cell.box; // the corner across stays
      x0 = box[this.drag.corner === 0 || this.drag.corner === 3 ? 2 : 0];
      y0 = box[this.drag.corner < 2 ? 3 : 1];
    }
    /** @param {number} v @param {number} most */
    const inside = (v, most) => clamp(v, 0, most);
    this.drag.box = ordered(
      inside(x0, now.width), inside(y0, now.height), inside(x, now.width), inside(y, now.height),
    ); // prettier-ignore
    const [a, b, c, d] = this.drag.box;
    this.drag.shape ??= this.boxes.appendChild(draw("rect", { class: "box", stroke: "#d55e00" }));
    for (const [name, value] of Object.entries({ x: a, y: b, width: c - a, height: d - b })) {
      this.drag.shape.setAttribute(name, value);
    }
  }

  /** @param {PointerEvent} event */
  release(event) {
    this.fingers.delete(event.pointerId);
    const drag = this.drag;
    if (!drag || this.fingers.size) return;
    this.drag = null;
    drag.shape?.remove();
    if (event.type === "pointercancel") return;
    if (drag.box) {
      const [x0, y0, x1, y1] = drag.box;
      if (x1 - x0 < SMALLEST || y1 - y0 < SMALLEST) return;
      if (drag.corner !== undefined) this.page.moved(drag.cell, drag.box);
      else this.page.added(drag.box);
    } else if (!drag.moved) this.session.choose(drag.cell);
  }
}
