"""Class names of YOLO's numbers: the forms in which they come, and when two files disagree."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from hematovision.annotations.class_names import (
    Names,
    add_names,
    contradict,
    format_names,
    is_name_file,
    number_names,
    read_names,
)
from hematovision.program.console import UserError

TWO = {"0": "RBC", "1": "WBC"}
NOTES = json.dumps({"categories": [{"id": 1, "name": "WBC"}, {"id": 0, "name": "RBC"}]})


def read(tmp_path: Path, name: str, text: str) -> Names:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return read_names(path)


@pytest.mark.parametrize(
    "name, text, wanted",
    [
        ("classes.txt", "RBC\nWBC\n", TWO),
        ("obj.names", "RBC\r\nWBC\r\n", TWO),
        ("notes.json", NOTES, TWO),
        ("data.yaml", "nc: 2\nnames: ['RBC', \"WBC\"]\n", TWO),
        ("data.yaml", "names: [RBC,\n  WBC]  # two\nnc: 2\n", TWO),
        ("data.yaml", "names:\n- RBC\n- WBC  # white\nnc: 2\n", TWO),
        ("data.yaml", "names:\n  - RBC\n\n  - WBC\nkpt: 3\n", TWO),
        ("data.yaml", "names:\n  0: RBC\n  1: 'W: C'\n", {"0": "RBC", "1": "W: C"}),
        ("data.yaml", "names: {0: RBC, 1: WBC}\n", TWO),
        ("data.yaml", "names: {0: 'a, b', '1': \"WBC\"}\n", {"0": "a, b", "1": "WBC"}),
        ("data.yaml", "names :\n  3: RBC\n", {"3": "RBC"}),
        ("data.yaml", "names: [C#4, WBC]\n", {"0": "C#4", "1": "WBC"}),
        ("data.yaml", "train: ../train\n", {}),
        ("args.yaml", "task: detect\nepochs: 100\n", {}),
    ],
)
def test_class_names(tmp_path: Path, name: str, text: str, wanted: dict[str, str]) -> None:
    assert read(tmp_path, name, text).of == wanted


def test_what_we_write_is_read_back(tmp_path: Path) -> None:
    labels = ["RBC", 'a "b": c', "#7", "Größe, [x]"]
    assert read(tmp_path, "data.yaml", format_names(labels)).of == number_names(labels).of


def test_keypoints_of_a_pose_are_known(tmp_path: Path) -> None:
    text = "kpt_shape: [2, 3]\nnames: [RBC]\n"
    assert read(tmp_path, "data.yaml", text) == Names({"0": "RBC"}, 6)


@pytest.mark.parametrize(
    "worst",
    ["names: [" + "'" * 900_000, "names" + " " * 900_000 + ":", "names:\n" + "- a\n" * 200_000,
     "names: " + "[" * 900_000, "names: {" + "0: a," * 180_000, "a #" * 300_000],
)  # fmt: skip
def test_the_worst_yaml_is_answered_soon(tmp_path: Path, worst: str) -> None:
    start = time.process_time()
    read(tmp_path, "data.yaml", worst)
    assert time.process_time() - start < 10


@pytest.mark.parametrize("rows", [5, None, "RBC", {"id": 1}, [None, [], {"id": [1], "name": {}}]])
def test_notes_that_hold_no_classes_name_none_of_use(tmp_path: Path, rows: object) -> None:
    named = read(tmp_path, "notes.json", json.dumps({"categories": rows}))
    assert named.of.keys() <= {"[1]"}


def test_a_yaml_that_is_too_long_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no list of classes"):
        read(tmp_path, "data.yaml", "names: [a]\n" + "#" * (1 << 20))


def test_names_are_added_where_nothing_contradicts() -> None:
    near, more = number_names(["RBC", "wbc"]), number_names(["rbc", "WBC", "Platelets"])
    wrong = number_names(["WBC", "RBC", "x", "y"])
    assert contradict(near, wrong) and not contradict(near, more)
    assert add_names(near, [wrong, more]).of == {"0": "RBC", "1": "wbc", "2": "Platelets"}


def test_files_of_names_are_known_by_theirs() -> None:
    for name in ("classes.txt", "Data.YAML", "my.names", "notes.json", "labels.txt"):
        assert is_name_file(name)
    assert not is_name_file("a.txt") and not is_name_file("annotations.json")
