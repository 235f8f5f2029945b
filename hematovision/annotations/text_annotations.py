"""Annotations as plain text: YOLO's, one file a picture, and tables (CSV), one line a box."""

from __future__ import annotations

import csv
import io
import json
import math
import re
from collections.abc import Iterable
from pathlib import Path

from hematovision.annotations.annotation import (
    Annotation,
    bounds,
    decode_text,
    number,
    pair_up,
    read_bytes,
)
from hematovision.annotations.json_annotations import via_corners, via_label
from hematovision.cells.labels import clean_label
from hematovision.program.console import UserError

NAME_FILES = ("classes.txt", "obj.names", "class.names", "labels.txt", "_darknet.labels",
              "predefined_classes.txt", "_classes.txt")  # fmt: skip
# Columns of tables as Kaggle's sets, Roboflow and TensorFlow's object detection name them.
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


def read_names(path: Path) -> list[str] | dict[str, str]:
    """Class names from ``classes.txt`` and its like, one a line, or from the `names:` of a YAML.

    Of YAML only that key is read, by hand: it has a few forms only, and a whole parser would
    expand aliases of aliases.
    """
    text = decode_text(read_bytes(path))
    if path.suffix.lower() not in (".yaml", ".yml"):
        return [clean_label(line) for line in text.splitlines() if line.strip()]
    found = re.search(
        r"^names\s*:[ \t]*(.*(?:\n(?:[ \t]+|[ \t]*-|[ \t]*#|[ \t]*$).*)*)", text, re.M
    )
    body = re.sub(r"(^|\s)#.*", "", found[1]) if found else ""
    flow = body.strip()
    items: Iterable[str]
    if flow[:1] in ("[", "{"):
        items = re.findall(r"""(?:[^,\[\]{}"']|"[^"]*"|'[^']*')+""", flow)
    else:
        items = (re.sub(r"^\s*-\s+", "", line) for line in body.splitlines())
    pairs = [
        re.fullmatch(
            r"""(?:["']?(\d+)["']?\s*:\s+|["']?(\d+)["']?\s*:(?=["']))?(.*)""", item.strip()
        )
        for item in items
        if item.strip()
    ]
    names = [(p[1] or p[2], clean_label(p[3].strip("\"' \t"))) for p in pairs if p]
    if names and all(key for key, _ in names):
        return {str(int(key)): name for key, name in names}
    return [name for _, name in names]


def read_yolo(path: Path, names: list[str] | dict[str, str]) -> Annotation:
    """One picture's YOLO labels: class, then centre, width and height as shares of the picture, or
    the points of a polygon. A class without a name stays a number.

    Raises UserError where a line is of another form.
    """
    text = decode_text(read_bytes(path, blank=True))  # empty: a picture without any cell
    known = dict(names) if isinstance(names, dict) else {str(i): n for i, n in enumerate(names)}
    found = Annotation(path, "", normalised=True)
    for row, line in enumerate(text.splitlines(), 1):
        parts = line.split()
        if not parts:
            continue
        numbers = [number(p) for p in parts[1:]]
        kind = parts[0].removesuffix(".0") if parts[0].endswith(".0") else parts[0]
        if len(numbers) < 4 or any(map(math.isnan, numbers[:4])) or not kind.isdecimal():
            raise UserError(
                f"{path}: line {row} is no YOLO label (class, x, y, width, height); mend it"
            )
        if len(numbers) < 6:  # four, or a probability too
            x, y, w, h = numbers[:4]
            corners = x - w / 2, y - h / 2, x + w / 2, y + h / 2
        else:
            corners = bounds(pair_up(numbers))
        found.add(known.get(str(int(kind)), kind), corners)
    return found


def read_csv(path: Path) -> list[Annotation]:
    """The annotations in a table, one line a box: VIA's, or with corners in columns of their own.

    A table without names of columns is taken as RetinaNet's: path, x1, y1, x2, y2, class. Other
    tables hold no annotation: an empty list.
    """
    text = decode_text(read_bytes(path))
    head = text.split("\n", 1)[0]
    delimiter = max(",;\t", key=head.count)
    csv.field_size_limit(1 << 20)
    try:
        rows = list(csv.reader(io.StringIO(text), delimiter=delimiter))
    except csv.Error as error:
        raise UserError(f"{path}: not a table ({error}); mend or remove it") from None
    rows = [row for row in rows if any(cell.strip() for cell in row)]
    if not rows:
        return []
    header = [re.sub(r"[\s-]+", "_", cell.strip().lstrip("#").casefold()) for cell in rows[0]]
    if {"area_px", "counted"} <= {*header}:  # what predict.py counted, not what anybody annotated
        return []
    if "region_shape_attributes" in header:
        return read_via_table(path, header, rows[1:])
    column = {
        role: next((header.index(n) for n in ways if n in header), None)
        for role, ways in COLUMNS.items()
    }
    needed = ("picture", "label", "xmin", "ymin", "xmax", "ymax")
    if any(column[role] is None for role in needed):
        if len(header) != 6 or any(math.isnan(number(c)) for c in rows[0][1:5]):
            return []
        column = {**dict.fromkeys(COLUMNS), "picture": 0, "xmin": 1, "ymin": 2, "xmax": 3,
                  "ymax": 4, "label": 5}  # fmt: skip
        rows = [header, *rows]
    found: dict[str, Annotation] = {}

    def cell(row: list[str], role: str) -> str:
        at = column[role]
        return row[at] if at is not None and at < len(row) else ""

    for row in rows[1:]:
        name = cell(row, "picture").strip()
        if name not in found:
            w, h = number(cell(row, "width")), number(cell(row, "height"))
            frame = (round(w), round(h)) if 1 <= w <= 1e9 and 1 <= h <= 1e9 else None
            found[name] = Annotation(path, name, frame, split=cell(row, "split").strip())
        corners = [number(cell(row, role)) for role in ("xmin", "ymin", "xmax", "ymax")]
        found[name].add(cell(row, "label"), corners)
    return list(found.values())


def read_via_table(path: Path, header: list[str], rows: list[list[str]]) -> list[Annotation]:
    """The VGG Image Annotator's table: one line a region, its shape and attributes as JSON."""
    found: dict[str, Annotation] = {}
    for row in rows:
        cells = dict(zip(header, row, strict=False))
        name = cells.get("filename", "").strip()
        target = found.setdefault(name, Annotation(path, name))
        try:
            shape = json.loads(cells.get("region_shape_attributes") or "{}")
            label = json.loads(cells.get("region_attributes") or "{}")
            if shape:
                target.add(via_label(label), via_corners(shape))
        except (ValueError, AttributeError, TypeError, RecursionError):
            target.add(None, None)
    return list(found.values())
