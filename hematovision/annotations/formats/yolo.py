"""YOLO's text: one file a picture, one line a cell, classes by number (see `class_names`)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from hematovision.annotations.annotation import (
    Annotation,
    Corners,
    bounds,
    decode_text,
    list_points,
    number,
    read_bytes,
)
from hematovision.annotations.class_names import Names
from hematovision.program.console import UserError

SUFFIX = ".txt"


def is_yolo(lines: Sequence[str]) -> bool:
    """Whether a text's first line is a cell of YOLO's, not a class's or a picture's name."""
    words = lines[0].split() if lines else []
    return len(words) >= 5 and not any(math.isnan(number(word)) for word in words)


def read_yolo(path: Path, names: Names) -> Annotation:
    """One picture's labels: class, then centre, width and height as shares of the picture, or the
    points of a polygon. A class without a name stays a number.

    After a box may come its probability, a track's number, or keypoints, as `names` know. Raises
    UserError where a line is of another form.
    """
    text = decode_text(read_bytes(path, blank=True))  # empty: a picture without any cell
    found = Annotation(path, "", normalised=True)
    for row, line in enumerate(text.splitlines(), 1):
        parts = line.split()
        if not parts:
            continue
        numbers = [number(p) for p in parts[1:]]
        kind = number(parts[0])
        if len(numbers) < 4 or any(map(math.isnan, numbers)) or not kind.is_integer():
            raise UserError(
                f"{path}: line {row} is no YOLO label (class, x, y, width, height); mend it"
            )
        known = str(int(kind))
        found.add(names.of.get(known, known), corners_of(numbers, parts[-1], names.keypoints))
    return found


def corners_of(numbers: Sequence[float], last: str, keypoints: int) -> Corners | None:
    """The corners of one line's numbers, of which the `last` is as it is written there."""
    count = len(numbers)
    tracked = count == 6 and last.isdecimal()  # box, probability, and a track's whole number
    posed = count == 4 + keypoints or has_visibilities(numbers)
    if count < 6 or tracked or posed:
        x, y, w, h = numbers[:4]
        return x - w / 2, y - h / 2, x + w / 2, y + h / 2
    return bounds(list_points(numbers)) if count % 2 == 0 else None


def has_visibilities(numbers: Sequence[float]) -> bool:
    """Whether a box is followed by keypoints, each x, y and whether it is seen: 0, 1 or 2."""
    seen = numbers[6::3]
    return len(numbers) % 3 == 1 and len(seen) > 0 and all(v in (0, 1, 2) for v in seen)


def format_yolo(noted: Annotation, labels: Sequence[str]) -> str:
    """The text of one field: class, then centre, width and height as shares of the picture."""
    lines = []
    w, h = noted.size or (1, 1)
    for label, (x0, y0, x1, y1) in noted.boxes:
        place = (x0 + x1) / 2 / w, (y0 + y1) / 2 / h, (x1 - x0) / w, (y1 - y0) / h
        lines.append(" ".join([str(labels.index(label)), *(f"{v:.6f}" for v in place)]) + "\n")
    return "".join(lines)
