"""The VGG Image Annotator's (VIA): JSON of all pictures, or a table, one line a region."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hematovision.annotations.annotation import Annotation, Corners, bounds, number
from hematovision.annotations.document import Table


def list_entries(content: Any) -> list[Any]:
    """The pictures of a project or of an export of its annotations."""
    if not isinstance(content, dict):
        return []
    via = content.get("_via_img_metadata", content)
    return list(via.values()) if isinstance(via, dict) else list(via or ())


def is_via(content: Any) -> bool:
    entries = list_entries(content)
    return bool(entries) and all(isinstance(e, dict) and "regions" in e for e in entries)


def read_via(path: Path, content: dict[str, Any]) -> Iterator[Annotation]:
    """All pictures of a file."""
    for entry in list_entries(content):
        found = Annotation(path, str(entry.get("filename") or ""))
        regions = entry["regions"]
        for region in regions.values() if isinstance(regions, dict) else regions:
            shape = region.get("shape_attributes") or {}
            found.add(label_of(region.get("region_attributes") or {}), corners_of(shape))
        yield found


def is_via_table(table: Table) -> bool:
    return "region_shape_attributes" in table.header


def read_via_table(path: Path, table: Table) -> list[Annotation]:
    """The table: one line a region, its shape and attributes as JSON."""
    found: dict[str, Annotation] = {}
    for row in table.rows[1:]:
        cells = dict(zip(table.header, row, strict=False))
        name = cells.get("filename", "").strip()
        target = found.setdefault(name, Annotation(path, name))
        try:
            shape = json.loads(cells.get("region_shape_attributes") or "{}")
            label = json.loads(cells.get("region_attributes") or "{}")
            if shape:
                target.add(label_of(label), corners_of(shape))
        except (ValueError, AttributeError, TypeError, RecursionError):
            target.add(None, None)
    return list(found.values())


def label_of(attributes: dict[str, Any]) -> str:
    """The first attribute's value; of a set of boxes ticked, the one that is."""
    value = next((v for v in attributes.values() if v), "")
    if isinstance(value, dict):
        value = next((k for k, ticked in value.items() if ticked), "")
    return str(value)


def corners_of(shape: dict[str, Any]) -> Corners | None:
    """The bounds of a region; None where its shape isn't known."""

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
        xs, ys = (map(number, shape.get(k) or []) for k in ("all_points_x", "all_points_y"))
        return bounds(list(zip(xs, ys, strict=False)))
    return None
