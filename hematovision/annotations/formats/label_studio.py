"""Label Studio's JSON, in full or "JSON-MIN": all pictures in a file, places in hundredths."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from hematovision.annotations.annotation import (
    DOT,
    Annotation,
    Corners,
    Point,
    bounds,
    frame_of,
    number,
    turned_bounds,
)

PICTURE_KEYS = ("image", "img", "picture", "photo")
TURNED = "box in a picture that was turned in Label Studio"
PAINTED = "cell painted with a brush in Label Studio, not boxed"
SEVERAL = "picture annotated by several in Label Studio: the latest counts"


class Region(NamedTuple):
    """What was drawn once, or said of something drawn."""

    value: dict[str, Any]
    size: tuple[int, int] | None  # of the picture
    turned: bool  # the whole picture was, while it was drawn


def is_label_studio(content: Any) -> bool:
    return (
        isinstance(content, list)
        and bool(content)
        and all(isinstance(task, dict) for task in content)
        and any(is_full(task) or is_least(task) for task in content)
    )


def is_full(task: dict[str, Any]) -> bool:
    """Whether a task is of the export in full: ``data`` and ``annotations`` with their results."""
    drawn = task.get("annotations")
    return isinstance(task.get("data"), dict) and isinstance(drawn, list)


def is_least(task: dict[str, Any]) -> bool:
    """Whether a task is of JSON-MIN: its regions stand beside the picture's name."""
    lists = [v for v in task.values() if isinstance(v, list)]
    return any(isinstance(r, dict) and "original_width" in r for of in lists for r in of)


def read_label_studio(path: Path, content: list[dict[str, Any]]) -> Iterator[Annotation]:
    """All pictures. Of what several people drew in one, the latest that wasn't cancelled counts."""
    for task in content:
        regions, several = list_regions(task)
        size = next((r.size for r in regions if r.size), None)
        found = Annotation(path, name_picture(task), size)
        if several:
            found.notices.append(SEVERAL)
        for region in regions:
            add_region(found, region)
        yield found


def name_picture(task: dict[str, Any]) -> str:
    """The picture of a task, under whatever name the project chose for it."""
    data = task.get("data", task)
    named = [data[k] for k in PICTURE_KEYS if isinstance(data.get(k), str)]
    return next(iter((*named, *(v for v in data.values() if isinstance(v, str) and "." in v))), "")


def list_regions(task: dict[str, Any]) -> tuple[list[Region], bool]:
    """The regions of a task, and whether several people drew in it.

    The shape of a region and its label may come apart, under one id.
    """
    if not is_full(task):
        lists = [v for v in task.values() if isinstance(v, list)]
        return [open_region(r, r) for of in lists for r in of if isinstance(r, dict)], False
    drawn = [a for a in task["annotations"] if not a.get("was_cancelled")]
    if not drawn:
        return [], False
    latest = max(drawn, key=lambda a: str(a.get("updated_at") or ""))
    merged: dict[str, Region] = {}
    for i, result in enumerate(latest.get("result") or []):
        key = str(result.get("id", i))
        region = open_region(result, result.get("value") or {})
        if key in merged:
            region = region._replace(value=merged[key].value | region.value)
        merged[key] = region
    return list(merged.values()), len(drawn) > 1


def open_region(result: dict[str, Any], value: dict[str, Any]) -> Region:
    size = frame_of(result.get("original_width"), result.get("original_height"))
    return Region(value, size, bool(result.get("image_rotation")))


def add_region(found: Annotation, region: Region) -> None:
    """Take one region; what says something of the whole picture is none."""
    value = region.value
    labels = [v for k, v in value.items() if k.endswith("labels") and isinstance(v, list) and v]
    label = str(labels[0][0]) if labels else ""
    drawn = {"points", "radiusX", "width", "rle", "x"} & value.keys()
    if not drawn:
        return
    if region.turned:
        found.left_out.append(TURNED)
    elif "rle" in drawn:
        found.left_out.append(PAINTED)
    elif "keypointlabels" in value or not drawn - {"x", "rle"}:
        found.left_out.append(DOT)
    else:
        found.add(label, corners_of(value, region.size))


def corners_of(value: dict[str, Any], size: tuple[int, int] | None) -> Corners | None:
    """The bounds of a shape in pixels; None where it has none, or the picture's size isn't said."""
    if size is None:
        return None
    unit = size[0] / 100, size[1] / 100
    if "points" in value:
        return bounds([(number(x) * unit[0], number(y) * unit[1]) for x, y in value["points"]])
    x, y = (number(value.get(k)) * u for k, u in zip("xy", unit, strict=True))
    turn = math.radians(number(value.get("rotation") or 0))
    if "radiusX" in value:
        half = number(value.get("radiusX")) * unit[0], number(value.get("radiusY")) * unit[1]
        return turned_bounds((x, y), half, turn, ellipse=True)
    w, h = (number(value.get(k)) * u for k, u in zip(("width", "height"), unit, strict=True))
    cos, sin = math.cos(turn), math.sin(turn)  # around the top left corner
    corners: list[Point] = [(0, 0), (w, 0), (w, h), (0, h)]
    return bounds([(x + a * cos - b * sin, y + a * sin + b * cos) for a, b in corners])
