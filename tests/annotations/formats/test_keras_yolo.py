"""keras-yolo3's text: names with blanks, pictures without a cell; lists of names are none."""

from __future__ import annotations

from pathlib import Path

import pytest

from hematovision.annotations.formats.keras_yolo import is_keras_yolo, read_keras_yolo, split_line


def test_pictures_with_their_boxes() -> None:
    lines = ["in a/smear 1.jpg 1,2,3,4,0 5,6,7,8,11", "b.PNG"]
    assert is_keras_yolo(lines)
    first, second = read_keras_yolo(Path("train.txt"), lines)
    assert first.picture == "in a/smear 1.jpg"
    assert first.boxes == [("0", (1, 2, 3, 4)), ("11", (5, 6, 7, 8))]
    assert (second.picture, second.boxes) == ("b.PNG", [])


@pytest.mark.parametrize(
    "lines", [[], ["a.jpg", "b.jpg"], ["RBC", "WBC"], ["0 0.5 0.5 0.1 0.1"], ["a.jpg 1,2,3,4,x"]]
)
def test_what_is_none(lines: list[str]) -> None:
    assert not is_keras_yolo(lines)
    assert split_line("1,2,3,4,5") is None
