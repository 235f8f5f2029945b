"""Tables (CSV): one line a box, its picture, label and corners in columns of their own."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from hematovision.annotations.annotation import Annotation, Corners, frame_of, number
from hematovision.annotations.document import Table
from hematovision.annotations.label_choice import LABEL_KEYS, choose_label_key

# Columns as Kaggle's sets, Roboflow, TensorFlow's object detection and OpenImages name them.
COLUMNS = {
    "picture": ("filename", "image", "image_name", "image_names", "image_path", "image_file",
                "file", "file_name", "path", "image_id", "imageid", "img", "frame"),
    "xmin": ("xmin", "x_min", "x1", "left", "bbox_xmin"),
    "ymin": ("ymin", "y_min", "y1", "top", "bbox_ymin"),
    "xmax": ("xmax", "x_max", "x2", "right", "bbox_xmax"),
    "ymax": ("ymax", "y_max", "y2", "bottom", "bbox_ymax"),
    "x": ("bbox_x",),
    "y": ("bbox_y",),
    "w": ("bbox_width", "bbox_w"),
    "h": ("bbox_height", "bbox_h"),
    "box": ("bbox", "box", "bounding_box"),
    "width": ("image_width", "img_width", "width"),
    "height": ("image_height", "img_height", "height"),
    "split": ("split", "subset", "set"),
}  # fmt: skip
CORNERS = ("xmin", "ymin", "xmax", "ymax")
RETINANET = ("picture", *CORNERS, "label")  # without names of columns
COUNTED = {"area_px", "counted"}  # what predict.py counted, not what anybody annotated
WANTED = "filename, class, xmin, ymin, xmax and ymax"


class Columns(NamedTuple):
    """Where each role's column stands, and the rows of boxes."""

    at: dict[str, int]
    labels: dict[str, int]  # the columns that may hold the label, by name
    rows: list[list[str]]

    def cell(self, row: list[str], role: str) -> str:
        """A role's text in a row; "" where there is none."""
        at = self.at.get(role)
        return row[at].strip() if at is not None and at < len(row) else ""


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
    labels = {n: table.header.index(n) for n in LABEL_KEYS if n in table.header}
    if "picture" in at and labels and choose_corners(at):
        return Columns(at, labels, table.rows[1:])
    if len(table.header) == 6 and any(is_retinanet(row) for row in table.rows[:100]):
        at = {role: i for i, role in enumerate(RETINANET)}
        named = not is_retinanet(table.rows[0]) and any(table.rows[0][1:])
        return Columns(at, {"label": at["label"]}, table.rows[named:])
    return None


def is_retinanet(row: list[str]) -> bool:
    return len(row) == 6 and not any(math.isnan(number(cell)) for cell in row[1:5])


def choose_corners(at: dict[str, int]) -> Callable[[Columns, list[str]], Corners] | None:
    """How corners are read: each in its column, by a corner and sides, or as a list in one."""
    if all(role in at for role in CORNERS):
        return lambda columns, row: [number(columns.cell(row, role)) for role in CORNERS]
    if "box" in at:
        return lambda columns, row: read_sides(columns.cell(row, "box"))
    if all(role in at for role in "xywh"):
        return lambda columns, row: add_sides([number(columns.cell(row, k)) for k in "xywh"])
    return None


def read_sides(text: str) -> Corners:
    """Corners of Kaggle's "[x, y, width, height]"; NaN where it is something else."""
    try:
        numbers = json.loads(text)
    except (ValueError, RecursionError):
        numbers = None
    if not isinstance(numbers, list) or len(numbers) != 4:
        return [math.nan] * 4
    return add_sides([number(v) for v in numbers])


def add_sides(sides: Corners) -> Corners:
    x, y, w, h = sides
    return x, y, x + w, y + h


def is_table(table: Table) -> bool:
    return find_columns(table) is not None


def read_table(path: Path, table: Table) -> list[Annotation]:
    """The annotations of all pictures; UserError where it isn't plain which column is the label.

    A row with its picture alone is a picture without a cell.
    """
    columns = find_columns(table) or Columns({}, {}, [])
    corners_of = choose_corners(columns.at)
    values = {
        name: {row[i].strip() for row in columns.rows if i < len(row)}
        for name, i in columns.labels.items()
    }
    key = choose_label_key(path, values)
    at = columns.labels.get(key)
    found: dict[str, Annotation] = {}
    for row in columns.rows:
        name = columns.cell(row, "picture")
        if name not in found:
            frame = frame_of(columns.cell(row, "width"), columns.cell(row, "height"))
            found[name] = Annotation(path, name, frame, split=columns.cell(row, "split"))
        rest = (cell for i, cell in enumerate(row) if i != columns.at["picture"])
        if corners_of and any(cell.strip() for cell in rest):
            label = row[at] if at is not None and at < len(row) else ""
            found[name].add(label, corners_of(columns, row))
    return list(found.values())
