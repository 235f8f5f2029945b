"""What training has reached is kept whole, found again, and never taken of another run."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import load

from hematovision.program.console import UserError
from hematovision.training.checkpoint import Checkpoint
from hematovision.training.fields.fields import TrainingField, pack_found, unpack_found
from hematovision.training.workers import Workers


class Variable:
    """What of a Keras variable a checkpoint uses."""

    def __init__(self, value: Any) -> None:
        self.value = np.array(value)
        self.shape = self.value.shape

    def numpy(self) -> np.ndarray:
        return self.value

    def assign(self, value: np.ndarray) -> None:
        self.value = value


def test_what_was_saved_comes_back(tmp_path: Path) -> None:
    saved = Checkpoint(tmp_path, {"seed": 1}, resume=False)
    saved.save("crops", 3, [Variable([1.0, 2]), Variable(7)], [{"epoch": 3}], box=np.eye(2))
    again = [Variable([0.0, 0]), Variable(0)]
    reached = Checkpoint(tmp_path, {"seed": 1}, resume=True).load("crops", again)
    assert reached is not None
    assert (reached.epoch, reached.history) == (3, [{"epoch": 3}])
    assert (reached.extra["box"] == np.eye(2)).all()
    assert again[0].value.tolist() == [1, 2] and again[1].value == 7
    saved.clear()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("why", ["as it was", "absent", "of another run"])
def test_each_worker_finds_its_own_beside_the_chiefs(
    why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def be(index: int) -> None:
        monkeypatch.setattr(
            "hematovision.training.checkpoint.find_workers", lambda: Workers(None, index, 2)
        )

    run = {"seed": 1}
    for index in (1, 0):
        be(index)
        mine = {"seed": 2} if why == "of another run" and index else run
        Checkpoint(tmp_path, mine, False).save("fields", 3, [Variable(7.0 + index)], [], box=index)
    be(1)
    if why == "absent":
        (tmp_path / "unfinished_fields_worker_1.npz").unlink()
    variable = Variable(0.0)
    reached = Checkpoint(tmp_path, run, True).load("fields", [variable])
    assert reached is not None and (reached.epoch, variable.value) == (3, 7)
    assert reached.extra == ({"box": 1} if why == "as it was" else {})
    be(0)
    Checkpoint(tmp_path, run, True).clear()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("why", ["another run", "other shapes", "damaged", "not asked", "absent"])
def test_nothing_is_taken_of_another_run(
    why: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Checkpoint(tmp_path, {"seed": 1}, resume=False).save("crops", 1, [Variable([1.0, 2])], [])
    path = tmp_path / "unfinished_crops.npz"
    if why == "damaged":
        path.write_bytes(path.read_bytes()[:-100])
    if why == "absent":
        path.unlink()
    variable = Variable([0.0] * (3 if why == "other shapes" else 2))
    run = {"seed": 2 if why == "another run" else 1}
    assert Checkpoint(tmp_path, run, why != "not asked").load("crops", [variable]) is None
    assert not variable.value.any()
    assert ("starting crops anew" in capsys.readouterr().err) == (
        why not in ("not asked", "absent")
    )


@pytest.mark.parametrize("how", ["infinite", "changed", "another epoch", "a pipe"])
def test_what_is_no_number_or_was_changed_is_not_gone_on_from(
    how: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    weights = [1.0, np.inf if how == "infinite" else 2.0]
    Checkpoint(tmp_path, {}, resume=False).save("crops", 1, [Variable(weights)], [])
    path = tmp_path / "unfinished_crops.npz"
    if how == "changed":
        np.savez(path, **load(path) | {"variable_0": np.array([1.0, 3.0])})
    elif how == "another epoch":
        kept = load(path)
        about = json.loads(str(kept["about"])) | {"epoch": "two"}
        np.savez(path, **kept | {"about": np.array(json.dumps(about))})
    elif how == "a pipe":
        if not hasattr(os, "mkfifo"):
            pytest.skip("no named pipes here")
        path.unlink()
        os.mkfifo(path)
    variable = Variable([0.0, 0.0])
    assert Checkpoint(tmp_path, {}, resume=True).load("crops", [variable]) is None
    assert not variable.value.any()
    if how != "a pipe":
        assert "starting crops anew" in capsys.readouterr().err


def test_what_is_no_checkpoint_is_neither_replaced_nor_deleted(tmp_path: Path) -> None:
    theirs = tmp_path / "unfinished_crops.npz"
    theirs.write_text("precious")
    checkpoint = Checkpoint(tmp_path, {}, resume=False)
    with pytest.raises(UserError, match="no checkpoint of ours"):
        checkpoint.save("crops", 1, [Variable(1.0)], [])
    checkpoint.clear()
    assert theirs.read_text() == "precious"


def test_cells_found_on_the_way_come_back() -> None:
    def field(found: int, dismissed: int) -> TrainingField:
        box = np.arange(4.0 * (2 + found)).reshape(-1, 4)
        return TrainingField(
            name="a", data=b"", box=box, label=np.arange(2 + found), lab="", annotated=2,
            complete=np.ones(1, bool), cell_px=9, free=np.ones((2, 2), bool),
            dismissed=np.ones((dismissed, 4)),
        )  # fmt: skip

    fields = [field(3, 0), field(0, 2), field(1, 1)]
    fresh = [field(0, 0) for _ in fields]
    for back, was in zip(unpack_found(fresh, pack_found(fields)), fields, strict=True):
        assert (back.box[2:] == was.box[2:]).all() and (back.label == was.label).all()
        assert len(back.dismissed) == len(was.dismissed)
