"""Calibration: temperature, loss, threshold."""

from __future__ import annotations

import numpy as np
import pytest

from hematovision.training.calibration import choose_threshold, fit_temperature, measure_loss


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.5])
def test_the_temperature_of_overconfident_logits_is_found(temperature: float) -> None:
    rng = np.random.default_rng(0)
    honest = rng.normal(0, 2, (20000, 3))
    gumbel = rng.gumbel(size=honest.shape)
    code = (honest + gumbel).argmax(axis=1)  # drawn with softmax(honest) as probabilities
    assert fit_temperature(honest * temperature, code) == pytest.approx(temperature, rel=0.05)


def test_the_temperature_of_flawless_logits_is_finite() -> None:
    code = np.array([0, 1, 0, 1])
    assert 0 < fit_temperature(np.eye(2)[code] * 20, code) < 100


def test_the_loss_is_the_mean_negative_log_likelihood() -> None:
    logits = np.log([[0.7, 0.2, 0.1], [0.1, 0.6, 0.3]]) + 50
    expected = -(np.log(0.7) + np.log(0.3)) / 2
    assert measure_loss(logits, np.array([0, 2])) == pytest.approx(expected)
    assert np.isfinite(measure_loss(np.array([[1000.0, -1000.0]]), np.array([1])))


@pytest.mark.parametrize(
    ("negative", "positive", "low", "high"),
    [
        ([0.1, 0.2], [0.8, 0.9], 0.5, 0.5),  # 1/2 is as good as any
        ([0.1, 0.6], [0.8, 0.9], 0.6, 0.8),
        ([0.1, 0.2], [0.3, 0.9], 0.2, 0.3),
        ([0.01, 0.05, 0.9], [0.4, 0.95, 0.97], 0.05, 0.4),  # one false alarm can't be avoided
    ],
)
def test_the_threshold_separates_as_near_a_half_as_it_can(
    negative: list[float], positive: list[float], low: float, high: float
) -> None:
    probability = np.array(negative + positive)
    truth = np.array([False] * len(negative) + [True] * len(positive))
    shuffled = np.random.default_rng(0).permutation(len(truth))
    found = choose_threshold(probability[shuffled], truth[shuffled])
    assert low <= found <= high
