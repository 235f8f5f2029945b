"""Heat maps: the place that decides, its colours, and predict.py --explain."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from conftest import EXAMPLES, ROOT, Run, SampleRun, only_error, run_script

from hematovision.networks.explain import occlude, paint_heat


class Spotter:
    """Stands in for a classifier: class 1 as far as the crop's top left corner is dark."""

    def predict_proba(self, crops: np.ndarray, workers: int) -> tuple[np.ndarray, np.ndarray]:
        dark = 1 - crops[:, 8:32, 8:32].mean(axis=(1, 2, 3)) / 255
        return np.stack([1 - dark, dark], axis=1), np.zeros(len(crops))


def test_a_heat_map_shows_the_place_that_decides() -> None:
    crop = np.full((96, 96, 3), 230, np.uint8)
    crop[8:32, 8:32] = 5
    fall, lowest = occlude(Spotter(), crop, 1)
    assert fall.shape == (96, 96)
    y, x = np.unravel_index(fall.argmax(), fall.shape)
    assert 8 <= y < 32 and 8 <= x < 32
    assert fall[12:28, 12:28].min() > 10 * np.abs(fall[60:, 60:]).max()
    assert lowest < 0.5  # of 0.98
    against, _ = occlude(Spotter(), crop, 0)
    assert against == pytest.approx(-fall, abs=1e-6)


def test_heat_is_orange_for_and_blue_against() -> None:
    grey = np.full((4, 4, 3), 128, np.uint8)
    painted = paint_heat(grey, np.array([[3.0, -3.0, 0.0, 0.0]] * 4))
    red, blue = painted[0, :, 0].astype(int), painted[0, :, 2].astype(int)
    assert red[0] > 180 and blue[0] < 60
    assert red[1] < 60 and blue[1] > 140
    assert (painted[:, 2:] == 128).all()


CELL = EXAMPLES / "white_cell.png"


def test_predict_explains_its_answer(sample_run: SampleRun, tmp_path: Path) -> None:
    target = tmp_path / "why.png"
    result = run_script("predict.py", CELL, "--model", sample_run.model, "--explain", target)
    assert result.status == 0, result.err
    assert result.out.startswith(f"{CELL}: ")
    assert min(cv2.imread(str(target)).shape[:2]) >= 400


def test_predict_reads_what_it_explains_once(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = []

    def decode(*args: object) -> np.ndarray:
        read.append(args)
        return np.full((60, 60, 3), 200, np.uint8)

    monkeypatch.setattr("hematovision.pictures.images.cv2.imdecode", decode)
    assert run("predict.py", CELL, "--explain", tmp_path / "why.png").status == 0
    assert len(read) == 1


@pytest.mark.parametrize("args", [(CELL, CELL, "--explain", "why.png"), (CELL, "--explain", "why")])
def test_predict_refuses_what_it_cannot_explain(
    args: tuple, sample_run: SampleRun, run: Run
) -> None:
    assert "--explain" in only_error(run("predict.py", *args, "--model", sample_run.model))


def test_predict_loads_what_explains_only_on_demand() -> None:
    slow = {"hematovision.networks.explain", "hematovision.evaluation", "matplotlib"}
    code = f"import sys, predict; assert not {slow} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, timeout=60)
