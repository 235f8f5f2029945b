"""CVAT's XML: "CVAT for images", one file for all pictures."""

from __future__ import annotations

import math
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path

from hematovision.annotations.annotation import (
    DOT,
    Annotation,
    Corners,
    bounds,
    frame_of,
    number,
    turned_bounds,
)
from hematovision.annotations.document import local
from hematovision.annotations.formats.voc import parse_points
from hematovision.program.console import UserError


def is_cvat(root: ET.Element) -> bool:
    return local(root) == "annotations"


def read_cvat(path: Path, root: ET.Element) -> Iterator[Annotation]:
    """All pictures; UserError for its video format, which has none."""
    images = [item for item in root.iter() if local(item) == "image"]
    if not images:
        if any(local(item) == "track" for item in root.iter()):
            raise UserError(f'{path}: CVAT\'s format for video; export as "CVAT for images"')
        raise UserError(f"{path}: CVAT's XML without a picture; export the task again")
    for image in images:
        frame = frame_of(image.get("width"), image.get("height"))
        found = Annotation(path, image.get("name", ""), frame, split=image.get("subset", ""))
        for item in image:
            kind = local(item)
            if kind == "points":
                found.left_out.append(DOT)
            elif kind not in ("tag", "skeleton", ""):
                found.add(item.get("label"), corners_of(item, kind))
        yield found


def corners_of(item: ET.Element, kind: str) -> Corners | None:
    """Bounds of one of CVAT's shapes, turned ones too; None where it isn't known."""

    def values(*names: str) -> list[float]:
        return [number(item.get(k)) for k in names]

    turn = math.radians(number(item.get("rotation", "0")))
    if kind == "box":
        x0, y0, x1, y1 = values("xtl", "ytl", "xbr", "ybr")
        if not turn:
            return x0, y0, x1, y1
        middle, half = ((x0 + x1) / 2, (y0 + y1) / 2), (abs(x1 - x0) / 2, abs(y1 - y0) / 2)
        return turned_bounds(middle, half, turn)
    if kind == "ellipse":
        cx, cy, across, down = values("cx", "cy", "rx", "ry")
        return turned_bounds((cx, cy), (across, down), turn, ellipse=True)
    if kind == "mask":
        x0, y0, w, h = values("left", "top", "width", "height")
        return x0, y0, x0 + w, y0 + h
    return bounds(parse_points(item.get("points", "")))
