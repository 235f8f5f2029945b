"""Calibration: temperature, loss, thresholds."""

from __future__ import annotations

import numpy as np
import pytest

from hematovision.program.console import UserError
from hematovision.training.calibration import (
    check_learnt,
    check_loss,
    choose_novelty,
    choose_threshold,
    fit_temperature,
    measure_loss,
)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.5])
def test_the_temperature_of_overconfident_logits_is_found(temperature: float) -> None:
    rng = np.random.default_rng(0)
    honest = rng.normal(0, 2, (20000, 3))
    gumbel = rng.gumbel(size=honest.shape)
    code = (honest + gumbel).argmax(axis=1)  # drawn with softmax(honest) as probabilities
    assert fit_temperature(honest * temperature, np.eye(3, dtype=bool)[code]) == pytest.approx(
        temperature, rel=0.05
    )


def test_the_temperature_of_flawless_logits_is_finite() -> None:
    code = np.array([0, 1, 0, 1])
    assert 0 < fit_temperature(np.eye(2)[code] * 20, np.eye(2, dtype=bool)[code]) < 100


def test_the_loss_is_the_mean_negative_log_likelihood() -> None:
    logits = np.log([[0.7, 0.2, 0.1], [0.1, 0.6, 0.3]]) + 50
    expected = -(np.log(0.7) + np.log(0.3)) / 2
    assert measure_loss(logits, np.eye(3, dtype=bool)[[0, 2]]) == pytest.approx(expected)
    assert np.isfinite(measure_loss(np.array([[1000.0, -1000.0]]), np.array([[False, True]])))


def test_the_loss_of_a_label_that_may_be_several_is_that_of_their_sum() -> None:
    logits = np.log([[0.7, 0.2, 0.1]])
    found = measure_loss(logits, np.array([[False, True, True]]))
    assert found == pytest.approx(-np.log(0.3))
    assert measure_loss(logits, np.ones((1, 3), bool)) == pytest.approx(0)


def test_one_in_a_hundred_validation_crops_is_called_strange() -> None:
    novelty = np.random.default_rng(0).permutation(np.arange(1000.0))
    found = choose_novelty(novelty, np.zeros(1000, bool))
    assert (novelty > found).mean() == pytest.approx(0.01)


@pytest.mark.parametrize("shift", [-500, 500])
def test_neither_of_cells_nor_of_plain_ground_are_more_than_one_in_a_hundred(shift: int) -> None:
    cells, ground = np.arange(1000.0), np.arange(1000.0) + shift
    found = choose_novelty(np.r_[cells, ground], np.repeat([False, True], 1000))
    assert (cells > found).mean() <= 0.01
    assert (ground > found).mean() <= 0.01


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


def test_a_loss_that_is_no_number_stops() -> None:
    check_loss(3.5, "fine-tune 1")
    for loss in (float("nan"), float("inf")):
        with pytest.raises(UserError, match="fine-tune 2: the loss became"):
            check_loss(loss, "fine-tune 2")


def test_answers_no_better_than_chance_stop() -> None:
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, 300)
    with pytest.raises(UserError, match="no better than chance"):
        check_learnt(y, rng.permutation(y), 3)
    with pytest.raises(UserError, match=r"0\.333 of 0\.333"):
        check_learnt(y, np.zeros(300, int), 3)  # always the commonest
    half = np.where(rng.random(300) < 0.5, y, rng.permutation(y))
    check_learnt(y, half, 3)
    check_learnt(y[:6], np.zeros(6, int), 3)  # too few to tell
