"""Supervisely: polygons, masks good and hostile, dots."""

from __future__ import annotations

import base64
import zlib
from pathlib import Path
from typing import Any

import pytest
from annotated import bitmap, read_one, supervisely

from hematovision.annotations.annotation import DOT
from hematovision.annotations.formats.supervisely import is_supervisely, mask_corners


def test_polygons_and_dots(tmp_path: Path) -> None:
    points = {"exterior": [[1, 2], [9, 2], [5, 7]], "interior": []}
    polygon = {"classTitle": "RBC", "geometryType": "polygon", "points": points}
    dot = {"classTitle": "RBC", "geometryType": "point", "points": points}
    found = read_one(tmp_path, ".json", supervisely(polygon, dot).encode())
    assert found.boxes == [("RBC", (1, 2, 9, 7))] and found.left_out == [DOT]


@pytest.mark.parametrize(
    "change",
    [
        {"data": "!"}, {"data": base64.b64encode(b"x").decode()}, {"data": None},
        {"data": base64.b64encode(zlib.compress(b"short")).decode()}, {"origin": ["x", 1]},
        {"origin": None},
    ],
)  # fmt: skip
def test_a_damaged_mask_is_left_out(tmp_path: Path, change: dict[str, Any]) -> None:
    cell = bitmap("RBC", (1, 2, 5, 9))
    cell["bitmap"] |= change
    found = read_one(tmp_path, ".json", supervisely(cell).encode())
    assert found.boxes == [] and len(found.left_out) == 1


def test_a_mask_that_unpacks_to_gigabytes_is_not_unpacked() -> None:
    head = zlib.compress(bytes(200 << 20), 9)
    corners = mask_corners({"data": base64.b64encode(head).decode(), "origin": [1, 2]})
    assert corners == (1, 2, 1, 2)


def test_what_is_none() -> None:
    for other in ([], {}, {"objects": []}, {"objects": 1, "size": {}}):
        assert not is_supervisely(other)
