"""LabelMe: circles by their middle and edge, dots told as dots."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from annotated import LABELME, read_one

from hematovision.annotations.annotation import DOT
from hematovision.annotations.formats.labelme import is_labelme


def test_circles_by_their_bounds_and_dots_by_their_name(tmp_path: Path) -> None:
    content = json.loads(LABELME)
    assert is_labelme(content)
    content["shapes"] = [
        {"label": "a", "shape_type": "circle", "points": [[50, 50], [53, 54]]},
        {"label": "a", "shape_type": "point", "points": [[5, 5]]},
        {"label": "a", "shape_type": "polygon", "points": [[5, 5]]},
        {"label": "a", "shape_type": "rectangle", "points": [[1e300, 5], [7, 8]]},
    ]
    found = read_one(tmp_path, ".json", json.dumps(content).encode())
    assert [box.corners for box in found.boxes] == [pytest.approx((45, 45, 55, 55))]
    assert found.left_out.count(DOT) == 2 and len(found.left_out) == 3
