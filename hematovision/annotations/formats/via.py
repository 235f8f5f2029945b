"""The VGG Image Annotator's (VIA): JSON of all pictures, or a table, one line a region."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from hematovision.annotations.annotation import DOT, Annotation, Corners, bounds, number
from hematovision.annotations.document import Table
from hematovision.annotations.label_choice import choose_label_key


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
    entries = list_entries(content)
    drawn = [list_regions(entry) for entry in entries]
    key = choose_label_key(path, list_values(region for of in drawn for region in of))
    for entry, regions in zip(entries, drawn, strict=True):
        found = Annotation(path, str(entry.get("filename") or ""))
        for region in regions:
            add_region(found, region, key)
        yield found


class Region(NamedTuple):
    """A shape, and its attributes by name as text."""

    shape: dict[str, Any]
    attributes: dict[str, str]


def list_regions(entry: dict[str, Any]) -> list[Region]:
    """The regions of a picture."""
    regions = entry["regions"]
    return [
        open_region(region.get("shape_attributes") or {}, region.get("region_attributes") or {})
        for region in (regions.values() if isinstance(regions, dict) else regions)
    ]


def open_region(shape: dict[str, Any], attributes: dict[str, Any]) -> Region:
    """Of a set of boxes ticked, the one that is."""
    told = {}
    for key, value in attributes.items():
        if isinstance(value, dict):
            value = next((k for k, ticked in value.items() if ticked), "")
        told[str(key)] = "" if value is None else str(value)
    return Region(shape, told)


def list_values(regions: Iterable[Region]) -> dict[str, set[str]]:
    """The values of each attribute."""
    values: dict[str, set[str]] = {}
    for region in regions:
        for key, value in region.attributes.items():
            values.setdefault(key, set()).add(value)
    return values


def add_region(found: Annotation, region: Region, key: str) -> None:
    """Take one region; `key`: the attribute that is its label."""
    if region.shape.get("name") == "point":
        found.left_out.append(DOT)
    else:
        found.add(region.attributes.get(key), corners_of(region.shape))


def is_via_table(table: Table) -> bool:
    return "region_shape_attributes" in table.header


def read_via_table(path: Path, table: Table) -> list[Annotation]:
    """The table: one line a region, its shape and attributes as JSON."""
    found: dict[str, Annotation] = {}
    drawn: list[tuple[Annotation, Region]] = []
    for row in table.rows[1:]:
        cells = dict(zip(table.header, row, strict=False))
        name = cells.get("filename", "").strip()
        target = found.setdefault(name, Annotation(path, name))
        try:
            shape = json.loads(cells.get("region_shape_attributes") or "{}")
            attributes = json.loads(cells.get("region_attributes") or "{}")
            if shape:
                drawn.append((target, open_region(shape, attributes)))
        except (ValueError, AttributeError, TypeError, RecursionError):
            target.add(None, None)
    key = choose_label_key(path, list_values(region for _, region in drawn))
    for target, region in drawn:
        add_region(target, region, key)
    return list(found.values())


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
