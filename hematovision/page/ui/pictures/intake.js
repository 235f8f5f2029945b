/**
 * Pictures in: what files hold is read, looked at one after the other, and kept.
 */
import { MOST_COMPARED } from "../../constants.js";
import { isWhite, wholePixels } from "../../engine/cells.js";
import { byId, noteSkipped, tell } from "../elements.js";
import { Cancelled } from "../beside.js";
import { checkRecord } from "../session/storage.js";
import { decodePicture, digest, inspect, isTooDeep, readPixels } from "./files.js";
import { text } from "../texts.js";

/** @typedef {import("../session/session.js").Cell} Cell */
/** @typedef {import("../session/session.js").Field} Field */
/** @typedef {import("../../engine/cells.js").Box} Box */

const LEAST = 0.05; // probability from which cells are found that may be shown, uncounted

/** @param {unknown} error */
export const reasonOf = (error) => (error instanceof Error ? error.message : String(error));

export class Intake {
  /**
   * @param {import("../session/session.js").Session} session @param {import("../session/storage.js").Storage} storage
   * @param {import("../beside.js").Engine} engine
   */
  constructor(session, storage, engine) {
    this.session = session;
    this.storage = storage;
    this.engine = engine;
    /** @type {Field[]} */
    this.queue = [];
    /** @type {{field: Field, cancel: () => void} | null} what is being looked at */
    this.looking = null;
    this.running = false;
    this.isPaused = false;
  }

  /** Look at nothing new for a while. @param {boolean} paused */
  setPaused(paused) {
    this.isPaused = paused;
    if (!paused && !this.running) this.lookOn();
  }

  /**
   * Take pictures that were given together: the first of them is shown, since it is finished first.
   * What can't be taken is noted.
   * @param {Iterable<File>} files
   */
  async take(files) {
    let first = true;
    for (const file of [...files]) {
      try {
        await this.add(file, file.name || "pasted.png", first);
        first = false;
      } catch (error) {
        noteSkipped(reasonOf(error));
      }
    }
  }

  /**
   * Open a picture, to be looked at soon; an Error in words where it is none.
   * @param {Blob} file @param {string} name @param {boolean} shown
   */
  async add(file, name, shown) {
    const { session } = this;
    const bytes = new Uint8Array(await file.arrayBuffer());
    const type = inspect(bytes, name);
    const key = `${await digest(bytes)}-${session.model.id}`;
    const open = session.fields.find((field) => field.key === key);
    if (open) {
      session.show(open);
      tell(text("alreadyOpen", { name }));
      return;
    }
    const blob = new Blob([bytes], { type });
    const bitmap = await decodePicture(blob, name);
    const { width, height } = bitmap;
    bitmap.close();
    const field = this.makeField({ key, name, blob, width, height });
    session.add(field, shown);
    this.storage.open(field, bytes.buffer);
    this.lookSoon(field);
  }

  /** @param {any} parts @returns {Field} */
  makeField(parts) {
    const url = URL.createObjectURL(parts.blob);
    const fresh = {
      kind: "auto",
      state: "waiting",
      cells: [],
      single: null,
      scale: null,
      cellSize: null,
      checked: false,
      overlaps: [],
      doubts: [],
      border: this.session.border,
    };
    return { ...fresh, opened: Date.now(), ...parts, url };
  }

  /** Open what was open when the page was last left. */
  async restore() {
    const { session } = this;
    const kept = await this.storage.load();
    for (const { record, bytes } of kept) {
      try {
        this.restoreOne(record, bytes);
      } catch {
        // What is damaged costs only itself, and stays where it is kept.
        noteSkipped(text("damaged", { name: String(record?.name ?? "?") }));
      }
    }
    if (!session.fields.length) return;
    session.show(session.fields[0]);
    tell(text("restored", { n: session.fields.length }));
    this.rememberAll();
  }

  /** Let the worker know what later fields may overlap. */
  async rememberAll() {
    for (const field of this.session.found.slice(-MOST_COMPARED)) {
      try {
        const bitmap = await decodePicture(field.blob, field.name);
        const image = readPixels(bitmap);
        bitmap.close();
        await this.engine.ask("remember", image, { key: field.key }).answer;
      } catch {
        // One that can't be read overlaps none.
      }
    }
  }

