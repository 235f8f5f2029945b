/**
 * Files in, pictures out: what a file is, by its first bytes, before the browser decodes it.
 */
import { MOST_PIXELS } from "../../constants.js";
import { text } from "../texts.js";

/** @typedef {import("../../engine/pictures/images.js").Picture} Picture */
/** @typedef {{width: number, height: number}} Size */
/** @typedef {Size & {whole: boolean}} Header what the first bytes say, and whether all are there */

/** @param {Uint8Array} bytes @param {number} at @param {string} letters */
const holds = (bytes, at, letters) =>
  [...letters].every((c, i) => bytes[at + i] === c.charCodeAt(0));

/**
 * What a JPEG's markers say (ITU-T T.81, B.1.1). It is whole where its end marker comes after its
 * scans; phones append films after that, and thumbnails before it have an end of their own.
 * @param {Uint8Array} bytes @param {DataView} view @returns {Header | null}
 */
function readJpeg(bytes, view) {
  /** @type {Size | null} */
  let size = null;
  let scanned = false;
  for (let at = 2; at + 1 < bytes.length;) {
    const marker = bytes[at] === 0xff ? bytes[at + 1] : 0;
    const inScan = marker === 0 || (marker >= 0xd0 && marker <= 0xd7);
    if (inScan && !scanned) return null;
    if (marker === 0xd9) return size && { ...size, whole: scanned };
    if (marker === 0xff) at += 1;
    else if (inScan) at = Math.max(bytes.indexOf(0xff, at + 1), 0) || bytes.length;
    else if (at + 9 < bytes.length) {
      if (marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker)) {
        size = { width: view.getUint16(at + 7), height: view.getUint16(at + 5) };
      }
      scanned ||= marker === 0xda;
      at += 2 + view.getUint16(at + 2);
    } else break;
  }
  return size && { ...size, whole: false };
}

/** @param {Uint8Array} bytes @param {DataView} view @returns {Header} */
function readBmp(bytes, view) {
  const width = view.getInt32(18, true);
  const height = Math.abs(view.getInt32(22, true));
  const packed = view.getUint32(30, true) !== 0;
  const line = 4 * Math.ceil((width * view.getUint16(28, true)) / 32);
  const whole = packed || bytes.length >= view.getUint32(10, true) + line * height;
  return { width, height, whole };
}

/** @param {Uint8Array} bytes @param {DataView} view @returns {Size} */
function webpSize(bytes, view) {
  /** @param {number} at */
  const three = (at) => view.getUint16(at, true) + 65536 * bytes[at + 2];
  if (holds(bytes, 12, "VP8X")) return { width: three(24) + 1, height: three(27) + 1 };
  if (holds(bytes, 12, "VP8L")) {
    const bits = view.getUint32(21, true);
    return { width: (bits & 0x3fff) + 1, height: ((bits >>> 14) & 0x3fff) + 1 };
  }
  return { width: view.getUint16(26, true) & 0x3fff, height: view.getUint16(28, true) & 0x3fff };
}

/** @param {Uint8Array} bytes */
function endsPng(bytes) {
  for (let at = bytes.length - 4; at >= Math.max(0, bytes.length - 1024); at--) {
    if (holds(bytes, at, "IEND")) return true;
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
  let type = "";
  /** @type {Header | null} */
  let header = null;
  if (holds(bytes, 0, "\xff\xd8\xff")) {
    [type, header] = ["image/jpeg", readJpeg(bytes, view)];
  } else if (holds(bytes, 0, "\x89PNG") && bytes.length > 24) {
    const size = { width: view.getUint32(16), height: view.getUint32(20) };
    [type, header] = ["image/png", { ...size, whole: endsPng(bytes) }];
  } else if (holds(bytes, 0, "RIFF") && holds(bytes, 8, "WEBP") && bytes.length > 30) {
    const whole = bytes.length >= view.getUint32(4, true) + 8;
    [type, header] = ["image/webp", { ...webpSize(bytes, view), whole }];
  } else if (holds(bytes, 0, "BM") && bytes.length > 54) {
    [type, header] = ["image/bmp", readBmp(bytes, view)];
  } else {
    throw Error(text("notPicture", { name }));
  }
  if (header && !header.whole) throw Error(text("short", { name }));
  if (!header?.width || !header.height) throw Error(text("unreadable", { name }));
  const { width, height } = header;
  if (width * height > MOST_PIXELS) {
    throw Error(text("tooLarge", { name, width, height, most: MOST_PIXELS.toLocaleString("en") }));
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

/** @param {Uint8ClampedArray} rgba */
function isOpaque(rgba) {
  for (let i = 3; i < rgba.length; i += 4) if (rgba[i] < 255) return false;
  return true;
}

/**
 * Whether a PNG has 16 bits a channel, of which a browser keeps the upper eight, and uses the lower
 * ones alone, as the cameras of microscopes do.
 * @param {Blob} blob @param {Picture} image
 */
export async function isTooDeep(blob, image) {
  const head = new Uint8Array(await blob.slice(0, 25).arrayBuffer());
  return holds(head, 0, "\x89PNG") && head[24] === 16 && !image.data.some((level) => level > 127);
}

/**
 * The pixels of a part of a bitmap, laid over white where it is see-through; in strips, since
 * canvases are small.
 * @param {ImageBitmap} bitmap
 * @param {[number, number, number, number]} [part] left, top, width, height
 * @returns {Picture & {seeThrough: boolean}}
 */
export function readPixels(bitmap, part = [0, 0, bitmap.width, bitmap.height]) {
  const [left, top, width, height] = part;
  const data = new Uint8ClampedArray(3 * width * height);
  const rows = Math.max(1, Math.min(height, Math.floor(4_000_000 / width)));
  const canvas = Object.assign(document.createElement("canvas"), { width, height: rows });
  const context = canvas.getContext("2d", { willReadFrequently: true });
  if (!context) throw Error("no canvas");
  let seeThrough = false;
  for (let y = 0, to = 0; y < height; y += rows) {
    const high = Math.min(rows, height - y);
    context.clearRect(0, 0, width, rows);
    context.drawImage(bitmap, left, top + y, width, high, 0, 0, width, high);
    let { data: rgba } = context.getImageData(0, 0, width, high);
    if (!isOpaque(rgba)) {
      seeThrough = true;
      context.globalCompositeOperation = "destination-over";
      context.fillStyle = "#fff"; // the colour of empty ground
      context.fillRect(0, 0, width, high);
      context.globalCompositeOperation = "source-over";
      rgba = context.getImageData(0, 0, width, high).data;
    }
    for (let i = 0; i < rgba.length; i += 4) {
      data[to++] = rgba[i];
      data[to++] = rgba[i + 1];
      data[to++] = rgba[i + 2];
    }
  }
  return { data, width, height, seeThrough };
}

/**
 * What names a file's content, whatever its name.
 * @param {Uint8Array} bytes @returns {Promise<string>}
 */
export async function digest(bytes) {
  if (!crypto.subtle) {
    // Where the page comes over plain http: FNV-1a, which tells files apart well enough.
    let hash = 0x811c9dc5;
    for (const byte of bytes) hash = Math.imul(hash ^ byte, 0x01000193) >>> 0;
    return `${hash.toString(16)}-${bytes.length}`;
  }
  const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", /** @type {any} */ (bytes)));
  return [...hash.subarray(0, 16)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}
