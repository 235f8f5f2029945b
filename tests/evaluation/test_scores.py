"""Scores: against hand-computed figures and scikit-learn; resamples of fields, not of crops."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import HEADLINE
from sklearn import metrics as sk

from hematovision.evaluation.scores import (
    GRID,
    OF_A_CLASS,
    Bootstrap,
    calibration_error,
    find_intervals,
    is_scarce,
    mcnemar,
    resample,
    score_weighted,
    trace_curves,
)


def two_classes(rbc: list[float]) -> np.ndarray:
    """Probabilities (n, 2) of which the second column is given."""
    return np.stack([1 - np.array(rbc), rbc], axis=1)


def score(y: list[int], proba: np.ndarray, weight: list[float] | None = None) -> dict[str, float]:
    return decide(y, proba, proba.argmax(axis=1), weight)


def decide(
    y: list[int], proba: np.ndarray, predicted: np.ndarray, weight: list[float] | None = None
) -> dict[str, float]:
    """The headline figures of one weighting of the crops."""
    weights = np.ones((1, len(y))) if weight is None else np.array([weight], float)
    found = score_weighted(np.array(y), proba, predicted, weights)
    return {name: float(found[name][0]) for name in HEADLINE}


def test_a_perfect_classifier_scores_full_marks() -> None:
    found = score([0, 0, 1, 1, 1], two_classes([0.0, 0.0, 1.0, 1.0, 1.0]))
    assert found == pytest.approx(dict.fromkeys(HEADLINE, 1.0) | {"brier": 0.0, "ece": 0.0})


def test_a_classifier_that_is_always_wrong_scores_none() -> None:
    found = score([0, 0, 1, 1, 1], two_classes([1.0, 1.0, 0.0, 0.0, 0.0]))
    # All crops are tied but for the wrong ones first: precision 3/5 where the recall comes.
    worst = {"mcc": -1.0, "brier": 1.0, "ece": 1.0, "average_precision": 3 / 5}
    assert found == pytest.approx(dict.fromkeys(HEADLINE, 0.0) | worst, abs=1e-9)


def test_figures_of_a_small_case_worked_out_by_hand() -> None:
    # Others at 0.1, 0.2, 0.7 and red cells at 0.3, 0.6, 0.8, 0.9: hits 3 of 4, false alarm 1 of 3.
    found = score([0, 0, 0, 1, 1, 1, 1], two_classes([0.1, 0.2, 0.7, 0.3, 0.6, 0.8, 0.9]))
    assert found["accuracy"] == pytest.approx(5 / 7)
    assert found["balanced_accuracy"] == pytest.approx((2 / 3 + 3 / 4) / 2)
    assert found["precision"] == pytest.approx(3 / 4)
    assert found["recall"] == pytest.approx(3 / 4)
    assert found["f1"] == pytest.approx(3 / 4)
    assert found["roc_auc"] == pytest.approx(10 / 12)  # pairs in the right order
    assert found["average_precision"] == pytest.approx((1 + 1 + 3 / 4 + 4 / 5) / 4)
    assert found["mcc"] == pytest.approx((3 * 2 - 1 * 1) / np.sqrt(4 * 4 * 3 * 3))
    squares = [0.1**2, 0.2**2, 0.7**2, 0.7**2, 0.4**2, 0.2**2, 0.1**2]
    assert found["brier"] == pytest.approx(np.mean(squares))


def test_a_weight_counts_like_that_many_crops() -> None:
    rng = np.random.default_rng(0)
    y, times = rng.integers(0, 3, 40), rng.integers(1, 5, 40)
    proba = rng.dirichlet(np.ones(3), 40)
    weighted = score(y.tolist(), proba, times.tolist())
    repeated = score(np.repeat(y, times).tolist(), np.repeat(proba, times, axis=0))
    assert weighted == pytest.approx(repeated)
    assert weighted != pytest.approx(score(y.tolist(), proba))


@pytest.mark.filterwarnings("ignore:A single label")
def test_the_threshold_decides_not_the_likeliest_class() -> None:
    proba = two_classes([0.3, 0.3])
    found = decide([1, 1], proba, np.array([1, 1]))
    assert (found["accuracy"], found["recall"]) == (1.0, 1.0)


def test_multiclass_figures_are_means_over_the_classes() -> None:
    proba = np.eye(3)[[0, 0, 1, 2, 2, 0]]
    found = score([0, 0, 1, 1, 2, 2], proba)
    assert found["recall"] == pytest.approx((1 + 1 / 2 + 1 / 2) / 3)
    assert found["precision"] == pytest.approx((2 / 3 + 1 + 1 / 2) / 3)
    assert found["balanced_accuracy"] == pytest.approx(found["recall"])
    assert found["brier"] == pytest.approx(2 * 2 / 6)
    # One against the rest; hard answers give (recall + specificity) / 2 each.
    assert found["roc_auc"] == pytest.approx(
        np.mean([(1 + 3 / 4), (1 / 2 + 1), (1 / 2 + 3 / 4)]) / 2
    )


def test_a_class_without_examples_is_left_out_of_the_means() -> None:
    found = score([0, 0, 1, 1], np.eye(3)[[0, 0, 1, 1]])
    assert found["balanced_accuracy"] == found["recall"] == found["roc_auc"] == 1.0


@pytest.mark.filterwarnings("ignore:A single label")
def test_what_needs_two_classes_is_no_number_with_one() -> None:
    found = score([1, 1], two_classes([0.8, 0.9]))
    assert np.isnan(found["roc_auc"]) and np.isnan(found["average_precision"])
    assert found["accuracy"] == 1.0


@pytest.mark.parametrize(
    ("confidence", "correct", "error"),
    [
        ([1.0, 1.0], [1, 1], 0.0),
        ([1.0, 1.0], [0, 0], 1.0),
        ([0.75, 0.75, 0.75, 0.75], [1, 1, 1, 0], 0.0),
        ([0.9, 0.9, 0.6, 0.6], [1, 0, 1, 1], (0.4 + 0.4) / 2),  # two bins, one each way
        ([0.9, 0.91, 0.92, 0.93], [1, 1, 1, 0], abs(0.915 - 0.75)),  # one bin: errors cancel in it
    ],
)
def test_calibration_error(confidence: list[float], correct: list[int], error: float) -> None:
    ones = np.ones(len(confidence))
    found = calibration_error(np.array(confidence), np.array(correct, bool), ones)
    assert found == pytest.approx(error)


def test_calibration_error_has_as_many_bins_as_it_says() -> None:
    confidence, correct, ones = np.array([0.95, 0.99]), np.array([True, False]), np.ones(2)
    fifteen = calibration_error(confidence, correct, ones)
    hundred = calibration_error(confidence, correct, ones, bins=100)
    assert fifteen == pytest.approx(abs(0.97 - 0.5))
    assert hundred == pytest.approx((0.05 + 0.99) / 2)


# --- many weightings at once ----------------------------------------------------------------------


def draw_case(k: int, n: int = 120) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels, probabilities with ties, and the weights of five resamples."""
    rng = np.random.default_rng(k)
    y = rng.integers(0, k, n)
    raw = rng.dirichlet(np.ones(k), n) + np.eye(k)[y] * 0.7
    proba = (raw / raw.sum(axis=1, keepdims=True)).round(2)
    weights = rng.multinomial(n, np.full(n, 1 / n), 5).astype(float)
    return y, proba, weights


