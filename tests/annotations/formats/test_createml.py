"""CreateML: the ways in which its keys are written, and boxes that can't be used."""

from __future__ import annotations

import json
from pathlib import Path

from annotated import CREATEML, read_one

from hematovision.annotations.formats.createml import is_createml


def test_its_keys_in_the_other_way(tmp_path: Path) -> None:
    (entry,) = json.loads(CREATEML)
    other = {"imagefilename": entry["image"], "annotation": entry["annotations"]}
    assert is_createml([other])
    assert len(read_one(tmp_path, ".json", json.dumps([other]).encode()).boxes) == 2


def test_a_box_without_a_place_is_left_out(tmp_path: Path) -> None:
    content = [{"image": "a.jpg", "annotations": [{"label": "RBC"}, {"coordinates": {"x": 1}}]}]
    found = read_one(tmp_path, ".json", json.dumps(content).encode())
    assert found.boxes == [] and len(found.left_out) == 2


def test_what_is_none() -> None:
    for other in ([], {}, [1], [{"image": {}, "annotations": []}], [{"image": "a.jpg"}]):
        assert not is_createml(other)
