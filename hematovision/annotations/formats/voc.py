"""Pascal VOC's XML and its many relatives: one file a picture."""

from __future__ import annotations

import math
import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path

from hematovision.annotations.annotation import (
    Annotation,
    Corners,
    Point,
    bounds,
    frame_of,
    list_points,
    number,
    turned_bounds,
)
from hematovision.annotations.document import child, local, text_of
from hematovision.program.surroundings import printable

CORNERS = ("xmin", "ymin", "xmax", "ymax")
COORDINATE = re.compile(r"[xy]\d+")


def is_voc(root: ET.Element) -> bool:
    return local(root) == "annotation" or any(local(item) == "object" for item in root)


def read_voc(path: Path, root: ET.Element) -> Iterator[Annotation]:
    """One picture's annotation, as labelImg, roLabelImg or LabelMe write it."""
    size = child(root, "size", "imagesize")
    frame = frame_of(text_of(size, "width", "ncols"), text_of(size, "height", "nrows"))
    verified = root.get("verified", "").casefold() in ("yes", "true", "1")
    found = Annotation(path, text_of(root, "filename"), frame, verified=verified)
    for item in root.iter():
        if local(item) == "object" and text_of(item, "deleted") != "1":
            found.add(text_of(item, "name"), corners_of(item))
    yield found


def corners_of(item: ET.Element) -> Corners | None:
    """xmin, ymin, xmax, ymax of an object: its box, else the bounds of what it is drawn by."""
    box = box_of(item)
    if box is not None:
        return box
    turned = child(item, "robndbox")
    if turned is not None:
        x, y, w, h = (number(text_of(turned, k)) for k in ("cx", "cy", "w", "h"))
        turn = number(text_of(turned, "angle") or 0)
        return turned_bounds((x, y), (w / 2, h / 2), turn) if math.isfinite(turn) else None
    drawn = child(item, "polygon", "segm", "points", "segmentation")
    if drawn is not None:
        return bounds(points_of(drawn))
    parts = [box_of(k) for k in item if local(k) in ("part", "parts")]
    return bounds([p for c in parts if c for p in list_points(c)])


def box_of(item: ET.Element) -> Corners | None:
    """The corners that an object or a part states; None where it states none."""
    box = child(item, "bndbox", "bbox")
    if box is None:
        return None
    numbers = {local(k): number(k.text) for k in box}
    return [numbers.get(k, math.nan) for k in CORNERS]


def points_of(item: ET.Element) -> list[Point]:
    """A polygon's points: <pt><x/><y/></pt>, Roboflow's <x1/><y1/><x2/>..., or "x,y;x,y"."""
    points = []
    flat: dict[str, float] = {}
    for k in item.iter():
        x, y = child(k, "x"), child(k, "y")
        if x is not None and y is not None:
            points.append((number(x.text), number(y.text)))
        elif COORDINATE.fullmatch(local(k)):
            flat[local(k)] = number(k.text)
    points += [
        (x, flat["y" + k[1:]]) for k, x in flat.items() if "y" + k[1:] in flat and k[0] == "x"
    ]
    return points or parse_points(item.text or "")


def parse_points(text: str) -> list[Point]:
    """Points from "x,y;x,y"."""
    pairs = (p.split(",") for p in text.strip().split(";") if p.strip())
    return [(number(p[0]), number(p[1])) for p in pairs if len(p) == 2]


def format_voc(noted: Annotation) -> bytes:
    """The XML of one field, as labelImg writes it."""
    root = ET.Element("annotation")

    def put(parent: ET.Element, name: str, text: object) -> None:
        ET.SubElement(parent, name).text = printable(str(text))

    put(root, "folder", "JPEGImages")
    put(root, "filename", noted.picture)
    size = ET.SubElement(root, "size")
    width, height = noted.size or (0, 0)
    for name, value in (("width", width), ("height", height), ("depth", 3)):
        put(size, name, value)
    for label, corners in noted.boxes:
        cell = ET.SubElement(root, "object")
        for name, text in (("name", label), ("pose", "Unspecified"), ("truncated", 0)):
            put(cell, name, text)
        put(cell, "difficult", 0)
        box = ET.SubElement(cell, "bndbox")
        for name, corner in zip(CORNERS, corners, strict=True):
            put(box, name, corner)
    ET.indent(root)
    return ET.tostring(root, "utf-8", xml_declaration=True) + b"\n"
