"""JPEG (ITU T.81) and JPEG 2000 (ITU T.800): what their files say, from start to end marker."""

from __future__ import annotations

import re
import struct
from typing import Any

from hematovision.pictures.header import (
    CUT,
    DAMAGED,
    MOST_PARTS,
    FormatError,
    Header,
    OrientationTag,
    find_orientation,
)

MOST_SCANS = 100  # of a JPEG: hostile ones would take hours
# After a JPEG's entropy-coded data comes a marker that is neither a stuffed byte nor a restart...
MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
# ... but the end, another scan, or what may stand before one.
MAY_FOLLOW_SCAN = frozenset((0xD9, 0xDA, 0xC4, 0xCC, 0xDB, 0xDC, 0xDD, 0xFE, *range(0xE0, 0xF0)))


def read_jpeg(data: bytes) -> Header:
    """Segment by segment, and over the entropy-coded data, to the end of the main picture.

    A thumbnail's own end marker lies inside a segment, so it is never taken for that one.
    """
    frame: dict[str, Any] = {}
    tag = OrientationTag()
    at, scans = 2, 0
    for _ in range(MOST_PARTS):
        at = data.index(b"\xff", at) if b"\xff" in data[at : at + 4096] else len(data)
        marker = data[at + 1]
        if marker == 0xFF:  # a fill byte
            at += 1
            continue
        if marker == 0xD9:
            break
        if marker == 0xD8 or scans > MOST_SCANS:
            raise FormatError(DAMAGED)
        at += 2
        if marker <= 0x01 or 0xD0 <= marker <= 0xD7:  # markers without a segment
            continue
        (length,) = struct.unpack_from(">H", data, at)
        if length < 2:
            raise FormatError(DAMAGED)
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            bits, height, width, samples = struct.unpack_from(">BHHB", data, at + 2)
            if marker not in (0xC0, 0xC1, 0xC2, 0xC9, 0xCA) or bits != 8:
                raise FormatError(f"a lossless or {bits}-bit JPEG; save it as PNG or TIFF")
            progressive = marker in (0xC2, 0xCA)  # its coefficients wait in memory
            cost = 3 + 2 * samples * progressive + (samples == 4)
            frame = {"width": width, "height": height, "cost": cost}
        elif marker == 0xF7:
            raise FormatError("a JPEG-LS picture; save it as PNG or TIFF")
        elif marker == 0xE1 and data[at + 2 : at + 8] == b"Exif\0\0" and not tag.at:
            tag = find_orientation(data, at + 8, at + length)
        at += length
        if marker == 0xDA:
            scans += 1
            found = MARKER.search(data, at)
            if found is None or data[found.start() + 1] not in MAY_FOLLOW_SCAN:
                raise FormatError(CUT)
            at = found.start()
    else:
        raise FormatError(DAMAGED)
    if not frame or not scans:
        raise FormatError(CUT)
    return Header("JPEG", **frame, tag=tag)


def read_jp2(data: bytes) -> Header:
    """Box by box to the codestream, and there from tile to tile to its end."""
    at = 0
    if not data.startswith(b"\xff\x4f"):
        for _ in range(MOST_PARTS):
            length, kind = struct.unpack_from(">I4s", data, at)
            head = 8
            if length == 1:
                (length,), head = struct.unpack_from(">Q", data, at + 8), 16
            if kind == b"jp2c":
                at += head
                break
            if length < head:
                raise FormatError(DAMAGED)
            at += length
        else:
            raise FormatError(DAMAGED)
    right, bottom, left, top = struct.unpack_from(">IIII", data, at + 8)
    samples, depth = struct.unpack_from(">HB", data, at + 40)
    at += 2
    for _ in range(MOST_PARTS):
        marker, length = struct.unpack_from(">HH", data, at)
        if marker == 0xFFD9:
            break
        if marker == 0xFF90:  # a tile
            (part,) = struct.unpack_from(">I", data, at + 6)
            if part == 0:  # the last one, to the end
                if data.rfind(b"\xff\xd9", at) < 0:
                    raise FormatError(CUT)
                break
            length = part - 2
        if marker < 0xFF00 or length < 2:
            raise FormatError(CUT)
        at += 2 + length
        if data[at : at + 2] == b"\xff\xd9":
            break
    else:
        raise FormatError(DAMAGED)
    bits = (depth & 0x7F) + 1
    if samples not in (1, 2, 3, 4) or depth & 0x80:
        raise FormatError(f"a JPEG 2000 picture of {samples} channels; save it as PNG or TIFF")
    return Header(
        "JPEG 2000", right - left, bottom - top, bits, alpha=samples in (2, 4),
        cost=8 * samples + 8,
    )  # fmt: skip
