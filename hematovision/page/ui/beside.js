/**
 * The worker as the page sees it: one question, one answer.
 */

/** @typedef {import("../engine/pictures/images.js").Picture} Picture */

/**
 * What of an answer may come before its end.
 * @typedef {{progress?: (part: number) => void, found?: (message: any) => void}} Listeners
 */

export class Cancelled extends Error {}

export class Engine {
  /**
   * @param {string} source of the worker
   * @param {object} model what the worker starts from
   */
  constructor(source, model) {
    this.serial = 0;
    /**
     * @type {Map<number, {heard: Listeners, resolve: (answer: any) => void,
     *   reject: (error: Error) => void}>}
     */
    this.waiting = new Map();
    const url = URL.createObjectURL(new Blob([source], { type: "text/javascript" }));
    // The one place where text becomes code; the page's policy allows no other.
    const types = /** @type {any} */ (globalThis).trustedTypes;
    const policy = types?.createPolicy("worker", { createScriptURL: () => url });
    const begin = () => new Worker(policy ? policy.createScriptURL("") : url);
    this.worker = begin();
    /** @type {Promise<void>} */
    this.ready = new Promise((resolve, reject) => {
      this.worker.addEventListener("message", ({ data }) => {
        if (data.type === "ready") resolve();
        else if (data.type === "help") this.beginSecond(begin, data);
        else if (data.type === "failed" && data.id === undefined) reject(Error(data.why));
        else this.hear(data);
      });
      this.worker.addEventListener("error", (event) => reject(Error(event.message)));
    });
    this.worker.postMessage({ type: "start", ...model });
  }

  /**
   * Begin the worker that looks at tiles beside; where it can't be, the first is told.
   * @param {() => Worker} begin @param {{type: "help", port: MessagePort}} how
   */
  beginSecond(begin, how) {
    const fail = () => this.worker.postMessage({ type: "alone" });
    try {
      const second = begin();
      second.addEventListener("error", fail);
      second.postMessage(how, [how.port]);
    } catch {
      fail();
    }
  }

  /** @param {any} message */
  hear(message) {
    const asked = this.waiting.get(message.id);
    if (!asked) return;
    if (message.type === "progress") asked.heard.progress?.(message.part);
    else if (message.type === "found") asked.heard.found?.(message);
    else {
      this.waiting.delete(message.id);
      if (message.type === "answer") asked.resolve(message);
      else asked.reject(message.type === "cancelled" ? new Cancelled() : Error(message.why));
    }
  }

  /**
   * Look at a picture, glance at a frame, or name the cell that it shows. The picture's pixels go over to the worker.
   * @param {"look" | "name" | "glance" | "remember"} type @param {Picture} image
   * @param {{kind?: string, minProbability?: number, cellPx?: number | null,
   *   key?: string}} [how]
   * @param {Listeners} [heard]
   */
  ask(type, image, how = {}, heard = {}) {
    const id = ++this.serial;
    const answer = new Promise((resolve, reject) =>
      this.waiting.set(id, { resolve, reject, heard }),
    );
    this.worker.postMessage({ type, id, image, ...how }, [image.data.buffer]);
    return { answer, cancel: () => this.worker.postMessage({ type: "cancel", id }) };
  }
}
