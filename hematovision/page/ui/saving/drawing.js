/**
 * A field with its cells drawn, as a picture to take away.
 */
import { decodePicture } from "../pictures/files.js";
import { count, counted } from "../session/session.js";
import { isDark } from "../stage/view.js";
import { text } from "../texts.js";

/** @typedef {import("../session/session.js").Field} Field */
/** @typedef {import("../session/session.js").Session} Session */

const WIDEST = 16384; // pixels across a canvas that browsers still draw

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
