"""Folds: few fields are all trained on, and each is tested by a network that hasn't seen it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
from conftest import Run, SampleRun, metadata, only_error, read_model_card

from hematovision.archive.folds import deal_folds, list_folds
from hematovision.archive.loading import load_archive
from hematovision.evaluation.fold_answers import ask_by_fold, find_folds
from hematovision.evaluation.matching import match_archive
from hematovision.networks.classifier import Classifier


def test_twins_are_in_one_fold_and_folds_are_even() -> None:
    folds = deal_folds([0, 1, 1, 2, 3, 4, 5], seed=1)
    assert folds[1] == folds[2]
    assert sorted(np.bincount([f for i, f in enumerate(folds) if i != 2]).tolist()) == [2, 2, 2]
    assert folds == deal_folds([0, 1, 1, 2, 3, 4, 5], seed=1)


def test_a_field_that_is_dealt_to_no_fold_has_none() -> None:
    assert list_folds(np.array(["a", "b"]), {"a": 2}).tolist() == [2, -1]


def test_five_fields_stand_in_every_split_and_are_dealt_to_folds(
    voc_dataset: Callable[..., Path], archive: Callable[..., dict]
) -> None:
    arrays = archive(voc_dataset(5))
    found = metadata(arrays)
    assert found["split"] == "folds"
    assert set(found["folds"]) == set(arrays["source_train"].tolist())
    assert set(arrays["source_train"].tolist()) == set(arrays["source_test"].tolist())
    assert found["fields"] == {"train": 5, "val": 5, "test": 5}


def test_more_fields_are_split_unless_folds_are_asked_for(
    voc_dataset: Callable[..., Path], archive: Callable[..., dict]
) -> None:
    root = voc_dataset(8)
    assert not metadata(archive(root))["folds"]
    assert len(metadata(archive(root, "--split", "folds"))["folds"]) == 8


def test_one_field_is_an_error_line_that_says_what_to_do(
    voc_dataset: Callable[..., Path], tmp_path: Path, run: Run
) -> None:
    args = ("--data-dir", voc_dataset(1), "--output", tmp_path / "a.npz")
    assert "--split test" in only_error(run("preprocess_data.py", *args))


def test_each_field_is_answered_by_a_network_that_has_not_learnt_it(
    sample_run: SampleRun, tmp_path: Path
) -> None:
    """With copies of one network for folds, whose cards alone differ."""
    archive = load_archive(sample_run.archive, ["test"])
    test, digests = archive.splits["test"], archive.metadata.field_sha256["test"]
    names = sorted(digests)
    folder = tmp_path / "model"
    shutil.copytree(sample_run.model, folder)

    def learn(home: Path, fields: list[str]) -> None:
        card = read_model_card(sample_run.model)
        card["training_fields"] = sorted(digests[name] for name in fields)
        (home / "hematovision.json").write_text(json.dumps(card))

    learn(folder, names)
    for fold in (0, 1):
        shutil.copytree(sample_run.model, folder / f"fold_{fold}")
        learn(folder / f"fold_{fold}", names[1 - fold :: 2])
    models, home = find_folds(folder, archive, np.array(names))
    assert [model.name for model in models] == ["fold_0", "fold_1"]
    assert home.tolist() == [i % 2 for i in range(len(names))]
    kept = match_archive(archive, Classifier.load(folder), sample_run.archive)
    assert len(kept.y) == len(test.y)
    found = ask_by_fold(folder, archive, sample_run.archive, kept, 2)
    assert np.allclose(found.proba, kept.model.predict_proba(test.X[:])[0])
    learn(folder / "fold_0", names)  # and now nobody can answer for some of them
    assert find_folds(folder, archive, np.array(names))[0] == []
