"""Which model predict.py takes, what it does with its card, and what it refuses of it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from conftest import Run, SampleRun, answers, only_error


def test_without_model_it_takes_the_trained_one_else_the_bundled_and_says_which(
    ask: Run,
    cells: list[Path],
    sample_run: SampleRun,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    bundled = tmp_path / "elsewhere"
    shutil.copytree(sample_run.model, bundled)
    monkeypatch.setattr("hematovision.networks.card.PRETRAINED", bundled)
    result = ask(cells[0], "--json", model=None)
    assert result.status == 0
    assert "bundled" in result.err and str(bundled) in result.err
    assert len(answers(result)) == 1  # the notice isn't on stdout

    shutil.copytree(sample_run.model, tmp_path / "model")
    result = ask(cells[0], model=None)
    assert result.status == 0
    assert "bundled" not in result.err and "model" in result.err


def test_the_threshold_of_the_card_decides(
    ask: Run, cells: list[Path], sample_run: SampleRun, tmp_path: Path
) -> None:
    model = tmp_path / "model"
    shutil.copytree(sample_run.model, model)
    card = json.loads((model / "hematovision.json").read_text())
    known = answers(ask(*cells, "--json", model=model))
    between = np.median([a["rbc_probability"] for a in known]) - 1e-4
    for threshold in (0.0, between):
        (model / "hematovision.json").write_text(json.dumps(card | {"threshold": threshold}))
        found = answers(ask(*cells, "--json", model=model))
        expected = ["RBC" if a["rbc_probability"] >= threshold else "Other" for a in known]
        assert [a["label"] for a in found] == expected
    assert {"RBC", "Other"} == set(expected)  # of several cells, so that it could be wrong


def test_novelty_above_the_cards_marks_uncertain(
    ask: Run, cells: list[Path], sample_run: SampleRun, tmp_path: Path
) -> None:
    model = tmp_path / "model"
    shutil.copytree(sample_run.model, model)
    card = json.loads((model / "hematovision.json").read_text())
    for threshold, uncertain in ((-1e9, True), (1e9, False)):
        (model / "hematovision.json").write_text(
            json.dumps(card | {"novelty_threshold": threshold})
        )
        assert [a["uncertain"] for a in answers(ask(*cells, "--json", model=model))] == (
            [uncertain] * len(cells)
        )
        assert ask(*cells, model=model).out.count("uncertain") == uncertain * len(cells)


@pytest.mark.parametrize("name", ["hematovision.json", "hematovision.tflite"])
@pytest.mark.parametrize("content", [b"", b"{}", b"no model at all", "half"])
def test_a_damaged_model_is_an_error_line(
    ask: Run,
    cells: list[Path],
    sample_run: SampleRun,
    tmp_path: Path,
    name: str,
    content: bytes | str,
) -> None:
    model = tmp_path / "model"
    shutil.copytree(sample_run.model, model)
    whole = (model / name).read_bytes()
    (model / name).write_bytes(whole[: len(whole) // 2] if isinstance(content, str) else content)
    assert "model" in only_error(ask(cells[0], model=model))


def test_model_and_card_of_different_trainings_are_refused(
    ask: Run,
    cells: list[Path],
    sample_run: SampleRun,
    multiclass_run: SampleRun,
    tmp_path: Path,
) -> None:
    model = tmp_path / "model"
    shutil.copytree(sample_run.model, model)
    shutil.copy(multiclass_run.model / "hematovision.json", model)
    assert "model" in only_error(ask(cells[0], model=model))


def test_a_card_of_another_image_size_is_refused(
    ask: Run, cells: list[Path], sample_run: SampleRun, tmp_path: Path
) -> None:
    model = tmp_path / "model"
    shutil.copytree(sample_run.model, model)
    card = json.loads((model / "hematovision.json").read_text())
    (model / "hematovision.json").write_text(json.dumps(card | {"image_size": 96}))
    assert "model" in only_error(ask(cells[0], model=model))