@pytest.mark.parametrize("k", [2, 3])
def test_vectorised_figures_equal_scikit_learn(k: int) -> None:
    y, proba, weights = draw_case(k)
    predicted = proba.argmax(axis=1)
    found = score_weighted(y, proba, predicted, weights)
    for i, weight in enumerate(weights):
        by_class = np.array(
            [
                [
                    *(f[1] for f in sk.precision_recall_fscore_support(
                        y == c, predicted == c, sample_weight=weight)[:3]),
                    sk.roc_auc_score(y == c, proba[:, c], sample_weight=weight),
                    sk.average_precision_score(y == c, proba[:, c], sample_weight=weight),
                ]
                for c in range(k)
            ]
        )  # fmt: skip
        for j, name in enumerate(OF_A_CLASS):
            assert found[f"{name} by class"][i] == pytest.approx(by_class[:, j]), name
            expected = by_class[1, j] if k == 2 else by_class[:, j].mean()
            assert found[name][i] == pytest.approx(expected), name
        options = {"y_true": y, "y_pred": predicted, "sample_weight": weight}
        assert found["accuracy"][i] == pytest.approx(sk.accuracy_score(**options))
        assert found["balanced_accuracy"][i] == pytest.approx(sk.balanced_accuracy_score(**options))
        assert found["mcc"][i] == pytest.approx(sk.matthews_corrcoef(**options))


