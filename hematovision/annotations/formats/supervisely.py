"""Supervisely's JSON: one file a picture, x.jpg.json."""

from __future__ import annotations

import base64
import binascii
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hematovision.annotations.annotation import (
    DOT,
    Annotation,
    Corners,
    bounds,
    frame_of,
    number,
)

PNG_HEAD = 24  # bytes, up to width and height


def is_supervisely(content: Any) -> bool:
    return (
        isinstance(content, dict)
        and isinstance(content.get("objects"), list)
        and isinstance(content.get("size"), dict)
    )


def read_supervisely(path: Path, content: dict[str, Any]) -> Iterator[Annotation]:
    frame = frame_of(content["size"].get("width"), content["size"].get("height"))
    found = Annotation(path, "", frame)
    for cell in content["objects"]:
        if cell.get("geometryType") == "point":
            found.left_out.append(DOT)
        else:
            found.add(str(cell.get("classTitle") or ""), corners_of(cell))
    yield found


def corners_of(cell: dict[str, Any]) -> Corners | None:
    """The bounds of a rectangle, a polygon or a mask; None where there are none."""
    if isinstance(cell.get("bitmap"), dict):
        return mask_corners(cell["bitmap"])
    points = (cell.get("points") or {}).get("exterior") or []
    return bounds([(number(p[0]), number(p[1])) for p in points])


def mask_corners(bitmap: dict[str, Any]) -> Corners | None:
    """Where a mask lies: its PNG, deflated, is cut to it, and only the PNG's head is unpacked."""
    try:
        packed = base64.b64decode(str(bitmap.get("data")), validate=True)
        head = zlib.decompressobj().decompress(packed, PNG_HEAD)
        width, height = struct.unpack(">II", head[16:PNG_HEAD])
    except (binascii.Error, ValueError, zlib.error, struct.error):
        return None
    x, y = (number(v) for v in bitmap.get("origin") or (None, None))
    return x, y, x + number(width), y + number(height)
