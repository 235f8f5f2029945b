/**
 * Fields and boxes as a dataset that trains the next model: Pascal VOC, zipped.
 */
import { COMPLETE_MARK } from "../../constants.js";
import { counted } from "../session/session.js";
import { text } from "../texts.js";
import { pixelsOf } from "./tables.js";
import { makeZip } from "./zip.js";

/** @typedef {import("../session/session.js").Field} Field */
/** @typedef {import("../session/session.js").Session} Session */

const MOST_ZIP = 2 ** 32 - 2 ** 24; // bytes: larger archives want other fields

/** @param {string} words */
const escape = (words) =>
  // Control characters have no place in XML, not even escaped.
  words.replace(/[\u0000-\u001f]/g, "").replace(/[<>&"']/g, (c) => `&#${c.charCodeAt(0)};`);

/** A field's counted cells as Pascal VOC. @param {Field} field @param {string} file */
export function vocXml(field, file) {
  const objects = counted(field).map((cell) => {
    const corners = pixelsOf(field, cell);
    const box = ["xmin", "ymin", "xmax", "ymax"].map((k, i) => `<${k}>${corners[i]}</${k}>`);
    // A type is learnt from where a person gave it; the model's own would teach it nothing.
    const name = escape(((cell.tallied || cell.named) && cell.type) || cell.label);
    return `  <object><name>${name}</name><bndbox>${box.join("")}</bndbox></object>\n`;
  });
  const { width, height } = field;
  return (
    `<annotation${field.checked ? ' verified="yes"' : ""}>\n  <folder>JPEGImages</folder><filename>${escape(file)}</filename>\n` +
    `  <size><width>${width}</width><height>${height}</height><depth>3</depth></size>\n` +
    `${objects.join("")}</annotation>\n`
  );
}

/** A name that every file system takes. @param {string} name */
const safe = (name) => name.replace(/[\u0000-\u001f\\/:*?"<>|]/g, "_").replace(/^\.+/, "_");

/**
 * complete.json: of which pictures every cell has its box, since a person went through them.
 * @param {string[]} labels @param {string[]} pictures
 */
export function formatComplete(labels, pictures) {
  const content = {
    hematovision: COMPLETE_MARK,
    labels: [...labels].sort(),
    pictures: [...pictures].sort(),
  };
  return `${JSON.stringify(content, null, 1)}\n`;
}

/**
 * All fields as `preprocess_data.py` reads them: JPEGImages/, Annotations/ and which of them a
 * person has gone through.
 * @param {Session} session @returns {Promise<Blob>}
 */
export async function vocZip(session) {
  const files = [];
  const taken = new Set();
  const complete = [];
  let size = 0;
  for (const field of session.found) {
    const [, stem, suffix] = /** @type {string[]} */ (/^(.*?)(\.\w+)?$/s.exec(safe(field.name)));
    let name = stem || "field";
    for (let n = 2; taken.has(name.toLowerCase()); n++) name = `${stem}_${n}`;
    taken.add(name.toLowerCase());
    const file = name + (suffix ?? ".png");
    const bytes = new Uint8Array(await field.blob.arrayBuffer());
    const xml = new TextEncoder().encode(vocXml(field, file));
    if (field.checked) complete.push(file);
    size += bytes.length + xml.length;
    if (size > MOST_ZIP) throw Error(text("zipTooLarge"));
    files.push(
      { name: `JPEGImages/${file}`, bytes },
      { name: `Annotations/${name}.xml`, bytes: xml },
    );
  }
  if (complete.length) {
    const words = formatComplete(session.model.labels, complete);
    files.push({ name: "complete.json", bytes: new TextEncoder().encode(words) });
  }
  return makeZip(files);
}
