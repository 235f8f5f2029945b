"""What a picture's file says of itself before a pixel of it is decoded.

    read_header(data) -> Header      # kind, size, depth, transparency, orientation

Decoders trust: they ask for the memory that a header promises, and make half a grey picture of
half a file. So the structure is walked here first, for the six kinds that are read: JPEG, PNG,
TIFF, BMP, WebP and JPEG 2000. A file counts as whole from its first byte to its own end marker;
what follows that (the film of a motion photo, padding) is nobody's business. A file that ends
before is cut short, also where zeros fill it up to its old length, as downloads leave it.

OpenCV refuses what is cut short, but not all that zeros or another picture fill up. Pillow knows no
end either; its import takes a quarter of the time in which `predict.py` starts, and a TIFF of 1 MB
whose tags all point at one place took it 2 GB.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable

from hematovision.pictures.header import (
    CUT,
    DAMAGED,
    MOST_PARTS,
    FormatError,
    Header,
    OrientationTag,
    find_orientation,
    is_filled_up,
)
from hematovision.pictures.jpeg import read_jp2, read_jpeg
from hematovision.pictures.tiff import read_tiff

FRAMES = "of several frames the first is read"


def read_header(data: bytes) -> Header:
    """Walk the structure of a picture's file; FormatError where it is cut short, damaged, of a
    variant that can't be decoded, or of no kind that is read."""
    for signature, reader in READERS:
        if data.startswith(signature):
            try:
                header = reader(data)
            except FormatError:
                raise
            except (struct.error, IndexError):  # it goes on where the file doesn't
                raise FormatError(CUT) from None
            except (ValueError, TypeError, KeyError, OverflowError):  # numbers that make no sense
                raise FormatError(DAMAGED) from None
            if header.width < 1 or header.height < 1:
                raise FormatError(DAMAGED)
            return header
    raise FormatError("not a picture that can be read; give a JPEG, PNG, BMP or TIFF")


# --- PNG (ISO/IEC 15948) --------------------------------------------------------------------------


def read_png(data: bytes) -> Header:
    """Chunk by chunk to IEND, each with its checksum: zeros in the middle don't pass for pixels."""
    view, at, tag = memoryview(data), 8, OrientationTag()
    alpha, note, pixels, width = False, "", False, 0
    for _ in range(MOST_PARTS):
        length, kind = struct.unpack_from(">I4s", data, at)
        end = at + 8 + length
        (checksum,) = struct.unpack_from(">I", data, end)
        critical = kind in (b"IHDR", b"PLTE", b"IDAT", b"IEND")
        if critical and zlib.crc32(view[at + 4 : end]) != checksum:
            raise FormatError(DAMAGED)
        if kind == b"IHDR":
            width, height, bits, colour = struct.unpack_from(">IIBB", data, at + 8)
            alpha = colour in (4, 6)
        elif kind == b"tRNS":
            alpha = True
        elif kind == b"acTL":
            (frames,) = struct.unpack_from(">I", data, at + 8)
            note = FRAMES if frames > 1 else ""
        elif kind == b"IDAT":
            pixels = True
        elif kind == b"eXIf":
            tag = find_orientation(data, at + 8, end)._replace(chunk=(at + 4, end))
        elif kind == b"IEND":
            break
        at = end + 4
    if kind != b"IEND" or not width or not pixels:
        raise FormatError(DAMAGED)
    deep = bits > 8
    cost = (16 if deep else 8) if alpha else (12 if deep else 4)
    return Header("PNG", width, height, bits, alpha, note=note, cost=cost, tag=tag)


# --- BMP ------------------------------------------------------------------------------------------


def read_bmp(data: bytes) -> Header:
    offset, size = struct.unpack_from("<II", data, 10)
    alpha, packed = False, 0
    if size == 12:
        width, height, _, bits = struct.unpack_from("<HHHH", data, 18)
    else:
        width, height, _, bits, packed = struct.unpack_from("<iiHHI", data, 18)
        height = abs(height)
        alpha = packed == 3 and size >= 56 and struct.unpack_from("<I", data, 66)[0] != 0
    if packed in (4, 5):
        raise FormatError("a BMP that wraps a JPEG or PNG; save it as PNG")
    if packed not in (1, 2):
        row = (width * bits + 31) // 32 * 4
        if len(data) < offset + row * height or is_filled_up(data, offset, row, height):
            raise FormatError(CUT)
    return Header("BMP", width, height, alpha=alpha, cost=8)


# --- WebP -----------------------------------------------------------------------------------------


def read_webp(data: bytes) -> Header:
    if data[8:12] != b"WEBP":
        raise FormatError("not a picture (a sound or a film); give a JPEG, PNG, BMP or TIFF")
    end = 8 + struct.unpack_from("<I", data, 4)[0]
    # Compressed pixels don't end in zeros; a download that was cut and filled up does.
    if len(data) < end or end < 30 or not any(data[end - 64 : end]):
        raise FormatError(CUT)
    kind, tag, alpha, note = data[12:16], OrientationTag(), False, ""
    if kind == b"VP8 ":
        width, height = (n & 0x3FFF for n in struct.unpack_from("<HH", data, 26))
    elif kind == b"VP8L":
        (packed,) = struct.unpack_from("<I", data, 21)
        width, height = (packed & 0x3FFF) + 1, (packed >> 14 & 0x3FFF) + 1
        alpha = bool(packed >> 28 & 1)
    elif kind == b"VP8X":
        width, height = (int.from_bytes(data[i : i + 3], "little") + 1 for i in (24, 27))
        alpha, note = bool(data[20] & 0x10), FRAMES if data[20] & 0x02 else ""
        at = 12
        for _ in range(MOST_PARTS):
            if at + 8 > end or tag.at:
                break
            name, length = struct.unpack_from("<4sI", data, at)
            if name == b"EXIF":
                skip = 6 * (data[at + 8 : at + 14] == b"Exif\0\0")
                tag = find_orientation(data, at + 8 + skip, at + 8 + length)
            at += 8 + length + length % 2
    else:
        raise FormatError(DAMAGED)
    return Header("WebP", width, height, alpha=alpha, note=note, cost=11, tag=tag)


READERS: tuple[tuple[bytes, Callable[[bytes], Header]], ...] = (
    (b"\xff\xd8", read_jpeg),
    (b"\x89PNG\r\n\x1a\n", read_png),
    (b"BM", read_bmp),
    *((start, read_tiff) for start in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")),
    (b"RIFF", read_webp),
    (b"\0\0\0\x0cjP  \r\n\x87\n", read_jp2),
    (b"\xff\x4f\xff\x51", read_jp2),
)
