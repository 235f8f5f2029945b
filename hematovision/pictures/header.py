"""What is known of a picture before it is decoded, and how a file that was cut short shows."""

from __future__ import annotations

import struct
from typing import NamedTuple

CUT = "the image is cut short; copy the file again"
DAMAGED = "the image is damaged; copy the file again"
MOST_PARTS = 500_000  # of a file: hostile ones would take hours


class FormatError(ValueError):
    """Why a file is not a picture that can be read, and what to do: an error line's second half."""


class Planes(NamedTuple):
    """The grey planes of a TIFF that its decoder would get wrong as a whole."""

    directories: tuple[bytes, ...]  # of a TIFF each, see `write_plane`: grey; red, green, blue
    alpha: bool  # the last one is transparency
    white_is_zero: bool  # what is decoded is a negative


class OrientationTag(NamedTuple):
    """EXIF's orientation, 1 to 8, and how it is written in the file."""

    value: int = 1
    at: int = 0  # where in the file that number stands, 0: nowhere
    big_endian: bool = False
    chunk: tuple[int, int] = 0, 0  # of a PNG: what the checksum after it is of


class Header(NamedTuple):
    """What is known of a picture before it is decoded."""

    kind: str
    width: int  # as stored, before its orientation is obeyed
    height: int
    bits: int = 8  # of a sample
    alpha: bool = False
    premultiplied: bool = False  # colours were already multiplied by alpha
    tag: OrientationTag = OrientationTag()
    cost: float = 3  # bytes that a pixel takes while it is decoded, at most
    planes: Planes | None = None  # where they must be decoded one by one
    note: str = ""  # what of it isn't shown, or not as it is stored

    @property
    def orientation(self) -> int:
        """EXIF's: 1 to 8."""
        return self.tag.value


def find_orientation(data: bytes, start: int, end: int) -> OrientationTag:
    """The tag in EXIF, a TIFF without pixels from `start` to `end`; upright where it has none."""
    order = {b"II": "<", b"MM": ">"}.get(data[start : start + 2])
    if order is None:
        return OrientationTag()
    try:
        first = start + struct.unpack_from(order + "I", data, start + 4)[0]
        (count,) = struct.unpack_from(order + "H", data, first)
        for at in range(first + 2, min(first + 2 + 12 * count, end - 11), 12):
            tag, kind, _, value = struct.unpack_from(order + "HHIH", data, at)
            if tag == 274 and kind == 3 and 1 <= value <= 8:
                return OrientationTag(value, at + 8, order == ">")
    except struct.error:  # EXIF is a courtesy: damage there is no reason to refuse the picture
        pass
    return OrientationTag()


def is_filled_up(data: bytes, start: int, row: int, rows: int) -> bool:
    """Whether uncompressed pixels, `rows` of `row` bytes each, end in the zeros of a file that was
    cut short and filled up: from the middle of a row on, in which the row before goes on.

    A black bar begins with a row, and a black frame around a disc has the zeros in the row before.
    """
    end = start + row * rows
    if rows < 4 or any(memoryview(data)[end - 2 * row : end]):
        return False
    last = end - 2 * row
    while last > start and not any(memoryview(data)[max(start, last - row) : last]):
        last -= row
    filled = len(data[max(start, last - row) : last].rstrip(b"\0"))
    if last - 2 * row < start or not row // 50 < filled < row - row // 50:
        return False
    before = data[last - 2 * row + filled : last - row]
    return before.count(0) < 0.6 * len(before)
