"""The network for crops: light and scale inside it, its head, its export."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from conftest import apart

from hematovision.console import UserError
from hematovision.images import GROUND
from hematovision.training.backbone import build_backbone
from hematovision.training.crop_network import check_export, fit_head, split_backbone, weigh_classes

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


def test_rare_classes_weigh_more_and_the_mean_is_one() -> None:
    code = np.repeat([0, 1, 2], [90, 9, 1])
    weight = weigh_classes(code)
    assert weight[0] < weight[1] < weight[2]
    assert weight[code].mean() == pytest.approx(1)
    assert weigh_classes(np.array([0, 1, 1, 0])) == pytest.approx([1, 1])


@pytest.mark.parametrize("classes", [2, 4])
def test_the_head_learns_to_separate(classes: int) -> None:
    rng = np.random.default_rng(0)
    code = np.repeat(np.arange(classes), 30)
    features = rng.normal(0, 1, (len(code), 10)) + 5
    features[np.arange(len(code)), code] += 6
    fitted: list[np.ndarray] = []
    network = SimpleNamespace(  # the features are what goes in
        frozen=lambda crops: crops,
        upper=SimpleNamespace(predict=lambda activations, **_: activations),
        head=SimpleNamespace(set_weights=fitted.extend),
    )
    history = fit_head(network, features, code, lambda: {"val_loss": 0.5})
    assert history == [{"phase": "head", "epoch": 0, "val_loss": 0.5}]
    kernel, bias = fitted
    assert (kernel.shape, bias.shape) == ((10, classes), (classes,))
    assert ((features @ kernel + bias).argmax(axis=1) == code).mean() > 0.97


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
