/**
 * What outlives a reload: pictures and their cells, in the browser's IndexedDB.
 */

/** @typedef {import("./session.js").Field} Field */

const DELAY = 250; // milliseconds until an edit is written
const STORES = ["fields", "pictures", "settings"];
const STATES = ["waiting", "looking", "done", "failed", "cancelled"];

/** @param {IDBRequest} request @returns {Promise<any>} */
const result = (request) =>
  new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });

/** @param {any} values @param {number} n */
const areNumbers = (values, n) =>
  Array.isArray(values) && values.length === n && values.every(Number.isFinite);

/**
 * An Error where what was kept of a field is no field of ours.
 * @param {any} record @param {string[]} labels
 */
export function checkRecord(record, labels) {
  const { name, width, height, state, cells, scale, single } = record;
  const whole = width > 0 && height > 0 && typeof name === "string" && STATES.includes(state);
  const found = scale === null || (scale.cellPx > 0 && typeof scale.certain === "boolean");
  const named = single === null || (single.probabilities && single.probability >= 0);
  const isCell = (/** @type {any} */ cell) =>
    Number.isInteger(cell.id) &&
    labels.includes(cell.label) &&
    areNumbers(cell.box, 4) &&
    (cell.probability === null || Number.isFinite(cell.probability)) &&
    (cell.origin === null || areNumbers(cell.origin.box, 4));
  if (!whole || !found || !named || !cells.every(isCell)) throw Error("damaged");
}

/** @returns {Promise<IDBDatabase>} */
function openDatabase() {
  const request = indexedDB.open("hematovision", 2);
  request.onupgradeneeded = () => {
    const stores = request.result.objectStoreNames;
    for (const name of STORES) {
      if (!stores.contains(name)) request.result.createObjectStore(name, { keyPath: "key" });
    }
  };
  return result(request);
}

export class Storage {
  /**
   * @param {string} model
   * @param {(why: string) => void} complain told once where nothing can be kept
   */
  constructor(model, complain) {
    this.model = model;
    this.complain = complain;
    this.broken = false;
    /** @type {Map<string, ReturnType<typeof setTimeout>>} */
    this.pending = new Map();
    /** @type {Set<string>} fields with edits that are not written */
    this.unwritten = new Set();
    /** @type {Promise<IDBDatabase>} */
    this.database = Promise.resolve().then(openDatabase);
    this.database.catch((error) => this.fail(error));
  }

  /** @param {unknown} error */
  fail(error) {
    if (!this.broken) this.complain(error instanceof Error ? error.name : String(error));
    this.broken = true;
  }

  /**
   * @param {string[]} stores @param {(...stores: IDBObjectStore[]) => void} change
   * @returns {Promise<boolean>} whether it was written
   */
  async write(stores, change) {
    try {
      const transaction = (await this.database).transaction(stores, "readwrite");
      const ended = new Promise((resolve, reject) => {
        transaction.oncomplete = () => resolve(true);
        transaction.onerror = transaction.onabort = () => reject(transaction.error);
      });
      change(...stores.map((name) => transaction.objectStore(name)));
      await ended;
      return true;
    } catch (error) {
      this.fail(error);
      return false;
    }
  }

  /**
   * All that was open when the page was last left.
   * @returns {Promise<{record: any, bytes: ArrayBuffer}[]>}
   */
  async load() {
    try {
      const transaction = (await this.database).transaction(["fields", "pictures"]);
      const fields = transaction.objectStore("fields");
      const pictures = transaction.objectStore("pictures");
      const keys = await result(fields.getAllKeys());
      // Each by itself: one that the browser can't read mustn't take the others with it.
      const every = await Promise.all(
        keys.map(async (/** @type {string} */ key) => {
          const record = await result(fields.get(key)).catch(() => ({ key, model: this.model }));
          const picture = await result(pictures.get(key)).catch(() => null);
          return { record, bytes: picture?.bytes ?? new ArrayBuffer(0) };
        }),
      );
      return every
        .filter(({ record }) => record.model === this.model)
        .sort((a, b) => a.record.opened - b.record.opened);
    } catch (error) {
      this.fail(error);
      return [];
    }
  }

  /** What is kept under a name; null where nothing is. @param {string} key @returns {Promise<any>} */
  async loadSetting(key) {
    try {
      const store = (await this.database).transaction("settings").objectStore("settings");
      return (await result(store.get(key)))?.value ?? null;
    } catch (error) {
      this.fail(error);
      return null;
    }
  }

  /** @param {string} key @param {any} value */
  keepSetting(key, value) {
    return this.write(["settings"], (settings) => settings.put({ key, value }));
  }

  /** Forget all that any page of this kind has kept in this browser. */
  forgetAll() {
    for (const timer of this.pending.values()) clearTimeout(timer);
    this.unwritten.clear();
    return this.write(STORES, (...stores) => stores.forEach((store) => store.clear()));
  }

  /** Keep a picture just opened, and that it is. @param {Field} field @param {ArrayBuffer} bytes */
  open(field, bytes) {
    return this.write(["fields", "pictures"], (fields, pictures) => {
      fields.put(this.recordOf(field));
      pictures.put({ key: field.key, bytes });
    });
  }

  /** Whether the last edits of a field would be lost with the page. @param {Field} field */
  isAtRisk(field) {
    return this.broken || this.unwritten.has(field.key);
  }

  /** Write a field's cells soon. @param {Field} field */
  keep(field) {
    this.unwritten.add(field.key);
    clearTimeout(this.pending.get(field.key));
    this.pending.set(
      field.key,
      setTimeout(() => this.keepNow(field), DELAY),
    );
  }

  /** What of a field is written. @param {Field} field */
  recordOf({ url: _, blob: __, ...record }) {
    return { ...record, model: this.model };
  }

  /** @param {Field} field */
  async keepNow(field) {
    const due = this.pending.get(field.key);
    clearTimeout(due);
    const written = await this.write(["fields"], (fields) => fields.put(this.recordOf(field)));
    // An edit made meanwhile isn't written yet.
    if (written && this.pending.get(field.key) === due) this.unwritten.delete(field.key);
  }

  /** Forget some fields and their pictures. @param {Field[]} gone */
  forget(gone) {
    for (const { key } of gone) {
      clearTimeout(this.pending.get(key));
      this.unwritten.delete(key);
    }
    return this.write(["fields", "pictures"], (fields, pictures) => {
      for (const { key } of gone) {
        fields.delete(key);
        pictures.delete(key);
      }
    });
  }
}
