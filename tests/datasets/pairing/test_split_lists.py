"""Split lists: which lines name which picture, what is no list, and a line without end."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from hematovision.datasets.pairing.layout import scan
from hematovision.datasets.pairing.picture_index import PictureIndex
from hematovision.datasets.pairing.split_lists import find_lists, read_list, read_lists
from hematovision.program.console import UserError


def put(root: Path, name: str, text: str) -> Path:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_each_line_may_mean_a_name_in_several_ways(tmp_path: Path) -> None:
    path = put(tmp_path, "train.txt", "a b 1\n\n'c.jpg'\nd -1\n")
    assert read_list(path) == [["a b 1", "a b", "a"], ["c.jpg"], ["d -1", "d"]]


def test_what_yolo_says_of_a_picture_called_train_is_no_list(tmp_path: Path) -> None:
    put(tmp_path, "labels/train.txt", "0 0.5 0.5 0.1 0.1\n")
    put(tmp_path, "train.txt", "a.jpg 1,2,3,4,0\n")
    assert find_lists(scan(tmp_path)) == {}
    put(tmp_path, "lists/train.txt", "a\n")
    assert [str(p) for p in find_lists(scan(tmp_path)).values()] == ["lists/train.txt"]


def test_lists_in_main_come_first_and_a_field_in_two_is_refused(tmp_path: Path) -> None:
    for name in ("train.txt", "ImageSets/Main/train.txt", "ImageSets/Main/val.txt"):
        put(tmp_path, name, "a\n")
    put(tmp_path, "a.jpg", "")
    layout = scan(tmp_path)
    assert {p.parent.name for p in find_lists(layout).values()} == {"Main"}
    with pytest.raises(UserError, match="one list per field"):
        read_lists(layout, PictureIndex(layout.pictures))


@pytest.mark.parametrize("text", [" " * 500_000 + "a", "a" + " " * 900_000 + "b", "a " * 400_000])
def test_a_megabyte_of_the_worst_is_answered_soon(tmp_path: Path, text: str) -> None:
    start = time.process_time()
    read_list(put(tmp_path, "train.txt", text))
    assert time.process_time() - start < 10
