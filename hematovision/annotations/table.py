"""Tables (CSV): one line a box, its picture, label and corners in columns of their own."""

from __future__ import annotations

import math
from pathlib import Path
from typing import NamedTuple

from hematovision.annotations.annotation import Annotation, frame_of, number
from hematovision.annotations.document import Table

# Columns as Kaggle's sets, Roboflow and TensorFlow's object detection name them.
COLUMNS = {
    "picture": ("filename", "image", "image_name", "image_path", "file", "file_name", "path",
                "image_id", "img"),
    "label": ("class", "label", "cell_type", "class_name", "category", "name", "type"),
    "xmin": ("xmin", "x_min", "x1", "left"),
    "ymin": ("ymin", "y_min", "y1", "top"),
    "xmax": ("xmax", "x_max", "x2", "right"),
    "ymax": ("ymax", "y_max", "y2", "bottom"),
    "width": ("width", "image_width", "img_width"),
    "height": ("height", "image_height", "img_height"),
    "split": ("split", "subset", "set"),
}  # fmt: skip
NEEDED = ("picture", "label", "xmin", "ymin", "xmax", "ymax")
RETINANET = ("picture", "xmin", "ymin", "xmax", "ymax", "label")  # without names of columns
COUNTED = {"area_px", "counted"}  # what predict.py counted, not what anybody annotated


class Columns(NamedTuple):
    """Where each role's column stands, and the rows of boxes."""

    at: dict[str, int]
    rows: list[list[str]]


def find_columns(table: Table) -> Columns | None:
    """The columns of a table of boxes; None where it is of another kind.

    A table without names of columns is taken as RetinaNet's: path, x1, y1, x2, y2, class.
    """
    if set(table.header) >= COUNTED:
        return None
    at = {
        role: next(table.header.index(n) for n in ways if n in table.header)
        for role, ways in COLUMNS.items()
        if any(n in table.header for n in ways)
    }
    if all(role in at for role in NEEDED):
        return Columns(at, table.rows[1:])
    if len(table.header) == 6 and not any(math.isnan(number(c)) for c in table.header[1:5]):
        return Columns({role: i for i, role in enumerate(RETINANET)}, table.rows)
    return None


def is_table(table: Table) -> bool:
    return find_columns(table) is not None


def read_table(path: Path, table: Table) -> list[Annotation]:
    """The annotations of all pictures."""
    columns = find_columns(table) or Columns({}, [])
    found: dict[str, Annotation] = {}

    def cell(row: list[str], role: str) -> str:
        at = columns.at.get(role)
        return row[at] if at is not None and at < len(row) else ""

    for row in columns.rows:
        name = cell(row, "picture").strip()
        if name not in found:
            frame = frame_of(cell(row, "width"), cell(row, "height"))
            found[name] = Annotation(path, name, frame, split=cell(row, "split").strip())
        corners = [number(cell(row, role)) for role in ("xmin", "ymin", "xmax", "ymax")]
        found[name].add(cell(row, "label"), corners)
    return list(found.values())