  /** @param {any} record @param {ArrayBuffer} bytes */
  restoreOne(record, bytes) {
    const { session } = this;
    checkRecord(record, session.model.labels);
    const type = inspect(new Uint8Array(bytes), record.name);
    const field = this.makeField({ ...record, blob: new Blob([bytes], { type }) });
    for (const cell of field.cells) session.serial = Math.max(session.serial, cell.id);
    session.fields.push(field);
    if (field.state !== "done") this.lookSoon(field);
  }

  /** @param {Field} field */
  lookSoon(field) {
    field.state = "waiting";
    this.queue.push(field);
    if (!this.running) this.lookOn();
  }

  /** Give up what is being looked at, and what waits. */
  cancel() {
    for (const field of this.queue.splice(0)) field.state = "cancelled";
    this.looking?.cancel();
  }

  async lookOn() {
    this.running = true;
    while (this.queue.length && !this.isPaused) {
      const field = /** @type {Field} */ (this.queue.shift());
      if (!this.session.fields.includes(field)) continue;
      try {
        await this.look(field);
      } catch (error) {
        const cancelled = error instanceof Cancelled;
        field.state = cancelled ? "cancelled" : "failed";
        field.cells = [];
        const words = { name: field.name, why: reasonOf(error) };
        if (cancelled) tell(text("cancelled", words));
        else noteSkipped(text("failed", words));
      }
      this.looking = null;
      const { now } = this.session;
      if (field.state === "done" && now?.state === "failed") this.session.show(field);
      else this.session.changed("cells");
    }
    this.running = false;
    byId("working").hidden = true;
  }

  /** @param {Field} field */
  async look(field) {
    const { name } = field;
    let given = false; // up, before the worker was asked
    this.looking = { field, cancel: () => (given = true) };
    field.state = "looking";
    byId("working").hidden = false;
    byId("progress").removeAttribute("value");
    tell(text("looking", { name }));
    this.session.changed("cells");
    await this.engine.ready;
    const start = performance.now();
    const bitmap = await decodePicture(field.blob, name);
    const image = readPixels(bitmap);
    bitmap.close();
    if (await isTooDeep(field.blob, image)) throw Error(text("tooDeep"));
    if (given) throw new Cancelled();
    const how = { kind: field.kind, minProbability: LEAST, cellPx: field.cellSize, key: field.key };
    const asked = this.engine.ask("look", image, how, {
      progress(part) {
        byId("progress").value = part;
        if (part) tell(text("lookingPart", { name, percent: Math.round(100 * part) }));
      },
      found: (message) => this.setCells(field, message),
    });
    this.looking.cancel = asked.cancel;
    const answer = await asked.answer;
    if (answer.single) Object.assign(field, { single: answer.single, cells: [] });
    else {
      this.setSeconds(field, answer.seconds);
      field.overlaps = answer.overlaps;
    }
    field.state = "done";
    const seconds = ((performance.now() - start) / 1000).toFixed(2);
    tell(image.seeThrough ? text("seeThrough", { name }) : text("took", { name, seconds }));
    this.storage.keep(field);
  }

  /** What the field network found. @param {any} field @param {any} message */
  setCells(field, message) {
    field.single = null;
    field.scale = message.scale;
    field.doubts = message.doubts;
    field.cells = message.cells.map((/** @type {Cell} */ cell) => {
      const { label, box, counted } = cell;
      return this.session.makeCell({ ...cell, origin: { label, box, counted } });
    });
    this.session.changed("cells");
  }

  /** What the crop network says of each cell found. @param {Field} field @param {any[]} seconds */
  setSeconds(field, seconds) {
    const { types } = this.session.model;
    for (const [k, second] of seconds.entries()) {
      const cell = field.cells[k];
      cell.second = second;
      const white = second && isWhite(cell.label) && types.includes(second.label);
      if (white) cell.proposed = cell.type = second.label;
    }
  }

  /**
   * What the crop network calls the cell in a box.
   * @param {Field} field @param {Box} box @returns {Promise<string>}
   */
  async nameBox(field, box) {
    const [x0, y0, x1, y1] = wholePixels(box);
    const bitmap = await decodePicture(field.blob, field.name);
    const [width, height] = [Math.min(x1, field.width) - x0, Math.min(y1, field.height) - y0];
    const part = readPixels(bitmap, [x0, y0, width, height]);
    bitmap.close();
    return (await this.engine.ask("name", part).answer).single.label;
  }
}
