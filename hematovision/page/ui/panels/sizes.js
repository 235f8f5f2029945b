/**
 * How large the cells are, with the median red cell or a scale of one's own as the yardstick.
 */
import { isRbc } from "../../engine/cells.js";
import { byId, draw, make } from "../elements.js";
import { median, percentile } from "../../engine/pictures/numbers.js";
import { FEWEST, sizesOf, summarise } from "../session/measures.js";
import { nameOf, text } from "../texts.js";

/** @typedef {import("../session/session.js").Field} Field */
/** @typedef {import("../session/session.js").Session} Session */

const BARS = 24;

export class Sizes {
  /** @param {Session} session */
  constructor(session) {
    this.session = session;
    const options = session.model.labels.map((label) =>
      make("option", { value: label }, nameOf(label)),
    );
    byId("size-of").replaceChildren(...options);
    const red = session.model.labels.find(isRbc);
    if (red) byId("size-of").value = red;
    for (const id of ["scale-by", "micrometres", "own", "size-of", "size-all"]) {
      byId(id).addEventListener("input", () => this.redraw());
    }
  }

  /** Micrometres of a pixel of a field; null where nothing tells. @param {Field} field */
  scaleOf(field) {
    if (byId("scale-by").value === "own") return byId("own").valueAsNumber || null;
    const red = sizesOf(field, isRbc);
    const across = byId("micrometres").valueAsNumber;
    return red.length >= FEWEST && across > 0 ? across / median(red) : null;
  }

  redraw() {
    const { now, found } = this.session;
    const own = byId("scale-by").value === "own";
    byId("by-own").hidden = !own;
    byId("by-cell").hidden = own;
    const field = now && found.includes(now) ? now : null;
    const fields = byId("size-all").checked ? found : field ? [field] : [];
    const label = byId("size-of").value;
    /** @type {number[]} */
    const sizes = [];
    for (const one of fields) {
      const scale = this.scaleOf(one);
      if (scale) sizes.push(...sizesOf(one, (name) => name === label).map((size) => size * scale));
    }
    sizes.sort((a, b) => a - b);
    const pixel = field && this.scaleOf(field);
    const enough = sizes.length >= FEWEST;
    let words = text("tooFew", { n: sizes.length });
    if (field && !pixel) words = text("noScale");
    else if (enough && field && pixel) {
      const { low, middle, high, cv } = summarise(sizes);
      const told = { low: low.toFixed(2), middle: middle.toFixed(2), high: high.toFixed(2) };
      const measured = text("measured", { n: sizes.length, ...told, cv: cv.toFixed(1) });
      const [width, height] = [field.width, field.height].map((n) => (n * pixel).toFixed(0));
      words = `${measured} ${text("scaled", { pixel: pixel.toFixed(4), width, height })}`;
    }
    byId("measured").textContent = found.length ? words : text("noPicture");
    this.plot(enough ? sizes : [], words);
  }

  /** A histogram. @param {number[]} sizes sorted @param {string} words */
  plot(sizes, words) {
    const plot = byId("plot");
    plot.setAttribute("aria-label", text("plot", { text: words }));
    plot.replaceChildren();
    if (!sizes.length) return;
    const low = Math.floor(sizes[0]);
    const high = Math.max(low + 1, Math.ceil(sizes[sizes.length - 1]));
    const bars = new Array(BARS).fill(0);
    for (const size of sizes)
      bars[Math.min(BARS - 1, Math.floor((BARS * (size - low)) / (high - low)))] += 1;
    const most = Math.max(...bars);
    const [left, right, top, bottom] = [30, 314, 8, 164];
    /** @param {number} size */
    const x = (size) => left + ((size - low) / (high - low)) * (right - left);
    /** @param {number} n */
    const y = (n) => bottom - (n / most) * (bottom - top);
    const wide = (right - left) / BARS;
    bars.forEach((n, i) => {
      const at = { x: left + i * wide, y: y(n), width: wide - 1, height: bottom - y(n) };
      plot.append(draw("rect", { class: "bar", ...at }));
    });
    plot.append(draw("line", { class: "axis", x1: left, x2: right, y1: bottom, y2: bottom }));
    const middle = x(percentile(sizes, 0.5));
    plot.append(draw("line", { class: "middle", x1: middle, x2: middle, y1: top, y2: bottom }));
    const step = Math.max(1, Math.ceil((high - low) / 8));
    for (let size = low; size <= high; size += step) {
      plot.append(
        draw("text", { x: x(size), y: bottom + 15, "text-anchor": "middle" }, String(size)),
      );
    }
    for (const n of new Set([0, Math.ceil(most / 2), most])) {
      plot.append(draw("text", { x: left - 4, y: y(n) + 4, "text-anchor": "end" }, String(n)));
    }
    const centre = (left + right) / 2;
    plot.append(draw("text", { x: centre, y: 196, "text-anchor": "middle" }, text("axis")));
  }
}
