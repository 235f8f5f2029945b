"""What is known of a picture before it is decoded, and how a file that was cut short shows."""

from __future__ import annotations

from typing import NamedTuple

CUT = "the image is cut short; copy the file again"
DAMAGED = "the image is damaged; copy the file again"
MOST_PARTS = 500_000  # of a file: hostile ones would take hours


class FormatError(ValueError):
    """Why a file is not a picture that can be read, and what to do: an error line's second half."""


class Header(NamedTuple):
    """What is known of a picture before it is decoded."""

    kind: str
    width: int  # as stored, before its orientation is obeyed
    height: int
    bits: int = 8  # of a sample
    alpha: bool = False
    premultiplied: bool = False  # colours were already multiplied by alpha
    pages: int = 1  # of a TIFF; frames of an animation
    orientation: int = 1  # EXIF's: 1 to 8
    orientation_at: int = 0  # where in the file that number stands, 0: nowhere
    big_endian: bool = False  # how it is written there
    cost: float = 3  # bytes that a pixel takes while it is decoded, at most
    chunk: tuple[int, int] = 0, 0  # of a PNG: what the checksum after it is of


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
