"""Our own pictures are known by a mark inside, and nothing else is replaced."""

from __future__ import annotations

import os
from pathlib import Path

import cv2
import numpy as np
import pytest

from hematovision.pictures.images import read_image
from hematovision.program.console import UserError
from hematovision.program.figures import new_figure, save_figure
from hematovision.program.files import DRAWN, survey, write_text
from hematovision.program.marks import check_drawn, is_drawn, mark_picture

PICTURE = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)


def encode(suffix: str) -> bytes:
    return cv2.imencode(suffix, PICTURE)[1].tobytes()


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_a_drawing_is_known_whatever_its_name_and_shows_the_same(
    suffix: str, tmp_path: Path
) -> None:
    plain, marked = tmp_path / f"plain{suffix}", tmp_path / f"holiday{suffix}"
    plain.write_bytes(encode(suffix))
    marked.write_bytes(mark_picture(encode(suffix)))
    assert (is_drawn(plain), is_drawn(marked)) == (False, True)
    assert (read_image(marked) == read_image(plain)).all()


def test_a_figure_is_known_too(tmp_path: Path) -> None:
    save_figure(new_figure(2, 2), tmp_path / "sizes.png")
    assert is_drawn(tmp_path / "sizes.png")


def test_what_we_drew_is_none_of_the_pictures_of_a_folder(tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    (tmp_path / "a.png").write_bytes(encode(".png"))
    (tmp_path / "below" / "a_cells.png").write_bytes(mark_picture(encode(".png")))
    images, others = survey(tmp_path)
    assert [path.name for path in images] == ["a.png"] and others == {DRAWN: 1}


@pytest.mark.parametrize("what", ["nothing", "empty", "a folder", "text", "cut", "a pipe"])
def test_what_is_no_drawing_of_ours_is_not_replaced(what: str, tmp_path: Path) -> None:
    path = tmp_path / "x.png"
    if what == "a folder":
        path.mkdir()
    elif what == "a pipe":
        if not hasattr(os, "mkfifo"):
            pytest.skip("no named pipes here")
        os.mkfifo(path)
    elif what != "nothing":
        path.write_bytes({"empty": b"", "text": b"HematoVision", "cut": encode(".png")[:40]}[what])
    assert not is_drawn(path)
    if what == "nothing":
        check_drawn(path)
        return
    with pytest.raises(UserError, match=r"x\.png: is there already"):
        check_drawn(path)


def test_a_file_is_not_written_through_a_link(tmp_path: Path) -> None:
    if not hasattr(os, "symlink"):
        pytest.skip("no links here")
    (tmp_path / "theirs.txt").write_text("precious")
    try:
        (tmp_path / "out.txt").symlink_to(tmp_path / "theirs.txt")
    except OSError:
        pytest.skip("no links here")
    with pytest.raises(UserError, match="is a link"):
        write_text(tmp_path / "out.txt", "ours")
    assert (tmp_path / "theirs.txt").read_text() == "precious"
