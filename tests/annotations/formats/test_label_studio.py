"""Label Studio: shapes in hundredths, turned ones, several people, what is no box."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from annotated import BOXES, read_one, studio_results, studio_task

from hematovision.annotations.annotation import DOT, Annotation
from hematovision.annotations.formats.label_studio import (
    PAINTED,
    SEVERAL,
    TURNED,
    is_label_studio,
)

FRAME = {"original_width": 200, "original_height": 100, "image_rotation": 0}


def read(tmp_path: Path, *tasks: dict[str, Any]) -> Annotation:
    return read_one(tmp_path, ".json", json.dumps(tasks).encode())


def region(kind: str, value: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {**FRAME, "type": kind, "value": {kind: ["RBC"], **value}, **more}


@pytest.mark.parametrize(
    "kind, value, corners",
    [
        ("ellipselabels", {"x": 50, "y": 50, "radiusX": 10, "radiusY": 5}, (80, 45, 120, 55)),
        ("polygonlabels", {"points": [[10, 10], [20, 10], [15, 40]]}, (20, 10, 40, 40)),
        ("rectanglelabels", {"x": 50, "y": 50, "width": 10, "height": 10, "rotation": 90},
         (90, 50, 100, 70)),
    ],
)  # fmt: skip
def test_shapes_by_their_bounds_in_pixels(
    tmp_path: Path, kind: str, value: dict[str, Any], corners: tuple[float, ...]
) -> None:
    (box,) = read(tmp_path, studio_task([region(kind, value)])).boxes
    assert box.corners == pytest.approx(corners)


def test_a_shape_and_its_label_may_come_apart(tmp_path: Path) -> None:
    shape = {**FRAME, "id": "q", "type": "rectangle",
             "value": {"x": 10, "y": 10, "width": 5, "height": 10}}  # fmt: skip
    label = {**FRAME, "id": "q", "type": "labels", "value": {"labels": ["WBC"]}}
    (box,) = read(tmp_path, studio_task([shape, label])).boxes
    assert box == ("WBC", pytest.approx((20, 10, 30, 20)))


def test_what_is_no_box_is_told_and_what_is_of_the_picture_passed_over(tmp_path: Path) -> None:
    found = read(
        tmp_path,
        studio_task(
            [
                region("keypointlabels", {"x": 1, "y": 1, "width": 0.5}),
                region("brushlabels", {"rle": [1, 2], "format": "rle"}),
                region("rectanglelabels", {"x": 1, "y": 1, "width": 9, "height": 9},
                       image_rotation=90),
                {"type": "choices", "value": {"choices": ["blurred"]}},
                {"type": "relation", "from_id": "a", "to_id": "b"},
            ]
        ),
    )  # fmt: skip
    assert found.boxes == [] and found.left_out == [DOT, PAINTED, TURNED]


def test_of_several_people_the_latest_counts_and_is_told(tmp_path: Path) -> None:
    task = studio_task([], studio_results())
    found = read(tmp_path, task)
    assert len(found.boxes) == len(BOXES) and found.notices == [SEVERAL]
    task["annotations"][1]["was_cancelled"] = True
    found = read(tmp_path, task)
    assert found.boxes == [] and found.notices == []


def test_predictions_alone_are_no_annotation_and_a_task_may_be_empty(tmp_path: Path) -> None:
    task = {"data": {"image": "a.jpg"}, "annotations": [], "predictions": [{"result": []}]}
    assert read(tmp_path, task).boxes == []
    assert not is_label_studio([{"image": "a.jpg"}]) and not is_label_studio([])
