"""JSON annotations: COCO's, LabelMe's and VGG's (VIA).

Read as plain JSON, since what tools write under COCO's name lacks areas, ids and categories that
pycocotools insists on; its masks are decoded by pycocotools.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hematovision.annotations.annotation import (
    Annotation,
    bounds,
    decode_text,
    number,
    pair_up,
    read_bytes,
)
from hematovision.program.console import UserError, first_line

Corners = tuple[float, ...] | None


def read_json(path: Path) -> list[Annotation]:
    """The annotations in a JSON file; none where it is something else, a package's settings say.

    Raises UserError where it is no JSON, or its parts aren't what its kind promises.
    """
    try:
        content = json.loads(decode_text(read_bytes(path)))
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}: not JSON ({first_line(error)}); mend or remove it") from None
    if not isinstance(content, dict):
        return []
    try:
        if isinstance(content.get("images"), list):
            return list(read_coco(path, content))
        if isinstance(content.get("shapes"), list):
            return [read_labelme(path, content)]
        via = content.get("_via_img_metadata", content)
        entries = list(via.values()) if isinstance(via, dict) else list(via)
        if entries and all(isinstance(e, dict) and "regions" in e for e in entries):
            return [read_via(path, e) for e in entries]
    except (AttributeError, TypeError, LookupError, ValueError) as error:
        raise UserError(
            f"{path}: its parts don't fit together ({first_line(error)}); export it again"
        ) from None
    return []


def frame_of(width: Any, height: Any) -> tuple[int, int] | None:
    w, h = number(width), number(height)
    return (round(w), round(h)) if 1 <= w <= 1e9 and 1 <= h <= 1e9 else None


def read_coco(path: Path, content: dict[str, Any]) -> Iterator[Annotation]:
    """All pictures of a COCO file (Lin et al., 2014). Boxes are x, y, width, height there."""
    names = {str(c.get("id")): str(c.get("name")) for c in content.get("categories") or []}
    found: dict[str, Annotation] = {}
    for image in content["images"]:
        name = str(image.get("file_name") or image.get("coco_url") or "")
        frame = frame_of(image.get("width"), image.get("height"))
        found[str(image.get("id"))] = Annotation(path, name, frame)
    for row in content.get("annotations") or []:
        target = found.get(str(row.get("image_id")))
        if target is None:
            continue
        if row.get("iscrowd") and not row.get("bbox"):
            target.left_out.append("box around a crowd of cells")
            continue
        kind = str(row.get("category_id"))
        target.add(names.get(kind, kind), coco_corners(row, target.size))
    yield from found.values()


def coco_corners(row: dict[str, Any], frame: tuple[int, int] | None) -> Corners:
    box = row.get("bbox")
    if isinstance(box, list) and len(box) == 4:
        x, y, w, h = map(number, box)
        return x, y, x + w, y + h
    drawn = row.get("segmentation")
    if isinstance(drawn, dict) and frame and max(frame) <= 1 << 16:
        from pycocotools import mask

        counts = drawn.get("counts")
        if isinstance(counts, list):
            drawn = mask.frPyObjects(drawn, frame[1], frame[0])
        x, y, w, h = mask.toBbox(drawn).tolist()
        return x, y, x + w, y + h
    if isinstance(drawn, list):
        return bounds([p for part in drawn for p in pair_up([number(v) for v in part])])
    return None


def read_labelme(path: Path, content: dict[str, Any]) -> Annotation:
    """One picture of LabelMe's: rectangles and polygons by two points or more, circles by two."""
    frame = frame_of(content.get("imageWidth"), content.get("imageHeight"))
    found = Annotation(path, str(content.get("imagePath") or ""), frame)
    for shape in content["shapes"]:
        points = [(number(p[0]), number(p[1])) for p in shape.get("points") or []]
        if shape.get("shape_type") == "circle" and len(points) == 2:
            (x, y), edge = points
            r = math.dist((x, y), edge)
            points = [(x - r, y - r), (x + r, y + r)]
        found.add(str(shape.get("label") or ""), bounds(points))
    return found


def read_via(path: Path, entry: dict[str, Any]) -> Annotation:
    """One picture of the VGG Image Annotator's."""
    found = Annotation(path, str(entry.get("filename") or ""))
    regions = entry["regions"]
    for region in regions.values() if isinstance(regions, dict) else regions:
        shape, label = region.get("shape_attributes") or {}, region.get("region_attributes") or {}
        found.add(via_label(label), via_corners(shape))
    return found


def via_label(attributes: dict[str, Any]) -> str:
    """The first attribute's value; of a set of boxes ticked, the one that is."""
    value = next((v for v in attributes.values() if v), "")
    if isinstance(value, dict):
        value = next((k for k, ticked in value.items() if ticked), "")
    return str(value)


def via_corners(shape: dict[str, Any]) -> Corners:
    def values(*names: str) -> list[float]:
        return [number(shape.get(k)) for k in names]

    kind = shape.get("name")
    if kind == "rect":
        x, y, w, h = values("x", "y", "width", "height")
        return x, y, x + w, y + h
    if kind in ("circle", "ellipse"):
        x, y = values("cx", "cy")
        across, down = values("r", "r") if kind == "circle" else values("rx", "ry")
        return x - across, y - down, x + across, y + down
    if kind in ("polygon", "polyline"):
        x, y = (map(number, shape.get(k) or []) for k in ("all_points_x", "all_points_y"))
        return bounds(list(zip(x, y, strict=False)))
    return None
