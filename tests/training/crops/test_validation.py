"""Validation of crops: where to decide, near what a model knew, without a library's warnings."""

from __future__ import annotations

import warnings
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from crops import make_examples, make_split

from hematovision.archive.contents import Split
from hematovision.training.crops.validation import (
    Asked,
    answer_held_out,
    calibrate,
    settle_temperature,
)


def twice(split: Split) -> Split:
    return split.pick(np.tile(np.arange(len(split.y)), 2))


@pytest.mark.parametrize("labels", [["RBC"] * 20, ["RBC", "WBC"] * 10])
def test_one_class_alone_gives_figures_and_no_warning(labels: list[str]) -> None:
    split = make_split(labels)._replace(y=np.array([int(label == "RBC") for label in labels]))
    examples = replace(make_examples(split), task="binary")
    red = np.where(split.y == 1, 0.9, 0.2)
    asked = Asked(np.tile(np.stack([1 - red, red], axis=1), (2, 1)), np.linspace(-3, 3, 40))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = calibrate(asked, twice(split), examples, None)
    assert found.threshold == 0.5 and found.validation["accuracy"] == 1
    assert np.isfinite(list(found.validation.values())).all()


def test_a_known_threshold_moves_no_further_than_the_crops_allow() -> None:
    labels = ["RBC", "WBC"] * 25
    split = make_split(labels)._replace(y=np.array([int(label == "RBC") for label in labels]))
    examples = replace(make_examples(split), task="binary")
    red = np.where(split.y == 1, 0.9, 0.55)  # best between: 0.725
    asked = Asked(np.tile(np.stack([1 - red, red], axis=1), (2, 1)), np.zeros(100))
    model: Any = SimpleNamespace(card=SimpleNamespace(threshold=0.5, novelty_threshold=1.0))
    alone = calibrate(asked, twice(split), examples, None)
    near = calibrate(asked, twice(split), examples, model)
    assert alone.threshold == pytest.approx(0.725) and alone.novelty_threshold == 0
    assert near.threshold == pytest.approx(0.5 + 0.225 * 25 / 75)
    assert near.novelty_threshold == pytest.approx(0.5)


def test_the_temperature_of_few_crops_stays_near_the_known_one() -> None:
    members = np.eye(2, dtype=bool)[[0, 1, 0, 1]]
    logits = np.tile(np.where(members, 4.0, -4.0), (2, 1))
    known: Any = SimpleNamespace(temperature=2.0)
    alone, near = (settle_temperature(logits, members, model) for model in (None, known))
    assert alone < near < 2


def test_probabilities_of_the_folds_are_those_of_classes() -> None:
    merge = np.array([[1, 0], [1, 0], [0, 1]])
    found = answer_held_out(Asked(np.zeros((2, 3)), np.ones(2)), 1.5, merge)
    assert found.answers == pytest.approx(np.array([[2 / 3, 1 / 3]] * 2))
    assert found.novelty.tolist() == [1, 1]
