"""The network for crops: light and scale inside it, its head, its export."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import apart

from hematovision.pictures.light import GROUND
from hematovision.program.console import UserError
from hematovision.training.backbone import build_backbone
from hematovision.training.crops.network import check_export, merge_leaves, split_backbone

CROPS = np.zeros((4, 64, 64, 3), np.uint8)  # tells the size of the network to build


@pytest.fixture(scope="module")
def lit(noise: np.ndarray) -> np.ndarray:
    """Crops whose brightest patch has the brightness that any levelling would bring it to."""
    crops = noise * 0.7
    crops[:, :16, :16] = GROUND
    return crops


def test_the_network_rescales_crops_itself(
    mobilenet: Any, weights_file: Path, lit: np.ndarray
) -> None:
    """Crops in [0, 1] go in; MobileNetV2 wants [-1, 1]."""
    backbone, _ = build_backbone(str(weights_file), CROPS)
    lower, upper = split_backbone(backbone)
    found = upper.predict(lower.predict(lit, verbose=0), verbose=0)
    expected = mobilenet.predict(lit * 2 - 1, verbose=0).mean(axis=(1, 2))
    unscaled = mobilenet.predict(lit, verbose=0).mean(axis=(1, 2))
    assert apart(found, expected) < 0.1
    assert apart(unscaled, expected) > 0.5


def test_the_colour_of_the_light_makes_no_difference(weights_file: Path, lit: np.ndarray) -> None:
    lower, _ = split_backbone(build_backbone(str(weights_file), CROPS)[0])
    expected = lower.predict(lit, verbose=0)
    tinted = lit * np.array([0.9, 0.8, 0.6], np.float32)
    assert apart(lower.predict(tinted, verbose=0), expected) < 0.01
    black = lower.predict(np.zeros_like(lit), verbose=0)
    assert np.isfinite(black).all()


def test_classes_are_sums_of_leaves() -> None:
    leaves = ["Monocyte", "Neutrophil", "RBC"]
    merge = merge_leaves(leaves, ["Monocyte", "Neutrophil", "RBC", "WBC"], "multiclass")
    p = np.array([0.2, 0.7, 0.1])
    assert p @ merge == pytest.approx([0.2, 0.7, 0.1, 0.9])
    assert p @ merge_leaves(leaves, ["Other", "RBC"], "binary") == pytest.approx([0.9, 0.1])
    assert merge_leaves(leaves, leaves, "multiclass") is None


@pytest.mark.parametrize("difference", [0.0011, 0.5, np.nan])
def test_an_export_that_differs_is_refused(difference: float) -> None:
    answers = np.full((5, 2), 0.5)
    exported = answers.copy()
    exported[3, 1] += difference
    for pair in ((answers, exported), (exported, answers)):
        with pytest.raises(UserError):
            check_export(*pair)


def test_an_export_that_differs_by_exactly_the_limit_is_refused() -> None:
    with pytest.raises(UserError):
        check_export(np.zeros((1, 2)), np.full((1, 2), 0.001))


def test_an_export_that_agrees_passes() -> None:
    answers = np.random.default_rng(0).random((50, 4))
    assert check_export(answers, answers) == 0
    assert check_export(answers, answers - 0.0009) == pytest.approx(0.0009)
