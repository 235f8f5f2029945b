"""VIA: its shapes, which attribute is the label, its table."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
from annotated import VIA, read_one

from hematovision.annotations.annotation import DOT, Annotation
from hematovision.annotations.document import Table
from hematovision.annotations.formats.via import is_via, is_via_table
from hematovision.program.console import UserError

RECT = {"name": "rect", "x": 1, "y": 2, "width": 3, "height": 4}


def read(tmp_path: Path, *regions: tuple[dict[str, Any], dict[str, Any]]) -> Annotation:
    drawn = [{"shape_attributes": s, "region_attributes": a} for s, a in regions]
    content = {"_via_img_metadata": {"a": {"filename": "a.jpg", "regions": drawn}}}
    return read_one(tmp_path, ".json", json.dumps(content).encode())


@pytest.mark.parametrize(
    "shape, corners",
    [
        ({"name": "circle", "cx": 9, "cy": 8, "r": 2}, (7, 6, 11, 10)),
        ({"name": "ellipse", "cx": 9, "cy": 8, "rx": 2, "ry": 1}, (7, 7, 11, 9)),
        ({"name": "polygon", "all_points_x": [1, 5], "all_points_y": [2, 9]}, (1, 2, 5, 9)),
    ],
)
def test_shapes_by_their_bounds(
    tmp_path: Path, shape: dict[str, Any], corners: tuple[float, ...]
) -> None:
    (box,) = read(tmp_path, (shape, {"type": "RBC"})).boxes
    assert box.corners == corners


def test_the_attribute_that_names_kinds_of_cells_is_the_label(tmp_path: Path) -> None:
    found = read(tmp_path, (RECT, {"quality": "good", "was": {"RBC": True, "WBC": False}}),
                 (RECT, {"quality": "bad", "was": {"RBC": False, "WBC": True}}))  # fmt: skip
    assert [box.label for box in found.boxes] == ["RBC", "WBC"]
    with pytest.raises(UserError, match="p, q"):
        read(tmp_path, (RECT, {"p": "1a", "q": "2b"}))


def test_dots_are_told_as_dots(tmp_path: Path) -> None:
    found = read(tmp_path, ({"name": "point", "cx": 1, "cy": 2}, {"type": "RBC"}))
    assert found.boxes == [] and found.left_out == [DOT]


def test_the_table_says_the_same(tmp_path: Path) -> None:
    out = io.StringIO()
    table = csv.writer(out)
    table.writerow(["#filename", "region_shape_attributes", "region_attributes"])
    table.writerow(["a.jpg", json.dumps(RECT), json.dumps({"note": "", "cell": "RBC"})])
    table.writerow(["a.jpg", "{", "{}"])
    table.writerow(["a.jpg", "{}", "{}"])
    found = read_one(tmp_path, ".csv", out.getvalue().encode())
    assert found.boxes == [("RBC", (1, 2, 4, 6))] and len(found.left_out) == 1


def test_what_is_one() -> None:
    assert is_via(json.loads(VIA)) and not is_via({}) and not is_via([1]) and not is_via({"a": 1})
    assert is_via_table(Table(["filename", "region_shape_attributes"], []))
