/**
 * A second worker of the same script, on a machine with more than one processor: it answers for every
 * other tile of a field of several. The page begins it when the first tile asks for it.
 */
import { openNetwork, startLiteRt } from "./litert.js";

/** @typedef {import("../pictures/images.js").Picture} Picture */

/**
 * What asks the second worker about a tile: its answer, or null where it has none to give. Null
 * itself on a machine of one processor.
 * @param {string} wasm @param {Uint8Array} network
 */
export function openBeside(wasm, network) {
  if (!(navigator.hardwareConcurrency > 1)) return null;
  /** @type {Map<number, (answer: Float32Array | null) => void>} */
  const waiting = new Map();
  let serial = 0;
  /** @type {MessagePort | null} */
  let port = null;
  const begin = () => {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = ({ data: { id, answer } }) => {
      waiting.get(id)?.(answer);
      waiting.delete(id);
    };
    postMessage({ type: "help", port: port2 }, { transfer: [port2] });
    port1.postMessage({ wasm, network });
    return port1;
  };
  /** @param {Picture} picture @returns {Promise<Float32Array | null>} */
  return (picture) =>
    new Promise((resolve) => {
      port ??= begin();
      waiting.set(++serial, resolve);
      port.postMessage({ id: serial, picture });
    });
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
