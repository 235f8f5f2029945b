"""BBBC041: places by row and column; boxes that can't be used."""

from __future__ import annotations

import json
from pathlib import Path

from annotated import BBBC041, read_one

from hematovision.annotations.formats.bbbc041 import is_bbbc041


def test_a_box_without_a_corner_is_left_out(tmp_path: Path) -> None:
    (entry,) = json.loads(BBBC041)
    del entry["objects"][0]["bounding_box"]["maximum"]
    found = read_one(tmp_path, ".json", json.dumps([entry]).encode())
    assert len(found.boxes) == 1 and len(found.left_out) == 1


def test_what_is_none() -> None:
    for other in ([], {}, [1], [{"image": "a.jpg", "objects": []}], [{"image": {}}]):
        assert not is_bbbc041(other)
