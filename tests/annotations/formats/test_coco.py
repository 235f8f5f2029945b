"""COCO: crowds and what is marked as one, ids used twice, masks of all sorts, what is written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from annotated import BOXES, SIZE, coco, read_one

from hematovision.annotations.annotation import DOT, Annotation, Box
from hematovision.annotations.formats.coco import (
    CROWD,
    UNLISTED,
    mask_corners,
    read_coco,
    unpack_runs,
    write_coco,
)
from hematovision.program.console import UserError

ROWS = json.loads(coco())["annotations"]


def read(tmp_path: Path, *rows: dict[str, Any], **changes: Any) -> Annotation:
    data = coco(annotations=[*ROWS, *({"image_id": 7, "category_id": 0} | r for r in rows)])
    return read_one(tmp_path, ".json", json.dumps(json.loads(data) | changes).encode())


@pytest.mark.parametrize(
    "row",
    [
        {"iscrowd": 1, "bbox": [0, 0, 150, 110]},  # around others
        {"iscrowd": 1, "segmentation": {"size": [120, 160], "counts": [0, 120 * 160]}},
        {"iscrowd": 1},
    ],
)
def test_a_crowd_is_no_cell(tmp_path: Path, row: dict[str, Any]) -> None:
    found = read(tmp_path, row)
    assert len(found.boxes) == 2 and found.left_out == [CROWD]


def test_one_cell_that_is_marked_as_a_crowd_is_a_cell(tmp_path: Path) -> None:
    """As CVAT marks every mask, whether or not others of its label aren't marked."""
    found = read(tmp_path, {"iscrowd": 1, "bbox": [100, 100, 38, 18]})
    assert len(found.boxes) == 3 and found.left_out == []
    data = coco(annotations=[row | {"iscrowd": 1} for row in ROWS])
    assert len(read_one(tmp_path, ".json", data.encode()).boxes) == 2


@pytest.mark.parametrize(
    "changes, said",
    [
        ({"images": [{"id": 7, "file_name": "a.jpg"}, {"id": 7, "file_name": "b.jpg"}]}, "a.jpg"),
        ({"categories": [{"id": 0, "name": "RBC"}, {"id": 0, "name": "WBC"}]}, "category RBC"),
    ],
)
def test_an_id_used_twice_is_refused(tmp_path: Path, changes: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError, match=f"twice.*{said}"):
        read(tmp_path, **changes)


def test_a_picture_named_twice_has_the_boxes_of_both(tmp_path: Path) -> None:
    images = [{"id": i, "file_name": "a.jpg", "width": 160, "height": 120} for i in (7, 8)]
    assert len(read(tmp_path, {"image_id": 8, "bbox": [1, 2, 3, 4]}, images=images).boxes) == 3


def test_dots_and_rows_of_no_picture_are_told(tmp_path: Path) -> None:
    found = read(tmp_path, {"keypoints": [1, 2, 2]}, {"image_id": 99, "bbox": [1, 2, 3, 4]})
    assert sorted(found.left_out) == sorted([DOT, UNLISTED])


@pytest.mark.parametrize("seed", range(20))
def test_masks_lie_where_pycocotools_says(seed: int) -> None:
    from pycocotools import mask as reference

    rng = np.random.default_rng(seed)
    drawn = np.zeros((37, 53), np.uint8)
    for _ in range(int(rng.integers(1, 4))):
        y, x = rng.integers(0, 37), rng.integers(0, 53)
        drawn[y : y + int(rng.integers(1, 12)), x : x + int(rng.integers(1, 12))] = 1
    packed = reference.encode(np.asfortranarray(drawn))
    x, y, w, h = reference.toBbox(packed).tolist()
    given = {"size": packed["size"], "counts": packed["counts"].decode()}
    assert mask_corners(given, None) == (x, y, x + w, y + h)
    runs = unpack_runs(given["counts"])
    assert sum(runs) == drawn.size
    assert mask_corners({"size": [37, 53], "counts": runs}, None) == (x, y, x + w, y + h)


@pytest.mark.parametrize(
    "mask",
    [
        {"size": [0, 0], "counts": [0]},
        {"size": [0, 9], "counts": "0"},
        {"size": [9, 9], "counts": [-5, 86]},
        {"size": [9, 9], "counts": [1e300, 1]},
        {"size": [9, 9], "counts": [10**30]},
        {"size": [9, 9], "counts": [40, 40, 40]},
        {"size": [9, 9], "counts": [81]},
        {"size": [1 << 20, 1 << 20], "counts": [0, 1 << 40]},
        {"size": "x", "counts": [1]},
        {"size": [9, 9]},
        {"size": [9, 9], "counts": {"a": 1}},
    ],
)
def test_hostile_masks_are_left_out(tmp_path: Path, mask: dict[str, Any]) -> None:
    found = read(tmp_path, {"segmentation": mask})
    assert len(found.boxes) == 2 and len(found.left_out) == 1


@pytest.mark.parametrize("text", ["o" * 1000, "\xff", "é"])
def test_a_damaged_mask_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError, match="damaged"):
        unpack_runs(text)


def test_what_is_written_is_read_back() -> None:
    notes = [Annotation(Path("x"), f"{k}.jpg", SIZE, [Box(n, c)]) for k, (n, c) in enumerate(BOXES)]
    content = json.loads("".join(write_coco(lambda: notes, ["WBC", "RBC"])))
    found = list(read_coco(Path("x"), content))
    assert [(n.picture, n.size, n.boxes) for n in found] == [
        (n.picture, n.size, n.boxes) for n in notes
    ]
