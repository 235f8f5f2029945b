"""Files: written whole or not at all, as readable as a user's files are, found by name."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from conftest import files_below

from hematovision.console import UserError
from hematovision.files import csv_table, find_images, write_text, written_whole


def test_a_failure_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "table.csv"
    write_text(path, "old")
    with pytest.raises(KeyError), csv_table(path, ["a", "b"]) as table:
        table.writerow({"a": 1, "b": 2})
        raise KeyError
    assert files_below(tmp_path) == {"deep/table.csv": b"old"}
    with csv_table(path, ["a", "b"]) as table:
        table.writerow({"a": 1})
    assert path.read_text() == "a,b\n1,\n"


def test_a_folder_is_not_written_over(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is a folder"), written_whole(tmp_path):
        pass


@pytest.mark.skipif(os.name == "nt", reason="Windows has no umask")
def test_a_file_follows_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write_text(tmp_path / "a.txt", "mine")
    finally:
        os.umask(before)
    assert (tmp_path / "a.txt").stat().st_mode & 0o777 == 0o640


def test_images_are_found_by_name_and_hidden_ones_are_not(tmp_path: Path) -> None:
    for name in ("b.PNG", "a.jpeg", "._a.jpeg", "notes.txt", "c.webp"):
        (tmp_path / name).write_bytes(b"")
    assert [p.name for p in find_images(tmp_path)] == ["a.jpeg", "b.PNG", "c.webp"]
