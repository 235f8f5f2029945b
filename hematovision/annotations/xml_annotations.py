"""XML annotations: Pascal VOC and its many relatives, and CVAT's one file for all pictures.

No external entity is ever fetched and none is expanded: a document with a DTD is refused (the
"billion laughs" are 1 KB that unpack to gigabytes; see the table in the documentation of Python's
xml package).
"""

from __future__ import annotations

import math
import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path

from hematovision.annotations.annotation import (
    Annotation,
    bounds,
    decode_text,
    number,
    pair_up,
    read_bytes,
)
from hematovision.program.console import UserError

CORNERS = ("xmin", "ymin", "xmax", "ymax")
BARE = re.compile(r"&(?!(?:amp|lt|gt|quot|apos|#\d{1,7}|#x[0-9a-fA-F]{1,6});)")
# What XML 1.0 forbids altogether.
FORBIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff\ud800-\udfff]")


def read_xml(path: Path) -> list[Annotation]:
    """The annotations in an XML file: one of Pascal VOC's, all of CVAT's.

    Raises UserError where it is no XML, holds a DTD, or is of another kind.
    """
    root = parse_xml(path, read_bytes(path))
    kind = local(root)
    if kind == "annotations":
        return list(read_cvat(path, root))
    if kind == "annotation" or any(local(item) == "object" for item in root):
        return [read_voc(path, root)]
    raise UserError(
        f"{path}: XML of another kind (<{kind[:40]}>); export as Pascal VOC, COCO, YOLO or CVAT"
    )


def parse_xml(path: Path, data: bytes) -> ET.Element:
    """The root element of a document that need not be flawless; UserError where it can't be had."""
    try:
        if b"<!" not in data and b"\0" not in data:
            return ET.fromstring(data)
    except (ET.ParseError, ValueError, LookupError):
        pass  # what follows mends what can be mended
    text = FORBIDDEN.sub("", decode_text(data)).strip()
    text = re.sub(r"^<\?xml[^>]*\?>", "", text).lstrip()
    if re.search(r"<!ENTITY|<!DOCTYPE[^>\[]*\[", text, re.IGNORECASE):
        raise UserError(f"{path}: it defines entities of its own (a DTD); remove them")
    text = re.sub(r"<!DOCTYPE[^>]*>", "", text, count=1, flags=re.IGNORECASE)
    text = BARE.sub("&amp;", text)
    try:
        return ET.fromstring(text)
    except ET.ParseError as error:
        first = error
    try:  # a prefix of a namespace that is never declared
        return ET.fromstring(re.sub(r"(</?|\s)[\w.-]+:(?=[\w.-]+[\s=/>])", r"\1", text))
    except (ET.ParseError, ValueError):
        raise UserError(f"{path}: not Pascal VOC XML ({first}); mend or remove it") from None


def local(item: ET.Element) -> str:
    """An element's name without its namespace, in small letters."""
    return item.tag.rpartition("}")[2].casefold() if isinstance(item.tag, str) else ""


def child(item: ET.Element | None, *names: str) -> ET.Element | None:
    """The first of an element's children that has one of the names."""
    return next((k for k in item if local(k) in names), None) if item is not None else None


def text_of(item: ET.Element | None, *names: str) -> str:
    found = child(item, *names)
    return (found.text or "").strip() if found is not None else ""


def read_voc(path: Path, root: ET.Element) -> Annotation:
    """One picture's annotation in Pascal VOC, as labelImg, roLabelImg or LabelMe write it."""
    size = child(root, "size", "imagesize")
    width, height = (number(text_of(size, *k)) for k in (("width", "ncols"), ("height", "nrows")))
    frame = (round(width), round(height)) if width >= 1 and height >= 1 else None
    if frame and max(frame) > 1e9:
        frame = None
    found = Annotation(path, text_of(root, "filename"), frame)
    for item in root.iter():
        if local(item) == "object" and text_of(item, "deleted") != "1":
            found.add(text_of(item, "name"), corners_of(item))
    return found


