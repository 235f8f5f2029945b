/**
 * What was counted: the table of this field and of all.
 */
import { byId, dot, make, row } from "../elements.js";
import { totalsOf } from "../session/measures.js";
import { changes, count, counted } from "../session/session.js";
import { nameOf, text } from "../texts.js";

/** @typedef {import("../session/session.js").Field} Field */
/** @typedef {import("../session/session.js").Session} Session */

/** What a picture of a single cell shows. @param {any} single */
function describeSingle(single) {
  const probability = single.probability.toFixed(3);
  const words = text("single", { label: nameOf(single.label), probability });
  const parts = [make("strong", {}, words)];
  if (single.uncertain) parts.push("; ", make("span", { class: "mark" }, text("unlike")));
  return parts;
}

/** @param {Session} session @param {Field | null} field */
export function showCounts(session, field) {
  const { labels, colours } = session.model;
  byId("name").textContent = field?.name ?? text("noPicture");
  const single = field?.state === "done" ? field.single : null;
  byId("single").hidden = !single;
  byId("single").replaceChildren(...(single ? describeSingle(single) : []));
  byId("counts").hidden = !session.found.length;
  const totals = totalsOf(session);
  byId("twice").hidden = !totals.overlapping;
  byId("twice").textContent = text("twice", { n: totals.fields, cells: totals.twice });
  const rows = labels.map((label, k) => {
    const here = field && !field.single && field.state === "done" ? count(field, label) : "–";
    const everywhere = totals.counts[label];
    const key = make("kbd", {}, String(k + 1));
    return row([dot(colours[label]), `${nameOf(label)} `, key], here, everywhere);
  });
  byId("counts").tBodies[0].replaceChildren(...rows);
  showChanges(session, field);
  const done = field?.state === "done";
  const size = field ? text("sized", { width: field.width, height: field.height }) : "";
  const doubt = field ? session.doubtful(field).length : 0;
  let tally = "";
  if (single) {
    const all = Object.entries(single.probabilities);
    const list = all.map(([label, p]) => `${nameOf(label)} ${p.toFixed(3)}`).join(", ");
    tally = text("others", { list });
  } else if (done) tally = text("tally", { n: counted(field).length, doubt });
  byId("details").textContent = `${size} ${tally}`.trim();
  byId("kind-line").hidden = !field;
  if (field) byId("kind").value = field.kind;
  const { scale = null, cellSize = null } = done && !single ? field : {};
  byId("size-line").hidden = !scale;
  byId("cell-size").value = cellSize ?? (scale ? Math.round(scale.cellPx) : "");
  byId("uncertain").hidden = !scale || scale.certain;
  byId("uncertain").textContent = text("uncertainScale", { px: Math.round(scale?.cellPx ?? 0) });
  const doubts = done ? field.doubts : [];
  byId("field-doubts").hidden = !doubts.length;
  byId("field-doubts").replaceChildren(...doubts.map((one) => make("li", {}, doubtWords(one))));
  byId("again").hidden = !field || done || field.state === "waiting" || field.state === "looking";
  byId("close").hidden = !field;
  byId("close-all").hidden = session.fields.length < 2;
}

/** @type {Record<string, any>} */
const DOUBT_TEXTS = {
  "no red": "doubtNoRed",
  "few red": "doubtFewRed",
  "white like red": "doubtWhite",
  unsure: "doubtUnsure",
  dark: "doubtDark",
  "dark field": "doubtDarkField",
};

/** @param {import("../../engine/networks/doubts.js").Doubt} doubt */
export const doubtWords = ({ kind, white, red }) =>
  text(DOUBT_TEXTS[kind] ?? "doubtUnsure", { white, red });

/** Counts say what was changed by hand. @param {Session} session @param {Field | null} field */
function showChanges(session, field) {
  const here = field && changes(field);
  const everywhere = session.fields.reduce((sum, one) => sum + changes(one).all, 0);
  const lines = [];
  if (here?.all) lines.push(text("byHand", here));
  if (session.fields.length > 1 && everywhere) lines.push(text("byHandAll", { n: everywhere }));
  byId("by-hand").hidden = !lines.length;
  byId("by-hand").textContent = lines.join(" ");
}
