/**
 * The menu of what can be saved.
 */
import { byId, download, tell } from "../elements.js";
import { text } from "../texts.js";
import { vocZip } from "./dataset.js";
import { drawField } from "./drawing.js";
import { cellsCsv, countsCsv, differentialCsv } from "./tables.js";

/** @typedef {import("../session/session.js").Field} Field */
/** @typedef {import("../session/session.js").Session} Session */
/** @typedef {import("../session/types.js").Types} Types */

/** A table as spreadsheets know it. @param {string} words */
const csvFile = (words) => new Blob([words], { type: "text/csv" });

/**
 * A file of each button, by the button's name.
 * @param {Session} session @param {Types} types
 * @returns {Record<string, (field: Field) => Promise<[string, Blob]>>}
 */
const filesOf = (session, types) => ({
  "save-cells": async () => ["cells.csv", csvFile(cellsCsv(session))],
  "save-counts": async () => ["counts.csv", csvFile(countsCsv(session))],
  "save-differential": async () => ["differential.csv", csvFile(differentialCsv(session, types))],
  "save-picture": async (field) => [
    `${field.name.replace(/\.\w+$/, "")}_cells.png`,
    await drawField(session, field),
  ],
  "save-boxes": async () => ["fields.zip", await vocZip(session)],
});

/** @param {Session} session @param {Types} types */
export function startSaving(session, types) {
  const menu = byId("save");
  for (const [id, make] of Object.entries(filesOf(session, types))) {
    byId(id).addEventListener("click", async () => {
      menu.open = false;
      if (!session.found.length || !session.now) {
        tell(text("nothingToSave"));
        return;
      }
      try {
        const [name, blob] = await make(session.now);
        download(name, blob);
        tell(text("saved", { name }));
      } catch (error) {
        tell(/** @type {Error} */ (error).message);
      }
    });
  }
  addEventListener("click", (/** @type {any} */ event) => {
    if (!event.target.closest("#save")) menu.open = false;
  });
  menu.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => {
    if (event.key !== "Escape") return;
    menu.open = false;
    menu.querySelector("summary").focus();
  });
}
