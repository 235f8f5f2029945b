/**
 * A zip archive of files as they are, not compressed (PKWARE APPNOTE 6.3.9, 4.3.7 to 4.3.16).
 */

const CRC = Uint32Array.from({ length: 256 }, (_, n) => {
  let c = n;
  for (let k = 0; k < 8; k++) c = c & 1 ? 0xedb88320 ^ (c >>> 1) : c >>> 1;
  return c;
});

/** @param {Uint8Array} bytes */
function checksum(bytes) {
  let c = 0xffffffff;
  for (const byte of bytes) c = CRC[(c ^ byte) & 0xff] ^ (c >>> 8);
  return (c ^ 0xffffffff) >>> 0;
}

/** Numbers of two or four bytes, little end first. @param {[number, 2 | 4][]} numbers */
function pack(numbers) {
  const view = new DataView(new ArrayBuffer(numbers.reduce((sum, [, size]) => sum + size, 0)));
  let at = 0;
  for (const [number, size] of numbers) {
    if (size === 2) view.setUint16(at, number, true);
    else view.setUint32(at, number, true);
    at += size;
  }
  return new Uint8Array(view.buffer);
}

/** The day and hour as MS-DOS wrote them. @param {Date} date @returns {[number, 2][]} */
const dosTime = (date) => [
  [(date.getHours() << 11) | (date.getMinutes() << 5) | (date.getSeconds() >> 1), 2],
  [
    ((Math.max(1980, date.getFullYear()) - 1980) << 9) |
      ((date.getMonth() + 1) << 5) |
      date.getDate(),
    2,
  ],
];

/**
 * @param {{name: string, bytes: Uint8Array}[]} files @param {Date} [date] @returns {Blob}
 */
export function makeZip(files, date = new Date()) {
  /** @type {Uint8Array[]} */
  const parts = [];
  const directory = [];
  let offset = 0;
  for (const { name, bytes } of files) {
    const path = new TextEncoder().encode(name);
    const UTF8 = 0x0800;
    /** @type {[number, 2 | 4][]} */
    const common = [
      [20, 2],
      [UTF8, 2],
      [0, 2],
      ...dosTime(date),
      [checksum(bytes), 4],
      [bytes.length, 4],
      [bytes.length, 4],
      [path.length, 2],
      [0, 2],
    ];
    const header = pack([[0x04034b50, 4], ...common]);
    parts.push(header, path, bytes);
    directory.push(
      pack([[0x02014b50, 4], [20, 2], ...common, [0, 2], [0, 2], [0, 2], [0, 4], [offset, 4]]),
      path,
    );
    offset += header.length + path.length + bytes.length;
  }
  const size = directory.reduce((sum, part) => sum + part.length, 0);
  const end = pack([
    [0x06054b50, 4],
    [0, 2],
    [0, 2],
    [files.length, 2],
    [files.length, 2],
    [size, 4],
    [offset, 4],
    [0, 2],
  ]);
  return new Blob(/** @type {any} */ ([...parts, ...directory, end]), { type: "application/zip" });
}
