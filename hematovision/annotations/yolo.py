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


def read_yolo(path: Path, names: Names) -> Annotation:
    """One picture's labels: class, then centre, width and height as shares of the picture, or the
    points of a polygon. A class without a name stays a number.

    Raises UserError where a line is of another form.
    """
    text = decode_text(read_bytes(path, blank=True))  # empty: a picture without any cell
    found = Annotation(path, "", normalised=True)
    for row, line in enumerate(text.splitlines(), 1):
        parts = line.split()
        if not parts:
            continue
        numbers = [number(p) for p in parts[1:]]
        kind = number(parts[0].strip())
        if len(numbers) < 4 or any(map(math.isnan, numbers[:4])) or not kind.is_integer():
            raise UserError(
                f"{path}: line {row} is no YOLO label (class, x, y, width, height); mend it"
            )
        if len(numbers) < 6:  # four, or a probability too
            x, y, w, h = numbers[:4]
            corners: Corners | None = (x - w / 2, y - h / 2, x + w / 2, y + h / 2)
        else:
            corners = bounds(list_points(numbers))
        known = str(int(kind))
        found.add(names.get(known, known), corners)
    return found


def format_yolo(noted: Annotation, labels: Sequence[str]) -> str:
    """The text of one field: class, then centre, width and height as shares of the picture."""
    lines = []
    w, h = noted.size or (1, 1)
    for label, (x0, y0, x1, y1) in noted.boxes:
        place = (x0 + x1) / 2 / w, (y0 + y1) / 2 / h, (x1 - x0) / w, (y1 - y0) / h
        lines.append(" ".join([str(labels.index(label)), *(f"{v:.6f}" for v in place)]) + "\n")
    return "".join(lines)
