/**
 * A second worker of the same script, on a machine with more than one processor: it answers for every
 * other tile of a field of several. The page begins it when the first tile asks for it.
 */
import { openNetwork, startLiteRt } from "./litert.js";

/** @typedef {import("../pictures/images.js").Picture} Picture */

/** The second worker as the first one sees it. */
export class Beside {
  /** @param {string} wasm @param {Uint8Array} network */
  constructor(wasm, network) {
    this.model = { wasm, network };
    this.alone = !(navigator.hardwareConcurrency > 1);
    /** @type {Map<number, (answer: Float32Array | null) => void>} */
    this.waiting = new Map();
    this.serial = 0;
    /** @type {MessagePort | null} */
    this.port = null;
  }

  /** Let the page begin it. */
  begin() {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = ({ data: { id, answer } }) => {
      this.waiting.get(id)?.(answer);
      this.waiting.delete(id);
    };
    postMessage({ type: "help", port: port2 }, { transfer: [port2] });
    port1.postMessage(this.model);
    return port1;
  }

  /** Its answer to a tile; null where it has none to give. @param {Picture} picture */
  async ask(picture) {
    if (this.alone) return null;
    const port = (this.port ??= this.begin());
    const id = ++this.serial;
    return await new Promise((/** @type {(answer: Float32Array | null) => void} */ resolve) => {
      this.waiting.set(id, resolve);
      port.postMessage({ id, picture });
    });
  }

  /** It has ended, or couldn't be begun: nothing is waited for any more. */
  giveUp() {
    this.alone = true;
    for (const give of this.waiting.values()) give(null);
    this.waiting.clear();
  }
}

/**
 * Answer for tiles that come through a port, after what the network is opened from.
 * @param {MessagePort} port
 */
export function helpThrough(port) {
  /** @type {Promise<ReturnType<typeof openNetwork>>} */
  let opened;
  port.onmessage = async ({ data }) => {
    if (data.network) {
      opened = startLiteRt(data.wasm).then(() => openNetwork(data.network));
      return;
    }
    const { id, picture } = data;
    try {
      const network = await opened;
      const pixels = new Float32Array(picture.data);
      const [answer] = await network(pixels, picture.height, picture.width);
      port.postMessage({ id, answer }, [answer.buffer]);
    } catch {
      port.postMessage({ id, answer: null }); // no memory is left, say: the other does it
    }
  };
}
