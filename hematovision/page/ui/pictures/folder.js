/**
 * A folder that is watched: its pictures, then each new one as soon as it is wholly written.
 */
import { text } from "../texts.js";

const EVERY = 1000; // milliseconds; a file that didn't change in between is whole
const PICTURE = /\.(jpe?g|jfif|png|webp|bmp)$/i;
const OWN = /_cells\.png$/i; // what predict.py or this page drew

export class WatchedFolder {
  /** @param {(file: File) => Promise<void>} take @param {(why: string) => void} lost */
  constructor(take, lost) {
    this.take = take;
    this.lost = lost;
    /** @type {any} the folder, as the browser hands it over */
    this.folder = null;
    /** @type {Map<string, {stamp: string, taken: boolean}>} */
    this.seen = new Map();
  }

  /** Whether this browser lets a page read a folder. */
  static get isKnown() {
    return "showDirectoryPicker" in globalThis;
  }

  /** Ask for a folder, and watch it; nothing where the person gives none. */
  async start() {
    let folder;
    try {
      folder = await /** @type {any} */ (globalThis).showDirectoryPicker({ mode: "read" });
    } catch (error) {
      if (/** @type {DOMException} */ (error).name !== "AbortError")
        this.lost(text("folderRefused"));
      return;
    }
    this.folder = folder;
    this.seen.clear();
    this.watch(folder);
  }

  stop() {
    this.folder = null;
  }

  /** @param {any} folder */
  async watch(folder) {
    while (this.folder === folder) {
      try {
        await this.look(folder);
      } catch {
        this.stop();
        this.lost(text("folderLost", { name: folder.name }));
        return;
      }
      await new Promise((resolve) => setTimeout(resolve, EVERY));
    }
  }

  /** Take what is there, doesn't grow, and wasn't taken as it is. @param {any} folder */
  async look(folder) {
    const names = [];
    for await (const entry of folder.values()) {
      if (entry.kind === "file" && PICTURE.test(entry.name) && !OWN.test(entry.name))
        names.push(entry);
    }
    names.sort((a, b) => (a.name < b.name ? -1 : 1));
    for (const entry of names) {
      // One that vanishes between the list and its turn is no loss of the folder.
      const file = await entry.getFile().catch(() => null);
      if (!file || this.folder !== folder) continue;
      const stamp = `${file.size} ${file.lastModified}`;
      const before = this.seen.get(file.name);
      const isWhole = before?.stamp === stamp && file.size > 0;
      const taken = isWhole && before.taken;
      this.seen.set(file.name, { stamp, taken: isWhole });
      if (isWhole && !taken) await this.take(file);
    }
  }
}
