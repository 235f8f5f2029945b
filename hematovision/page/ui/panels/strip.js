/**
 * The strip of pictures: one button each, which is kept while its picture is open.
 */
import { byId, make } from "../elements.js";
import { changes, count } from "../session/session.js";
import { nameOf, text } from "../texts.js";

/** @typedef {import("../session/session.js").Field} Field */
/** @typedef {import("../session/session.js").Session} Session */

const OF_TWICE = 0.005; // share of a field from which an overlap is told on its button

/** What stands on a picture's button. @param {Session} session @param {Field} field */
function captionOf(session, field) {
  if (["failed", "cancelled"].includes(field.state)) return "–";
  if (field.state !== "done") return text(field.state === "waiting" ? "waiting" : "lookingNow");
  if (field.single) return nameOf(field.single.label);
  const marks = (changes(field).all ? " ✎" : "") + (field.checked ? " ✓" : "");
  const shared = Math.max(0, ...field.overlaps.map(({ share }) => share));
  const twice = shared > OF_TWICE ? ` ⧉ ${Math.round(100 * shared)} %` : "";
  const counts = session.model.labels.map((label) => `${count(field, label)} ${label}`);
  return counts.join(", ") + marks + twice;
}

export class Strip {
  /** @param {Session} session @param {(field: Field) => void} choose */
  constructor(session, choose) {
    this.session = session;
    this.choose = choose;
    /** @type {Map<Field, {button: any, caption: any, words: string}>} */
    this.kept = new Map();
  }

  redraw() {
    const { fields, now } = this.session;
    for (const field of this.kept.keys()) if (!fields.includes(field)) this.kept.delete(field);
    const several = fields.length > 1;
    const buttons = (several ? fields : []).map((field) => {
      const one = this.kept.get(field) ?? this.make(field);
      const words = captionOf(this.session, field);
      if (words !== one.words) one.caption.textContent = one.words = words;
      one.button.setAttribute("aria-current", field === now);
      return one.button;
    });
    const strip = byId("strip");
    const same = strip.children.length === buttons.length;
    if (!same || buttons.some((button, k) => strip.children[k] !== button))
      strip.replaceChildren(...buttons);
  }

  /** @param {Field} field */
  make(field) {
    const picture = make("img", { src: field.url, alt: "", loading: "lazy", draggable: "false" });
    const caption = make("span", {});
    const name = make("span", {}, field.name, make("br"), caption);
    const button = make("button", {}, picture, name);
    button.addEventListener("click", () => this.choose(field));
    const one = { button, caption, words: "" };
    this.kept.set(field, one);
    return one;
  }
}
