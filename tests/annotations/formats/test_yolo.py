"""YOLO's text: boxes, polygons, tracks, poses; what is no line of it; what is written."""

from __future__ import annotations

from pathlib import Path

import pytest

from hematovision.annotations.annotation import Annotation, Box
from hematovision.annotations.class_names import NO_NAMES, Names, number_names
from hematovision.annotations.formats.yolo import format_yolo, is_yolo, read_yolo
from hematovision.program.console import UserError

BOX = (0.4, 0.3, 0.6, 0.7)


def read(tmp_path: Path, text: str, names: Names = NO_NAMES) -> Annotation:
    path = tmp_path / "a.txt"
    path.write_text(text)
    return read_yolo(path, names)


def test_it_is_shares_of_the_picture_by_class_number(tmp_path: Path) -> None:
    text = "0 0.5 0.5 0.2 0.4\n\n1.0 0.1 0.1 0.1 0.1 0.9\n2 0.1 0.1 0.3 0.1 0.3 0.5\n"
    found = read(tmp_path, text, number_names(["RBC", "WBC"]))
    assert found.normalised
    assert [box.label for box in found.boxes] == ["RBC", "WBC", "2"]
    assert found.boxes[0].corners == pytest.approx(BOX)
    assert found.boxes[2].corners == pytest.approx((0.1, 0.1, 0.3, 0.5))
    assert read(tmp_path, "").boxes == []  # a picture without any cell


@pytest.mark.parametrize(
    "more",
    [
        "",
        " 0.93",
        " 0.93 17",
        " 0.5 0.5 2",
        " 0.41 0.31 1 0.5 0.5 0",
        " 0.4 0.3 2 0.5 0.5 2 0.6 0.7 1",
    ],
)
def test_probabilities_tracks_and_keypoints_leave_a_box_as_it_is(tmp_path: Path, more: str) -> None:
    (box,) = read(tmp_path, "0 0.5 0.5 0.2 0.4" + more).boxes
    assert box.corners == pytest.approx(BOX)


def test_keypoints_without_visibility_are_known_by_the_yaml(tmp_path: Path) -> None:
    text = "0 0.5 0.5 0.2 0.4 0.1 0.2 0.3 0.9"
    (box,) = read(tmp_path, text, Names({"0": "RBC"}, 4)).boxes
    assert box.corners == pytest.approx(BOX)
    (box,) = read(tmp_path, text).boxes  # four points of a polygon, or of a turned box
    assert box.corners == pytest.approx((0.1, 0.2, 0.5, 0.9))


@pytest.mark.parametrize(
    "line",
    ["0 0.5 0.5 0.2", "RBC 0.5 0.5 0.2 0.4", "0 a b c d", "0.5 0.5 0.5 0.2 0.4",
     "0 0.5 0.5 0.2 1e300", f"{'9' * 5000} 0.5 0.5 0.2 0.4", "0 0.5 0.5 0.2 inf"],
)  # fmt: skip
def test_a_line_that_is_no_yolo_is_named(tmp_path: Path, line: str) -> None:
    with pytest.raises(UserError, match="line 2"):
        read(tmp_path, f"0 0.5 0.5 0.2 0.4\n{line}\n")


def test_a_text_of_cells_is_told_from_names() -> None:
    assert is_yolo(["0 0.5 0.5 0.2 0.4"])
    for lines in ([], ["RBC"], ["a.jpg 1 0.5 0.5 0.2"], ["0 0.5 0.5 0.2"]):
        assert not is_yolo(lines)


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    note = Annotation(Path("x"), "a.jpg", (640, 480), [Box("WBC", (3, 5, 83, 99))])
    (box,) = read(tmp_path, format_yolo(note, ["RBC", "WBC"]), number_names(["RBC", "WBC"])).boxes
    assert box.label == "WBC"
    corners = [v * u for v, u in zip(box.corners, (640, 480) * 2, strict=True)]
    assert corners == pytest.approx((3, 5, 83, 99), abs=0.01)
