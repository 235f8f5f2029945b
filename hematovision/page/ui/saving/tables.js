/**
 * Tables of what was counted, as predict.py writes them.
 */
import { wholePixels } from "../../engine/cells.js";
import { COLUMNS } from "../../constants.js";
import { changes, count, live } from "../session/session.js";
import { tallyUp } from "../session/tally.js";

/** @typedef {import("../session/session.js").Cell} Cell */
/** @typedef {import("../session/session.js").Field} Field */
/** @typedef {import("../session/session.js").Session} Session */
/** @typedef {import("../session/types.js").Types} Types */

/** A value of a table; none is taken for a formula. @param {string | number | boolean} value */
function quote(value) {
  let words = String(value);
  if (typeof value === "string" && /^[=+\-@\t\r]/.test(words)) words = `'${words}`;
  return /[",\n\r]/.test(words) ? `"${words.replaceAll('"', '""')}"` : words;
}

/** @param {(string | number | boolean)[][]} rows */
const csv = (rows) => rows.map((cells) => `${cells.map(quote).join(",")}\n`).join("");

/** Whole pixels of a box, inside the field. @param {Field} field @param {Cell} cell */
export function pixelsOf(field, cell) {
  const [x0, y0, x1, y1] = wholePixels(cell.box);
  return [Math.max(0, x0), Math.max(0, y0), Math.min(field.width, x1), Math.min(field.height, y1)];
}

/** What predict.py's cells.csv says of a cell. @param {Field} field @param {Cell} cell */
function describeCell(field, cell) {
  const [xmin, ymin, xmax, ymax] = pixelsOf(field, cell);
  const said = cell.origin?.label === cell.label && cell.origin.counted === cell.counted;
  return {
    image: field.name,
    label: cell.label,
    probability: said && cell.probability !== null ? cell.probability.toFixed(4) : "", // by hand
    ...{ xmin, ymin, xmax, ymax },
    area_px: (xmax - xmin) * (ymax - ymin),
    counted: cell.counted ? "True" : "False",
    type: (cell.counted && cell.type) || "",
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
      .map((cell) => describeCell(field, cell)),
  );
  const columns = /** @type {(keyof ReturnType<typeof describeCell>)[]} */ (COLUMNS);
  return csv([columns, ...rows.map((values) => columns.map((column) => values[column]))]);
}

/** The columns of summary.csv, and how many cells were changed by hand. @param {Session} session */
export function countsCsv(session) {
  const { labels } = session.model;
  const rows = session.found.map((field) => [
    field.name,
    ...labels.map((label) => count(field, label)),
    changes(field).all,
  ]);
  return csv([["image", ...labels, "by_hand"], ...rows]);
}

/**
 * The differential: what a person confirmed, with shares and intervals, and what is only proposed.
 * @param {Session} session @param {Types} types
 */
export function differentialCsv(session, types) {
  const tally = tallyUp(session, types);
  const columns = ["type", "confirmed", "share", "ci95_low", "ci95_high", "proposed"];
  const rows = tally.rows.map(({ name, confirmed, share, interval, proposed }) => {
    const [low, high] = interval ?? ["", ""];
    return [name, confirmed, share ?? "", low, high, proposed].map((value) =>
      typeof value === "number" && !Number.isInteger(value) ? value.toFixed(4) : value,
    );
  });
  const rest = ["untyped", 0, "", "", "", tally.untyped];
  const total = ["all", tally.confirmed, "", "", "", tally.proposed + tally.untyped];
  return csv([columns, ...rows, rest, total]);
}
