"""The JSON of the malaria set BBBC041 (Ljosa et al., 2012): one file for all pictures."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hematovision.annotations.annotation import Annotation, frame_of, number


def is_bbbc041(content: Any) -> bool:
    return (
        isinstance(content, list)
        and bool(content)
        and all(
            isinstance(entry, dict)
            and isinstance(entry.get("image"), dict)
            and isinstance(entry.get("objects"), list)
            for entry in content
        )
    )


def read_bbbc041(path: Path, content: list[dict[str, Any]]) -> Iterator[Annotation]:
    """All pictures; places are r, c: row and column."""
    for entry in content:
        image, shape = entry["image"], entry["image"].get("shape") or {}
        frame = frame_of(shape.get("c"), shape.get("r"))
        found = Annotation(path, str(image.get("pathname") or ""), frame)
        for cell in entry["objects"]:
            box = cell.get("bounding_box") or {}
            low, high = box.get("minimum") or {}, box.get("maximum") or {}
            corners = [number(of.get(k)) for of in (low, high) for k in "cr"]
            found.add(str(cell.get("category") or ""), corners)
        yield found
