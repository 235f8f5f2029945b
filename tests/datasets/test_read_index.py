"""What was read of pictures is kept, lot by lot: cut anywhere, a run ends with the same bytes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import Run

import hematovision.datasets.read_index
import hematovision.datasets.reading
from hematovision.datasets.read_index import MARK, ReadIndex
from hematovision.program.console import UserError


@pytest.mark.parametrize("step", ["read_field", "write_bytes"])
def test_cut_anywhere_it_goes_on_to_the_same_bytes(
    step: str, voc_dataset: Callable[..., Path], run: Run, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """Cut at each step in turn, and gone on with, until it ends."""
    room: Any = hematovision.datasets.reading
    if step == "write_bytes":
        room = hematovision.datasets.read_index
    monkeypatch.setattr("hematovision.datasets.read_index.LOT", 2)
    args = ("--data-dir", voc_dataset(6), "--image-size", 32, "--workers", 1)
    assert run("preprocess_data.py", *args, "--output", tmp_path / "whole.npz").status == 0
    done, whole = getattr(room, step), (tmp_path / "whole.npz").read_bytes()
    calls: list[int] = []

    def cut(*given: Any) -> Any:
        calls.append(1)
        if len(calls) > 3:  # three further at each run
            raise KeyboardInterrupt
        return done(*given)

    monkeypatch.setattr(room, step, cut)
    ends = []
    while not ends or ends[-1] == 130:
        calls.clear()
        gone_on = run("preprocess_data.py", *args, "--output", tmp_path / "cut.npz", "--resume")
        ends.append(gone_on.status)
        assert (tmp_path / "cut.npz").exists() == (gone_on.status == 0)
        assert len(ends) < 9, gone_on.err
    assert ends[-1] == 0
    assert len(ends) > (1 if step == "read_field" else 0)
    assert (tmp_path / "cut.npz").read_bytes() == whole


def test_a_folder_that_is_empty_or_marked_is_ours(tmp_path: Path) -> None:
    ReadIndex(tmp_path / "none")
    (tmp_path / "empty").mkdir()
    ReadIndex(tmp_path / "empty")
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "x.txt").write_text("precious")
    with pytest.raises(UserError, match="no index of ours"):
        ReadIndex(tmp_path / "theirs")
    (tmp_path / "theirs" / MARK).write_text("")
    ReadIndex(tmp_path / "theirs").clear()
    assert (tmp_path / "theirs" / "x.txt").read_text() == "precious"
