/**
 * The one wrapper of LiteRT.js. The twin of `hematovision/networks/litert.py`.
 *
 * LiteRT.js can't resize an input. So a model whose sizes are left open is rewritten, before it is
 * compiled, to those that it shall have, and a few of the compiled ones are kept.
 */
import { MOST_SHAPES, QUARTER } from "../../constants.js";

/**
 * What is used of LiteRT.js (https://www.npmjs.com/package/@litertjs/core), which the page builder
 * puts before this.
 * @typedef {{delete(): void, toTypedArray(): Float32Array}} Tensor
 * @typedef {{run(inputs: Tensor[]): Promise<Tensor[]>, delete(): void}} Compiled
 */

/** LiteRT.js, which the builder puts before this. @returns {any} */
// @ts-ignore
const liteRt = () => LiteRt;

/** @param {string} text @returns {Uint8Array<ArrayBuffer>} */
function fromBase64(text) {
  const characters = atob(text);
  const bytes = new Uint8Array(characters.length);
  for (let i = 0; i < characters.length; i++) bytes[i] = characters.charCodeAt(i);
  return bytes;
}

/** Gzipped bytes written as base64. @param {string} text @returns {Promise<Uint8Array>} */
export async function unpack(text) {
  const gzip = new DecompressionStream("gzip");
  const writer = gzip.writable.getWriter(); // not a Blob's stream: WebKit's worker can't read one
  writer.write(fromBase64(text));
  writer.close();
  return new Uint8Array(await new Response(gzip.readable).arrayBuffer());
}

/** A .tflite is a FlatBuffer: tables of fields at offsets (https://flatbuffers.dev/internals/). */
class FlatBuffer {
  /** @param {Uint8Array} bytes */
  constructor(bytes) {
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  /** @param {number} at */
  number(at) {
    return this.view.getInt32(at, true);
  }

  /** What the offset at a place leads to. @param {number} at */
  follow(at) {
    return at + this.view.getUint32(at, true);
  }

  /**
   * Where the vector or table in a field of a table starts; 0 where there is none.
   * @param {number} table @param {number} field
   */
  field(table, field) {
    const layout = table - this.number(table);
    const slot = 4 + 2 * field;
    const offset =
      slot < this.view.getUint16(layout, true) ? this.view.getUint16(layout + slot, true) : 0;
    return offset && this.follow(table + offset);
  }

  /** @param {number} vector @param {number[]} numbers */
  write(vector, numbers) {
    numbers.forEach((number, k) => this.view.setInt32(vector + 4 + 4 * k, number, true));
  }
}

/**
 * The model with the sizes of its inputs and outputs set to a picture's, where they are left open.
 * @param {Uint8Array} model @param {number} height @param {number} width @returns {Uint8Array}
 */
export function setSize(model, height, width) {
  const copy = model.slice();
  const flat = new FlatBuffer(copy);
  const [SUBGRAPHS, TENSORS, INPUTS, OUTPUTS, SHAPE, SIGNATURE] = [2, 0, 1, 2, 0, 7]; // schema.fbs
  const graph = flat.follow(flat.field(flat.follow(0), SUBGRAPHS) + 4);
  const tensors = flat.field(graph, TENSORS);
  for (const end of [INPUTS, OUTPUTS]) {
    const list = flat.field(graph, end);
    for (let n = 0; n < flat.number(list); n++) {
      const tensor = flat.follow(tensors + 4 + 4 * flat.number(list + 4 + 4 * n));
      const shape = flat.field(tensor, SHAPE);
      const open = flat.field(tensor, SIGNATURE);
      if (!open) continue;
      const dimensions = flat.number(shape);
      let size = dimensions === 2 ? [1, flat.number(shape + 8)] : [1];
      if (dimensions === 4) {
        const step = end === INPUTS ? 1 : QUARTER;
        size = [1, height / step, width / step, flat.number(shape + 16)];
      }
      flat.write(shape, size);
      flat.write(open, size);
    }
  }
  return copy;
}

/**
 * A network that takes pictures of any size: kept compiled for the MOST_SHAPES last ones.
 * @param {Uint8Array} model
 * @returns {(pixels: Float32Array, height: number, width: number) => Promise<Float32Array[]>}
 */
export function openNetwork(model) {
  /** @type {Map<string, Compiled>} */
  const kept = new Map();
  return async (pixels, height, width) => {
    const size = `${height} x ${width}`;
    let compiled = kept.get(size);
    kept.delete(size); // and set again: the one used last stands last
    if (!compiled) {
      const [oldest] = kept.keys();
      if (kept.size >= MOST_SHAPES) {
        kept.get(oldest)?.delete();
        kept.delete(oldest);
      }
      const sized = setSize(model, height, width);
      compiled = /** @type {Compiled} */ (
        await liteRt().loadAndCompile(sized, { accelerator: "wasm" })
      );
    }
    kept.set(size, compiled);
    const input = new (liteRt().Tensor)(pixels, [1, height, width, 3]);
    const outputs = await compiled.run([input]);
    input.delete();
    return outputs.map((output) => {
      const values = output.toTypedArray().slice();
      output.delete();
      return values;
    });
  };
}

/** Start LiteRT from its gzipped wasm. @param {string} wasm */
export async function startLiteRt(wasm) {
  // It tells of accelerators that nobody asked for.
  const console = /** @type {any} */ (globalThis.console);
  for (const kind of ["log", "info", "warn", "error", "debug"]) console[kind] = () => {};
  const quiet = { wasmBinary: await unpack(wasm), print() {}, printErr() {} };
  /** @type {any} */ (globalThis).Module = quiet;
  await liteRt().loadLiteRt("embedded.js");
}