def corners_of(item: ET.Element) -> tuple[float, ...] | None:
    """xmin, ymin, xmax, ymax of an object: its box, else the bounds of what it is drawn by."""
    box = child(item, "bndbox", "bbox")
    if box is not None:
        numbers = {local(k): number(k.text) for k in box}
        return tuple(numbers.get(k, math.nan) for k in CORNERS)
    turned = child(item, "robndbox")
    if turned is not None:
        x, y, w, h, angle = (
            number(text_of(turned, k) or ("0" if k == "angle" else None))
            for k in ("cx", "cy", "w", "h", "angle")
        )
        if not all(map(math.isfinite, (x, y, w, h, angle))):
            return None
        cos, sin = abs(math.cos(angle)), abs(math.sin(angle))
        across, down = (w * cos + h * sin) / 2, (w * sin + h * cos) / 2
        return x - across, y - down, x + across, y + down
    drawn = child(item, "polygon", "segm", "points", "segmentation")
    if drawn is not None:
        return bounds(points_of(drawn))
    parts = [corners_of(k) for k in item if local(k) in ("part", "parts")]
    return bounds([p for c in parts if c for p in pair_up(c)])


def points_of(item: ET.Element) -> list[tuple[float, float]]:
    """A polygon's points: <pt><x/><y/></pt>, Roboflow's <x1/><y1/><x2/>..., or "x,y;x,y"."""
    points = []
    flat: dict[str, float] = {}
    for k in item.iter():
        x, y = child(k, "x"), child(k, "y")
        if x is not None and y is not None:
            points.append((number(x.text), number(y.text)))
        elif re.fullmatch(r"[xy]\d+", local(k)):
            flat[local(k)] = number(k.text)
    points += [
        (x, flat["y" + k[1:]]) for k, x in flat.items() if "y" + k[1:] in flat and k[0] == "x"
    ]
    return points or parse_points(item.text or "")


def parse_points(text: str) -> list[tuple[float, float]]:
    """Points from CVAT's "x,y;x,y"."""
    pairs = (p.split(",") for p in text.strip().split(";") if p.strip())
    return [(number(p[0]), number(p[1])) for p in pairs if len(p) == 2]


def read_cvat(path: Path, root: ET.Element) -> Iterator[Annotation]:
    """All pictures of "CVAT for images"; UserError for its video format, which has no pictures."""
    images = [item for item in root.iter() if local(item) == "image"]
    if not images:
        if any(local(item) == "track" for item in root.iter()):
            raise UserError(f'{path}: CVAT\'s format for video; export as "CVAT for images"')
        raise UserError(f"{path}: CVAT's XML without a picture; export the task again")
    for image in images:
        width, height = number(image.get("width")), number(image.get("height"))
        frame = (round(width), round(height)) if 1 <= width <= 1e9 and 1 <= height <= 1e9 else None
        found = Annotation(path, image.get("name", ""), frame, split=image.get("subset", ""))
        for item in image:
            kind = local(item)
            if kind not in ("tag", "skeleton", ""):
                found.add(item.get("label"), cvat_corners(item, kind))
        yield found


def cvat_corners(item: ET.Element, kind: str) -> tuple[float, ...] | None:
    """Bounds of one of CVAT's shapes, turned ones too; None where it isn't known."""

    def values(*names: str) -> list[float]:
        return [number(item.get(k)) for k in names]

    turn = number(item.get("rotation", "0"))
    if kind == "box":
        x0, y0, x1, y1 = values("xtl", "ytl", "xbr", "ybr")
        if not turn:
            return x0, y0, x1, y1
        cos, sin = abs(math.cos(math.radians(turn))), abs(math.sin(math.radians(turn)))
        across, down = abs(x1 - x0) / 2, abs(y1 - y0) / 2
    elif kind == "ellipse":
        cx, cy, across, down = values("cx", "cy", "rx", "ry")
        cos, sin = abs(math.cos(math.radians(turn))), abs(math.sin(math.radians(turn)))
        wide, high = math.hypot(across * cos, down * sin), math.hypot(across * sin, down * cos)
        return cx - wide, cy - high, cx + wide, cy + high
    elif kind == "mask":
        x0, y0, w, h = values("left", "top", "width", "height")
        return x0, y0, x0 + w, y0 + h
    else:
        return bounds(parse_points(item.get("points", "")))
    x, y = (x0 + x1) / 2, (y0 + y1) / 2
    wide, high = across * cos + down * sin, across * sin + down * cos
    return x - wide, y - high, x + wide, y + high
