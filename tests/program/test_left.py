"""What people corrected is told from what we left."""

from __future__ import annotations

from pathlib import Path, PureWindowsPath
from typing import Any

import pytest

from hematovision.program.console import UserError
from hematovision.program.left import LIST, Left


def write(folder: Path, path: Path, text: str) -> None:
    with Left(folder).written(path) as temporary:
        temporary.write_text(text)


def test_a_corrected_file_is_told_from_one_as_we_left_it(tmp_path: Path) -> None:
    ours, theirs = tmp_path / "Annotations" / "a.xml", tmp_path / "Annotations" / "b.xml"
    write(tmp_path, ours, "as found")
    assert not Left(tmp_path).is_changed(ours)
    theirs.write_text("drawn by hand")
    assert Left(tmp_path).is_changed(theirs) and theirs not in Left(tmp_path)
    ours.write_text("corrected")
    assert Left(tmp_path).is_changed(ours) and ours in Left(tmp_path)
    ours.unlink()
    assert not Left(tmp_path).is_changed(ours)


def test_whatever_we_once_left_is_ours(tmp_path: Path) -> None:
    path = tmp_path / "a\udce4.txt"
    for text in ("one", "two", "one"):
        write(tmp_path, path, text)
        assert not Left(tmp_path).is_changed(path)
    assert len((tmp_path / LIST).read_bytes().splitlines()) == 2


def test_a_run_killed_before_it_stands_leaves_a_note_and_no_file(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    write(tmp_path, path, "one")
    with pytest.raises(KeyboardInterrupt), Left(tmp_path).written(path) as temporary:
        temporary.write_text("two")
        raise KeyboardInterrupt
    assert path.read_text() == "one" and not Left(tmp_path).is_changed(path)


def test_a_list_that_is_a_link_is_not_written_through(tmp_path: Path) -> None:
    (tmp_path / "theirs").write_text("precious")
    try:
        (tmp_path / LIST).symlink_to(tmp_path / "theirs")
    except OSError:
        pytest.skip("no links here")
    with pytest.raises(UserError, match="is a link"):
        Left(tmp_path)


def test_a_list_written_on_windows_is_one_everywhere(tmp_path: Path) -> None:
    """With paths as Windows has them, of which nothing is opened: names stand with slashes."""
    left, home = Left(tmp_path), PureWindowsPath(r"D:\smears\out")
    told: Any = home / "Annotations" / "a.xml"
    left._folder = home
    assert left._name(told) == "Annotations/a.xml"
