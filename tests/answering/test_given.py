"""What was named: files, folders and patterns; what we wrote ourselves is none of it."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import numpy as np
import pytest
from conftest import SAMPLE, Run, only_error, write_png

from hematovision.answering.given import Batch, list_images, read_given
from hematovision.program.console import UserError, say
from hematovision.program.left import Left
from hematovision.program.marks import mark_picture

FIELDS = sorted((SAMPLE / "JPEGImages").iterdir())[:3]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "in"
    folder.mkdir()
    for field in FIELDS:
        shutil.copy(field, folder)
    return folder


def test_a_pattern_that_no_shell_spread_out_stands_for_its_files(folder: Path) -> None:
    shutil.copy(FIELDS[0], folder / "x[1].jpg")
    images, _ = list_images([folder / "drawn_*.jpg"])
    assert images == [folder / field.name for field in FIELDS]
    assert list_images([folder / "x[1].jpg"])[0] == [folder / "x[1].jpg"]  # a file of that name
    assert list_images([folder / "*.bmp"])[0] == [folder / "*.bmp"]  # an error when it is read


def test_what_we_drew_or_copied_below_a_folder_is_none_of_its_fields(folder: Path) -> None:
    out = folder / "found"
    (out / "JPEGImages").mkdir(parents=True)
    drawn = mark_picture(FIELDS[0].with_suffix(".jpg").read_bytes())
    (folder / "drawn_000_cells.jpg").write_bytes(drawn)
    with Left(out).written(out / "JPEGImages" / "a.jpg") as temporary:
        shutil.copy(FIELDS[0], temporary)
    images, notices = list_images([folder])
    assert images == [folder / field.name for field in FIELDS]
    assert "1 copied by an earlier run" in notices[0] and "drawn" in notices[0]
    # Where there is nothing else it is the copies that are meant.
    assert list_images([out])[0] == [out / "JPEGImages" / "a.jpg"]
    with pytest.raises(UserError, match="drawn by HematoVision"):
        read_given(folder / "drawn_000_cells.jpg")


def test_nothing_and_an_empty_name_are_refused(run: Run, folder: Path) -> None:
    assert "empty name" in only_error(run("predict.py", ""))
    assert "IMAGE" in only_error(run("predict.py"))
    (folder / "bare").mkdir()
    with pytest.raises(UserError, match="no image"):
        list_images([folder / "bare"])
    assert list_images([folder / "bare"], may_be_empty=True)[0] == []


def test_warnings_have_the_order_of_what_was_given_whatever_the_threads_do(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The earlier a picture, the longer it takes; each other one can't be read."""

    def look(path: Path) -> str:
        number = int(path.stem)
        time.sleep(0.02 * (8 - number))
        say(f"notice: {path}")
        if number % 2:
            raise UserError(f"{path}: damaged")
        return path.stem

    paths = [Path(f"{n}.png") for n in range(8)]
    batch = Batch(look, paths, 8, ["first"], alone=False)
    assert [found for _, found in batch] == ["0", None, "2", None, "4", None, "6", None]
    assert batch.failed == 4
    wanted = ["notice: 0.png", "first"]
    for n in range(1, 8):
        wanted += [f"notice: {n}.png"] + [f"warning: {n}.png: damaged"] * (n % 2)
    assert capsys.readouterr().err.splitlines() == wanted


def test_what_is_alone_and_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    path = write_png(tmp_path / "a.png", np.zeros((4, 4, 3), np.uint8))
    path.write_bytes(b"no picture")
    with pytest.raises(UserError):
        list(Batch(read_given, [path], 1, [], alone=True))
