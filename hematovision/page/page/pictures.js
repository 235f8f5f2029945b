/**
 * Files in, pictures out: what a file is, by its first bytes, before the browser decodes it.
 */
import { MOST_PIXELS } from "./constants.js";
import { text } from "./texts.js";

/** @typedef {import("./images.js").Picture} Picture */
/** @typedef {{width: number, height: number}} Size */

/** @param {Uint8Array} bytes @param {number} at @param {string} letters */
const holds = (bytes, at, letters) => [...letters].every((c, i) => bytes[at + i] === c.charCodeAt(0));

/** The size in a JPEG's frame header (ITU-T T.81, B.2.2). @param {DataView} view @returns {Size | null} */
function jpegSize(view) {
  for (let at = 2; at + 9 < view.byteLength; ) {
    const marker = view.getUint16(at);
    if (marker < 0xff00) return null;
    const low = marker & 0xff;
    if (low >= 0xc0 && low <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(low)) {
      return { width: view.getUint16(at + 7), height: view.getUint16(at + 5) };
    }
    const bare = low === 0xff || low === 1 || (low >= 0xd0 && low <= 0xd8);
    at += low === 0xff ? 1 : bare ? 2 : 2 + view.getUint16(at + 2);
  }
  return null;
}

/** @param {Uint8Array} bytes @param {DataView} view @returns {Size | null} */
function webpSize(bytes, view) {
  if (bytes.length < 30) return null;
  /** @param {number} at */
  const three = (at) => view.getUint16(at, true) + 65536 * bytes[at + 2];
  if (holds(bytes, 12, "VP8X")) return { width: three(24) + 1, height: three(27) + 1 };
  if (holds(bytes, 12, "VP8L")) {
    const bits = view.getUint32(21, true);
    return { width: (bits & 0x3fff) + 1, height: ((bits >>> 14) & 0x3fff) + 1 };
  }
  return { width: view.getUint16(26, true) & 0x3fff, height: view.getUint16(28, true) & 0x3fff };
}

/** Whether letters or bytes stand in the last kilobyte. @param {Uint8Array} bytes @param {string} letters */
function endsWith(bytes, letters) {
  for (let at = Math.max(0, bytes.length - 1024); at <= bytes.length - letters.length; at++) {
    if (holds(bytes, at, letters)) return true;
  }
  return false;
}

/**
 * The media type of a file; an Error in words where it is no picture that a browser takes, is cut
 * short, or holds more pixels than memory does.
 * @param {Uint8Array} bytes @param {string} name @returns {string}
 */
export function inspect(bytes, name) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.length === 0) throw Error(text("empty", { name }));
  if (["II*\0", "MM\0*", "II+\0", "MM\0+"].some((s) => holds(bytes, 0, s))) {
    throw Error(text("tiff", { name }));
  }
  if (holds(bytes, 4, "ftyphe") || holds(bytes, 4, "ftypmif")) throw Error(text("heic", { name }));
  /** @type {Size | null} */
  let size = null;
  let type = "";
  let end = "";
  if (holds(bytes, 0, "\xff\xd8\xff")) {
    [type, size, end] = ["image/jpeg", jpegSize(view), "\xff\xd9"];
  } else if (holds(bytes, 0, "\x89PNG") && bytes.length > 24) {
    [type, end] = ["image/png", "IEND"];
    size = { width: view.getUint32(16), height: view.getUint32(20) };
  } else if (holds(bytes, 0, "RIFF") && holds(bytes, 8, "WEBP")) {
    [type, size] = ["image/webp", webpSize(bytes, view)];
  } else if (holds(bytes, 0, "BM") && bytes.length > 26) {
    type = "image/bmp";
    size = { width: view.getInt32(18, true), height: Math.abs(view.getInt32(22, true)) };
  } else {
    throw Error(text("notPicture", { name }));
  }
  if (end && !endsWith(bytes, end)) throw Error(text("short", { name }));
  if (!size || !size.width || !size.height) throw Error(text("unreadable", { name }));
  if (size.width * size.height > MOST_PIXELS) {
    throw Error(text("tooLarge", { name, ...size, most: MOST_PIXELS.toLocaleString("en") }));
  }
  return type;
}

/**
 * The browser's own decoding, turned as its orientation tag says, colours as they are stored.
 * @param {Blob} blob @param {string} name @returns {Promise<ImageBitmap>}
 */
export async function decodePicture(blob, name) {
  try {
    return await createImageBitmap(blob, {
      colorSpaceConversion: "none",
      premultiplyAlpha: "none",
      imageOrientation: "from-image",
    });
  } catch {
    throw Error(text("unreadable", { name }));
  }
}

/**
 * The pixels of a part of a bitmap, without the fourth channel; in strips, since canvases are small.
 * @param {ImageBitmap} bitmap @param {[number, number, number, number]} [part] left, top, width, height
 * @returns {Picture}
 */
export function readPixels(bitmap, part = [0, 0, bitmap.width, bitmap.height]) {
  const [left, top, width, height] = part;
  const data = new Uint8ClampedArray(3 * width * height);
  const rows = Math.max(1, Math.min(height, Math.floor(4_000_000 / width)));
  const canvas = Object.assign(document.createElement("canvas"), { width, height: rows });
  const context = canvas.getContext("2d", { willReadFrequently: true });
  if (!context) throw Error("no canvas");
  for (let y = 0, to = 0; y < height; y += rows) {
    const high = Math.min(rows, height - y);
    context.clearRect(0, 0, width, rows);
    context.drawImage(bitmap, left, top + y, width, high, 0, 0, width, high);
    const { data: rgba } = context.getImageData(0, 0, width, high);
    for (let i = 0; i < rgba.length; i += 4) {
      data[to++] = rgba[i];
      data[to++] = rgba[i + 1];
      data[to++] = rgba[i + 2];
    }
  }
  return { data, width, height };
}

/** What names a file's content, whatever its name. @param {Uint8Array} bytes @returns {Promise<string>} */
export async function digest(bytes) {
  const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", /** @type {any} */ (bytes)));
  return [...hash.subarray(0, 16)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}
