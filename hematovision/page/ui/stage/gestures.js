/**
 * What hands do to the picture: wheel and pinch zoom, drag moves, adds or stretches a box.
 */
import { draw } from "../elements.js";
import { clamp } from "../../engine/pictures/numbers.js";

/** @typedef {import("../../engine/cells.js").Box} Box */
/** @typedef {import("../session/session.js").Cell} Cell */

/**
 * What is done with a box that was dragged: a new one, or another one for a cell.
 * @typedef {{added: (box: Box) => void, moved: (cell: Cell, box: Box) => void}} Hands
 */

/**
 * A press and what has become of it. `from`: where in the field; `corner`: that is held, of the
 * chosen box, clockwise from the upper left one; `start`: of the view; `shape`: as it is drawn.
 * @typedef {object} Drag
 * @property {[number, number]} from
 * @property {PointerEvent} event
 * @property {Cell | null} cell
 * @property {number | undefined} corner
 * @property {[number, number]} start
 * @property {boolean} moved
 * @property {Box} [box]
 * @property {any} [shape]
 */

const MOVED = 4; // pixels of the screen from which a press is a drag
const SMALLEST = 3; // pixels of the field across a box

export class Gestures {
  /** @param {import("./view.js").View} view @param {Hands} hands */
  constructor(view, hands) {
    this.view = view;
    this.hands = hands;
    /** @type {Map<number, PointerEvent>} */
    this.fingers = new Map();
    /** @type {Drag | null} */
    this.drag = null;
    const { stage } = view;
    const zoom = (/** @type {WheelEvent} */ event) => {
      if (!view.session.now) return;
      event.preventDefault();
      view.zoom(Math.exp(-event.deltaY / 400), ...view.at(event));
    };
    stage.addEventListener("wheel", zoom, { passive: false });
    stage.addEventListener("pointerdown", (/** @type {PointerEvent} */ e) => this.press(e));
    stage.addEventListener("pointermove", (/** @type {PointerEvent} */ e) => this.move(e));
    for (const end of ["pointerup", "pointercancel"]) {
      stage.addEventListener(end, (/** @type {PointerEvent} */ e) => this.release(e));
    }
  }

  /** @param {PointerEvent} event */
  press(event) {
    const { view } = this;
    const target = /** @type {any} */ (event.target);
    if (!view.session.now || event.button || target.closest("button")) return;
    this.fingers.set(event.pointerId, event);
    view.stage.setPointerCapture(event.pointerId);
    this.drag?.shape?.remove();
    this.drag = {
      from: view.at(event),
      event,
      cell: target.closest("g")?.cell ?? null,
      corner: target.corner,
      start: [view.left, view.top],
      moved: this.fingers.size > 1,
    };
  }

  /** How far two fingers are from each other, on the screen. */
  apart() {
    const [a, b] = [...this.fingers.values()];
    return Math.hypot(a.clientX - b.clientX, a.clientY - b.clientY);
  }

  /** @param {PointerEvent} event */
  move(event) {
    const { view, drag } = this;
    if (!drag || !this.fingers.has(event.pointerId)) return;
    if (this.fingers.size === 2) {
      const before = this.apart();
      this.fingers.set(event.pointerId, event);
      view.zoom(this.apart() / before, ...view.at(event));
      return;
    }
    const x = event.clientX - drag.event.clientX;
    const y = event.clientY - drag.event.clientY;
    drag.moved ||= Math.hypot(x, y) > MOVED;
    if (!drag.moved) return;
    if (view.adding || drag.corner !== undefined) this.stretch(drag, view.at(event));
    else view.moveTo(drag.start[0] - x / view.scale, drag.start[1] - y / view.scale);
  }

  /** Draw the box that is being dragged. @param {Drag} drag @param {[number, number]} to */
  stretch(drag, to) {
    const { now } = this.view.session;
    if (!now) return;
    let from = drag.from;
    if (drag.corner !== undefined && drag.cell) {
      const [x0, y0, x1, y1] = drag.cell.box; // the corner across stays
      from = [[0, 3].includes(drag.corner) ? x1 : x0, drag.corner < 2 ? y1 : y0];
    }
    const [left, right] = [from[0], to[0]].map((x) => clamp(x, 0, now.width)).sort((a, b) => a - b);
    const [top, bottom] = [from[1], to[1]]
      .map((y) => clamp(y, 0, now.height))
      .sort((a, b) => a - b);
    drag.box = [left, top, right, bottom];
    drag.shape ??= this.view.boxes.appendChild(draw("rect", { class: "box", stroke: "#d55e00" }));
    const shape = { x: left, y: top, width: right - left, height: bottom - top };
    for (const [name, value] of Object.entries(shape)) drag.shape.setAttribute(name, value);
  }

  /** @param {PointerEvent} event */
  release(event) {
    const { drag } = this;
    this.fingers.delete(event.pointerId);
    if (!drag || this.fingers.size) return;
    this.drag = null;
    drag.shape?.remove();
    if (event.type === "pointercancel") return;
    if (!drag.moved) this.view.session.choose(drag.cell);
    if (!drag.box) return;
    const [x0, y0, x1, y1] = drag.box;
    if (x1 - x0 < SMALLEST || y1 - y0 < SMALLEST) return;
    if (drag.corner !== undefined && drag.cell) this.hands.moved(drag.cell, drag.box);
    else this.hands.added(drag.box);
  }
}
