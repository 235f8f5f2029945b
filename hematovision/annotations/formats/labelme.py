"""LabelMe's JSON: one file a picture."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hematovision.annotations.annotation import DOT, Annotation, bounds, frame_of, number

DOTS = ("point", "points")


def is_labelme(content: Any) -> bool:
    return isinstance(content, dict) and isinstance(content.get("shapes"), list)


def read_labelme(path: Path, content: dict[str, Any]) -> Iterator[Annotation]:
    """Rectangles and polygons by two points or more, circles by their middle and edge."""
    frame = frame_of(content.get("imageWidth"), content.get("imageHeight"))
    found = Annotation(path, str(content.get("imagePath") or ""), frame)
    for shape in content["shapes"]:
        points = [(number(p[0]), number(p[1])) for p in shape.get("points") or []]
        if shape.get("shape_type") in DOTS or len(points) == 1:
            found.left_out.append(DOT)
            continue
        if shape.get("shape_type") == "circle" and len(points) == 2:
            (x, y), edge = points
            r = math.dist((x, y), edge)
            points = [(x - r, y - r), (x + r, y + r)]
        found.add(str(shape.get("label") or ""), bounds(points))
    yield found
