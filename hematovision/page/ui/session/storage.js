/**
 * What outlives a reload: pictures and their cells, in the browser's IndexedDB.
 */

/** @typedef {import("./session.js").Field} Field */

const DELAY = 250; // milliseconds until an edit is written

/** @param {IDBRequest} request @returns {Promise<any>} */
const result = (request) =>
  new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });

/** @returns {Promise<IDBDatabase>} */
function openDatabase() {
  const request = indexedDB.open("hematovision", 1);
  request.onupgradeneeded = () => {
    request.result.createObjectStore("fields", { keyPath: "key" });
    request.result.createObjectStore("pictures", { keyPath: "key" });
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
      const [records, pictures] = await Promise.all(
        ["fields", "pictures"].map((name) => result(transaction.objectStore(name).getAll())),
      );
      const bytes = new Map(pictures.map((/** @type {any} */ p) => [p.key, p.bytes]));
      return records
        .filter((/** @type {any} */ r) => r.model === this.model && bytes.has(r.key))
        .sort((/** @type {any} */ a, /** @type {any} */ b) => a.opened - b.opened)
        .map((/** @type {any} */ record) => ({ record, bytes: bytes.get(record.key) }));
    } catch (error) {
      this.fail(error);
      return [];
    }
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
    clearTimeout(this.pending.get(field.key));
    const written = await this.write(["fields"], (fields) => fields.put(this.recordOf(field)));
    if (written) this.unwritten.delete(field.key);
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
