/**
 * What is taken away: tables, the picture with its boxes, boxes that train the next model.
 */
import { wholePixels } from "../../engine/cells.js";
import { COLUMNS } from "../../constants.js";
import { decodePicture } from "../pictures/files.js";
import { changes, count, counted, live } from "../session/session.js";
import { text } from "../texts.js";
import { isDark } from "../stage/view.js";
import { makeZip } from "./zip.js";

/** @typedef {import("../session/session.js").Cell} Cell */
/** @typedef {import("../session/session.js").Field} Field */
/** @typedef {import("../session/session.js").Session} Session */

const MOST_ZIP = 2 ** 32 - 2 ** 24; // bytes: larger archives want other fields
const WIDEST = 16384; // pixels across a canvas that browsers still draw

/** A value of a table; none is taken for a formula. @param {string | number | boolean} value */
function quote(value) {
  let words = String(value);
  if (typeof value === "string" && /^[=+\-@\t\r]/.test(words)) words = `'${words}`;
  return /[",\n\r]/.test(words) ? `"${words.replaceAll('"', '""')}"` : words;
}

/** @param {(string | number | boolean)[][]} rows */
const csv = (rows) => rows.map((cells) => `${cells.map(quote).join(",")}\n`).join("");

/** Whole pixels of a box, inside the field. @param {Field} field @param {Cell} cell */
function pixels(field, cell) {
  const [x0, y0, x1, y1] = wholePixels(cell.box);
  return [Math.max(0, x0), Math.max(0, y0), Math.min(field.width, x1), Math.min(field.height, y1)];
}

/** What predict.py's cells.csv says of a cell. @param {Field} field @param {Cell} cell */
function describeCell(field, cell) {
  const [xmin, ymin, xmax, ymax] = pixels(field, cell);
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

/** @param {string} words */
const escape = (words) =>
  // Control characters have no place in XML, not even escaped.
  words.replace(/[\u0000-\u001f]/g, "").replace(/[<>&"']/g, (c) => `&#${c.charCodeAt(0)};`);

/** A field's counted cells as Pascal VOC. @param {Field} field @param {string} file */
export function vocXml(field, file) {
  const objects = counted(field).map((cell) => {
    const corners = pixels(field, cell);
    const box = ["xmin", "ymin", "xmax", "ymax"].map((k, i) => `<${k}>${corners[i]}</${k}>`);
    // A type is learnt from where a person gave it; the model's own would teach it nothing.
    const name = escape((cell.tallied && cell.type) || cell.label);
    return `  <object><name>${name}</name><bndbox>${box.join("")}</bndbox></object>\n`;
  });
  const { width, height } = field;
  return (
    `<annotation>\n  <folder>JPEGImages</folder><filename>${escape(file)}</filename>\n` +
    `  <size><width>${width}</width><height>${height}</height><depth>3</depth></size>\n` +
    `${objects.join("")}</annotation>\n`
  );
}

/** A name that every file system takes. @param {string} name */
const safe = (name) => name.replace(/[\u0000-\u001f\\/:*?"<>|]/g, "_").replace(/^\.+/, "_");

/**
 * All fields as `preprocess_data.py` reads them: JPEGImages/ and Annotations/.
 * @param {Session} session @returns {Promise<Blob>}
 */
export async function vocZip(session) {
  const files = [];
  const taken = new Set();
  let size = 0;
  for (const field of session.found) {
    const [, stem, suffix] = /** @type {string[]} */ (/^(.*?)(\.\w+)?$/s.exec(safe(field.name)));
    let name = stem || "field";
    for (let n = 2; taken.has(name.toLowerCase()); n++) name = `${stem}_${n}`;
    taken.add(name.toLowerCase());
    const file = name + (suffix ?? ".png");
    const bytes = new Uint8Array(await field.blob.arrayBuffer());
    const xml = new TextEncoder().encode(vocXml(field, file));
    size += bytes.length + xml.length;
    if (size > MOST_ZIP) throw Error(text("zipTooLarge"));
    files.push(
      { name: `JPEGImages/${file}`, bytes },
      { name: `Annotations/${name}.xml`, bytes: xml },
    );
  }
  return makeZip(files);
}

/**
 * The field with a box around each counted cell, labelled, and a line beneath that counts them.
 * @param {Session} session @param {Field} field @returns {Promise<Blob>}
 */
export async function drawField(session, field) {
  const { labels, colours } = session.model;
  const longest = Math.max(field.width, field.height);
  const scale = Math.min(Math.max(1, Math.round(1280 / longest)), WIDEST / longest);
  const unit = Math.max(1, (longest * scale) / 1280);
  const strip = Math.round(34 * unit);
  const [width, height] = [Math.round(field.width * scale), Math.round(field.height * scale)];
  const canvas = Object.assign(document.createElement("canvas"), { width, height: height + strip });
  const context = canvas.getContext("2d");
  if (!context) throw Error(text("pngTooLarge"));
  context.fillStyle = "#fff";
  context.fillRect(0, 0, width, height + strip);
  const bitmap = await decodePicture(field.blob, field.name);
  context.drawImage(bitmap, 0, 0, width, height);
  bitmap.close();
  context.font = `${13 * unit}px system-ui, sans-serif`;
  context.lineWidth = 2 * unit;
  const cells = counted(field);
  for (const { box, label } of cells) {
    const [x0, y0, x1, y1] = box.map((v) => v * scale);
    context.strokeStyle = colours[label];
    context.strokeRect(x0, y0, x1 - x0, y1 - y0);
  }
  /** @param {string} words @param {number} x @param {number} y @param {string} colour */
  const write = (words, x, y, colour) => {
    const wide = context.measureText(words).width + 6 * unit;
    const [left, base] = [Math.min(x, width - wide), Math.max(y, 16 * unit)];
    context.fillStyle = colour;
    context.fillRect(left, base - 16 * unit, wide, 17 * unit);
    context.fillStyle = isDark(colour) ? "#fff" : "#000";
    context.fillText(words, left + 3 * unit, base - 4 * unit);
    return left + wide;
  };
  for (const cell of cells)
    write(cell.type ?? cell.label, cell.box[0] * scale, cell.box[1] * scale, colours[cell.label]);
  let x = 10 * unit;
  for (const label of labels) {
    x =
      write(`${count(field, label)} ${label}`, x, height + strip - 9 * unit, colours[label]) +
      10 * unit;
  }
  const blob = await new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
  if (!blob) throw Error(text("pngTooLarge"));
  return blob;
}