def test_curves_equal_scikit_learn() -> None:
    y, proba, weights = draw_case(2)
    found = trace_curves(y, proba, weights)
    for i, weight in enumerate(weights):
        kept = {"sample_weight": weight, "drop_intermediate": False}
        false, hit, _ = sk.roc_curve(y, proba[:, 1], **kept)
        at = [hit[false <= x + 1e-12].max() for x in GRID]
        assert found["roc"][i, 1] == pytest.approx(np.array(at))
        precision, recall, _ = sk.precision_recall_curve(y, proba[:, 1], **kept)
        # The highest threshold at which the recall is reached.
        at = [precision[:-1][recall[:-1] >= max(x, 1e-9) - 1e-12][-1] for x in GRID]
        assert found["pr"][i, 1] == pytest.approx(np.array(at))


# --- bootstrap ------------------------------------------------------------------------------------


def bootstrap(right: np.ndarray, source: np.ndarray, seed: int = 0) -> dict:
    """Intervals of a classifier that is right where told, on alternating classes."""
    y = np.arange(len(right)) % 2
    predicted = np.where(right, y, 1 - y)
    proba = np.eye(2)[predicted]
    draws = resample(lambda w: score_weighted(y, proba, predicted, w), source, Bootstrap(100, seed))
    return find_intervals(draws, y, source, 2)


def test_bootstrap_draws_fields_not_crops() -> None:
    # Ten fields of 40 crops, each all right or all wrong: ten independent observations, not 400.
    source = np.repeat([f"field{i}" for i in range(10)], 40)
    right = np.repeat(np.arange(10) < 8, 40)
    low, high = bootstrap(right, source)["accuracy"]
    assert (high - low) > 0.3  # 400 independent crops would give 0.08
    alone = np.array([f"field{i}" for i in range(400)])
    low, high = bootstrap(right, alone)["accuracy"]
    assert 0.05 < (high - low) < 0.11


def test_bootstrap_interval_holds_the_figure_and_follows_the_seed() -> None:
    rng = np.random.default_rng(1)
    source = np.repeat([f"field{i}" for i in range(30)], 10)
    right = rng.random(300) < 0.9
    first, again, other = (bootstrap(right, source, seed) for seed in (0, 0, 1))
    assert first == again
    assert first != other
    assert set(first) == HEADLINE
    low, high = first["accuracy"]
    assert low < right.mean() < high


def test_one_field_has_no_interval() -> None:
    found = bootstrap(np.array([True, False, True, True]), np.array(["only"] * 4))
    assert found == dict.fromkeys(HEADLINE)


def test_intervals_are_percentiles_of_the_same_resamples() -> None:
    y, proba, _ = draw_case(2)
    source = np.repeat([f"field{i}" for i in range(12)], 10)

    def statistics(weights: np.ndarray) -> dict[str, np.ndarray]:
        scored = score_weighted(y, proba, proba.argmax(axis=1), weights)
        return {"accuracy": scored["accuracy"], "weight": weights}

    drawn = resample(statistics, source, Bootstrap(300, 7))
    # As many fields as there are, and all crops of a field as often.
    assert (drawn["weight"].sum(axis=1) == 120).all()
    by_field = drawn["weight"].reshape(300, 12, 10)
    assert (by_field == by_field[:, :, :1]).all()
    low, high = np.percentile(drawn["accuracy"], [2.5, 97.5])
    found = find_intervals(drawn, y, source, 2)
    assert found["accuracy"] == pytest.approx([low, high])


def test_large_samples_are_resampled_in_slices() -> None:
    source = np.repeat(["a", "b", "c"], 4)
    whole = resample(lambda w: {"w": w}, source, Bootstrap(50, 0))["w"]
    sizes = []

    def statistics(weights: np.ndarray) -> dict[str, np.ndarray]:
        sizes.append(len(weights))
        return {"w": weights}

    source = np.repeat(["a", "b", "c"], 40_000)
    sliced = resample(statistics, source, Bootstrap(50, 0))["w"]
    assert max(sizes) * len(source) <= 200_000
    assert (sliced[:, ::10_000] == whole).all()


@pytest.mark.parametrize(
    ("first", "second", "p"),
    [(0, 0, 1.0), (5, 5, 1.0), (0, 5, 2 / 32), (1, 9, 2 * 11 / 1024), (9, 1, 2 * 11 / 1024)],
)
def test_mcnemar_by_hand(first: int, second: int, p: float) -> None:
    assert mcnemar(first, second) == pytest.approx(p)


@pytest.mark.parametrize(
    ("n", "fields", "scarce"), [(4, 4, True), (5, 1, True), (5, 2, False), (0, 0, True)]
)
def test_what_is_too_few_for_an_interval(n: int, fields: int, scarce: bool) -> None:
    member = np.arange(20) < n
    source = np.array([f"field{i % max(fields, 1)}" for i in range(20)])
    assert is_scarce(member, source) is scarce
