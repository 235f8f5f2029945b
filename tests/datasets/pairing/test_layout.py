"""The files of a dataset: what each is by its name, links and loops, names of any bytes."""

from __future__ import annotations

import os
from pathlib import Path, PurePosixPath

import pytest

from hematovision.datasets.pairing.layout import (
    bare_name,
    context,
    drop_suffix,
    folder_split,
    scan,
    split_of,
)
from hematovision.program.console import UserError


def touch(root: Path, *names: str) -> None:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")


def test_each_file_has_its_list(tmp_path: Path) -> None:
    touch(tmp_path, "JPEGImages/a.JPG", "b.tiff", "Annotations/a.xml", "c.geojson", "t.csv",
          "labels/classes.txt", "data.yaml", "my.names", "notes.json", "complete.json",
          "complete-00001-of-00002.json", "README.md", ".hidden.jpg", "__MACOSX/a.jpg")  # fmt: skip
    found = scan(tmp_path)
    assert [str(p) for p in found.pictures] == ["b.tiff", "JPEGImages/a.JPG"]
    assert {p.name for p in found.annotations} == {"a.xml", "c.geojson", "t.csv"}
    assert {p.name for p in found.names} == {"classes.txt", "data.yaml", "my.names", "notes.json"}
    assert {p.name for p in found.completes} == {"complete.json", "complete-00001-of-00002.json"}
    assert found.kinds[".md"] == 1


def test_a_linked_folder_is_read_and_a_loop_of_links_ends(tmp_path: Path) -> None:
    touch(tmp_path, "there/a.jpg", "set/Annotations/a.xml")
    (tmp_path / "set" / "JPEGImages").symlink_to(tmp_path / "there", target_is_directory=True)
    (tmp_path / "there" / "up").symlink_to(tmp_path / "set", target_is_directory=True)
    assert [str(p) for p in scan(tmp_path / "set").pictures] == ["JPEGImages/a.jpg"]


def test_names_that_are_no_utf8_are_files_too(tmp_path: Path) -> None:
    name = os.fsdecode(b"Erythrozyten_\xfc.jpg")
    try:
        (tmp_path / name).write_bytes(b"x")
    except OSError:
        pytest.skip("this file system takes no such name")
    assert [p.name for p in scan(tmp_path).pictures] == [name]


def test_a_missing_folder_is_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such folder"):
        scan(tmp_path / "none")


def test_names_without_what_tells_their_kind() -> None:
    assert [bare_name(n) for n in ("x.jpg", "x.xml", "x.jpg.xml", "x.1", "x.png.geojson")] == [
        "x", "x", "x", "x.1", "x",
    ]  # fmt: skip
    assert drop_suffix("x.jpg.xml") == "x.jpg" and drop_suffix("x.jpg") == "x.jpg"
    assert context(PurePosixPath("Set/train/JPEGImages/x.jpg")) == ("set", "train")


@pytest.mark.parametrize(
    "name, split",
    [("train", "train"), ("Validation", "val"), ("instances_val2017", "val"), ("testing", "test"),
     ("trainer", ""), ("contest", "")],
)  # fmt: skip
def test_splits_by_their_names(name: str, split: str) -> None:
    assert split_of(name) == split
    assert folder_split(PurePosixPath(name) / "images" / "x.jpg") == split
