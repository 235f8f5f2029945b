"""CreateML's JSON: one file for all pictures; boxes by their middle, in pixels."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hematovision.annotations.annotation import Annotation, number

PICTURE_KEYS, BOX_KEYS = ("image", "imagefilename"), ("annotations", "annotation")


def first_of(entry: dict[str, Any], keys: tuple[str, ...]) -> Any:
    return next((entry[k] for k in keys if k in entry), None)


def is_createml(content: Any) -> bool:
    return (
        isinstance(content, list)
        and bool(content)
        and all(
            isinstance(entry, dict)
            and isinstance(first_of(entry, PICTURE_KEYS), str)
            and isinstance(first_of(entry, BOX_KEYS), list)
            for entry in content
        )
    )


def read_createml(path: Path, content: list[dict[str, Any]]) -> Iterator[Annotation]:
    for entry in content:
        found = Annotation(path, first_of(entry, PICTURE_KEYS))
        for cell in first_of(entry, BOX_KEYS):
            at = cell.get("coordinates") or {}
            x, y, w, h = (number(at.get(k)) for k in ("x", "y", "width", "height"))
            found.add(str(cell.get("label") or ""), (x - w / 2, y - h / 2, x + w / 2, y + h / 2))
        yield found
