/**
 * Tables of what was counted, as predict.py writes them.
 */
import { wholePixels } from "../../engine/cells.js";
import { CHECKED, COLUMNS, GUARDED, NUMBER, TYPE_COLUMNS } from "../../constants.js";
import { isCut } from "../../engine/border.js";
import { wilson } from "../../engine/networks/differential.js";
import { totalsOf } from "../session/measures.js";
import { changes, count, counts, live } from "../session/session.js";
import { tallyUp } from "../session/tally.js";

/** @typedef {import("../session/session.js").Cell} Cell */
/** @typedef {import("../session/session.js").Field} Field */
/** @typedef {import("../session/session.js").Session} Session */
/** @typedef {import("../session/types.js").Types} Types */

const IS_NUMBER = new RegExp(`^(?:${NUMBER})$`);

/** A value of a table; none is taken for a formula. @param {string | number | boolean} value */
function quote(value) {
  let words = String(value);
  const isFormula = words && GUARDED.includes(words[0]) && !IS_NUMBER.test(words);
  if (typeof value === "string" && isFormula) words = `'${words}`;
  return /[",\n\r]/.test(words) ? `"${words.replaceAll('"', '""')}"` : words;
}

/**
 * Rows as a table; with a mark where spreadsheets would take what isn't ASCII for something else.
 * @param {(string | number | boolean)[][]} rows
 */
function csv(rows) {
  const words = rows.map((cells) => `${cells.map(quote).join(",")}\n`).join("");
  return /[^\u0000-\u007f]/.test(words) ? `\ufeff${words}` : words;
}

/** Whole pixels of a box, inside the field. @param {Field} field @param {Cell} cell */
export function pixelsOf(field, cell) {
  const [x0, y0, x1, y1] = wholePixels(cell.box);
  return [Math.max(0, x0), Math.max(0, y0), Math.min(field.width, x1), Math.min(field.height, y1)];
}

/**
 * What predict.py's cells.csv says of a cell.
 * @param {Session} session @param {Field} field @param {Cell} cell
 */
function describeCell(session, field, cell) {
  const [xmin, ymin, xmax, ymax] = pixelsOf(field, cell);
  const said = cell.origin?.label === cell.label && cell.origin.counted === cell.counted;
  return {
    image: field.name,
    label: cell.label,
    probability: said && cell.probability !== null ? cell.probability.toFixed(4) : "", // by hand
    ...{ xmin, ymin, xmax, ymax },
    area_px: (xmax - xmin) * (ymax - ymin),
    counted: counts(field, cell) ? "True" : "False",
    type: (cell.counted && cell.type) || "",
    cut: isCut(cell.box, field.width, field.height) ? "True" : "False",
    look: session.doubt(cell, field) ? "True" : "False",
  };
}

/**
 * cells.csv of `predict.py --output`. What a person said has no probability.
 * @param {Session} session
 */
export function cellsCsv(session) {
  const rows = session.found.flatMap((field) =>
    live(field)
      .filter((cell) => session.isListed(cell))
      .map((cell) => describeCell(session, field, cell)),
  );
  const columns = /** @type {(keyof ReturnType<typeof describeCell>)[]} */ (COLUMNS);
  return csv([columns, ...rows.map((values) => columns.map((column) => values[column]))]);
}

/**
 * The columns of summary.csv, and how many cells were changed by hand; the last row sums them up, a
 * cell that was seen in two fields once.
 * @param {Session} session
 */
export function countsCsv(session) {
  const { labels } = session.model;
  const rows = session.found.map((field) => [
    field.name,
    ...labels.map((label) => count(field, label)),
    changes(field).all,
  ]);
  const totals = totalsOf(session);
  const all = [
    `all ${totals.fields} fields`,
    ...labels.map((k) => totals.counts[k]),
    totals.byHand,
  ];
  return csv([["image", ...labels, "by_hand"], ...rows, ...(rows.length > 1 ? [all] : [])]);
}

/**
 * differential.csv of `predict.py --output`: types of white cells, proposed or confirmed, shares of
 * all that are typed, and how many a person confirmed. Intervals stand there once the types are
 * checked, or none is only proposed.
 * @param {Session} session @param {Types} types
 */
export function differentialCsv(session, types) {
  const tally = tallyUp(session, types);
  const typed = tally.confirmed + tally.proposed;
  const isChecked = tally.judged >= CHECKED || tally.proposed === 0;
  const rows = tally.rows.map(({ name, confirmed, proposed, apart }) => {
    const n = confirmed + proposed;
    if (apart) return [`${name.toLowerCase()}s`, n, "", "", "", confirmed];
    const [low, high] = typed && isChecked ? wilson(n, typed) : [null, null];
    const shares = [typed ? n / typed : null, low, high];
    return [name, n, ...shares.map((part) => part?.toFixed(4) ?? ""), confirmed];
  });
  const white = rows.filter((_, k) => !tally.rows[k].apart);
  const beside = rows.filter((_, k) => tally.rows[k].apart);
  const rest = ["untyped", tally.untyped, "", "", "", ""];
  const all = ["all", typed + tally.untyped, "", "", "", tally.confirmed];
  return csv([TYPE_COLUMNS, ...white, rest, ...beside, all]);
}
