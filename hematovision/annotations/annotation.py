"""The annotation: what one file says of one picture, as every format's room reads and writes it.

What the formats share is here too: how text is decoded, and what is a number.
"""

from __future__ import annotations

import codecs
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from hematovision.cells.labels import LONGEST_LABEL, clean_label
from hematovision.program.console import UserError
from hematovision.program.files import read_file

# What Python decodes too, and no file is written in.
NO_CHARSETS = {"idna", "punycode", "raw-unicode-escape", "undefined", "unicode-escape"}
MOST_BOXES = 20_000  # of one field
LARGEST = 1e9  # pixels, shares, degrees: beyond that a number is a slip or an attack
UNREADABLE = "box without a label or with unreadable corners"
DOT = "dot, not a box: draw a box around each cell"

Corners = Sequence[float]  # xmin, ymin, xmax, ymax, in any order before `Annotation.add`
Point = tuple[float, float]


class Box(NamedTuple):
    """A labelled box as annotated: corners in pixels of the frame it was drawn in, in order."""

    label: str
    corners: tuple[float, float, float, float]


@dataclass
class Annotation:
    """What one file says of one picture."""

    path: Path  # the annotation file
    picture: str  # the picture's name or path as the file gives it; "" where it doesn't
    size: tuple[int, int] | None = None  # width and height of the frame the boxes were drawn in
    boxes: list[Box] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)  # a reason for each box that isn't there
    notices: list[str] = field(default_factory=list)  # what was settled where it wasn't plain
    normalised: bool = False  # corners are shares of width and height
    split: str = ""  # as CVAT's subset or a CSV's column names it
    verified: bool = False  # somebody has gone through the picture, labelImg's mark says

    def add(self, label: str | None, corners: Corners | None) -> None:
        """Take one box with its corners in any order; where it can't be used, the reason."""
        name = clean_label(label or "")
        if not name or corners is None or not all(map(math.isfinite, corners)):
            self.left_out.append(UNREADABLE)
        elif len(name) > LONGEST_LABEL:
            self.left_out.append(f"box with a label of over {LONGEST_LABEL} characters")
        elif len(self.boxes) >= MOST_BOXES:
            raise UserError(f"{self.path}: over {MOST_BOXES} boxes in one picture; split it up")
        else:
            x0, y0, x1, y1 = corners
            self.boxes.append(Box(name, (min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1))))


# --- numbers --------------------------------------------------------------------------------------


def number(text: object) -> float:
    """A number as tools write it, "12,5" too; NaN where there is none, or none within LARGEST.

    Every reader takes its numbers from here, so that none meets an infinity or 5,000 digits.
    """
    try:
        value = float(text.strip().replace(",", ".") if isinstance(text, str) else text)  # type: ignore[arg-type]  # what isn't a number raises
    except (TypeError, ValueError, OverflowError):
        return math.nan
    return value if abs(value) <= LARGEST else math.nan


def frame_of(width: object, height: object) -> tuple[int, int] | None:
    """Width and height of a frame in pixels; None where they aren't stated, or can't be."""
    w, h = number(width), number(height)
    return (round(w), round(h)) if w >= 1 and h >= 1 else None


def bounds(points: Sequence[Point]) -> Corners | None:
    """The upright box around points; None where there are none."""
    if not points:
        return None
    x, y = zip(*points, strict=True)
    if not all(map(math.isfinite, (*x, *y))):
        return None
    return min(x), min(y), max(x), max(y)


def turned_bounds(centre: Point, half: Point, turn: float, ellipse: bool = False) -> Corners:
    """The upright box around a rectangle or an ellipse of half axes `half`, turned by radians."""
    (x, y), (across, down) = centre, half
    cos, sin = abs(math.cos(turn)), abs(math.sin(turn))
    add = math.hypot if ellipse else lambda a, b: a + b
    wide, high = add(across * cos, down * sin), add(across * sin, down * cos)
    return x - wide, y - high, x + wide, y + high


def list_points(numbers: Sequence[float]) -> list[Point]:
    """Points from x, y, x, y, ..."""
    return list(zip(numbers[::2], numbers[1::2], strict=False))


# --- text -----------------------------------------------------------------------------------------


def read_bytes(path: Path, blank: bool = False) -> bytes:
    """The bytes of an annotation file; `blank`: it may be empty. UserError as `read_file`."""
    data = read_file(path, "annotation")
    if not (blank or data.strip()):
        raise UserError(f"{path}: the file is empty; mend or remove it")
    return data


def decode_text(data: bytes) -> str:
    """Text of any encoding, declared or not.

    A mark or the zeros of UTF-16 first, then what the file declares, UTF-8, GB 18030 where all its
    bytes beyond ASCII come in GB 2312's pairs, and cp1252.
    """
    for mark, name in ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF32_LE, "utf-32"),
                       (codecs.BOM_UTF32_BE, "utf-32"), (codecs.BOM_UTF16_LE, "utf-16"),
                       (codecs.BOM_UTF16_BE, "utf-16")):  # fmt: skip
        if data.startswith(mark):
            return data.decode(name, "replace")
    head = data[:200]
    if head.count(0) * 3 > len(head):
        even, odd = head[::2].count(0), head[1::2].count(0)
        return data.decode("utf-16-be" if even > odd else "utf-16-le", "replace")
    declared = re.search(rb"""<\?xml[^>]*encoding\s*=\s*["']([\w.:-]+)""", head)
    names = [declared[1].decode("ascii")] if declared else []
    if names and names[0].lower().replace("_", "-").startswith(("utf-16", "ucs-2", "utf-32")):
        names = []  # it isn't, or its zeros would show
    names += ["utf-8"]
    if all(len(run) % 2 == 0 for run in re.findall(rb"[\xa1-\xfe]+|[\x80-\xa0\xff]", data)):
        names += ["gb18030"]
    for name in (*names, "cp1252"):
        try:
            if codecs.lookup(name).name not in NO_CHARSETS:
                return data.decode(name)
        except (UnicodeError, LookupError):
            continue
    return data.decode("latin-1")
