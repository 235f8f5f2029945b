"""Scores: each figure for many weightings of the crops at once, bootstrap, intervals.

Intervals are 95 % percentile bootstrap intervals over fields (Davison and Hinkley, 1997), since
crops of one field are not independent; those of few fields are widened by Student's t.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from hematovision.program.console import progress

HEADLINE = ("accuracy", "balanced_accuracy", "precision", "recall", "f1", "roc_auc",
            "average_precision", "mcc", "brier", "ece")  # fmt: skip
OF_A_CLASS = ("precision", "recall", "f1", "roc_auc", "average_precision")
FEWEST = 5  # examples below which no interval is given
AGREEING = 8  # fields below which it tells nothing that all of them say the same
FEW_FIELDS = 10  # below so many, percentiles of the bootstrap claim to know too much
# Where bands of curves are read off: closer where good models' curves bend.
GRID = np.r_[0:0.1:0.002, 0.1:0.9:0.02, 0.9:1:51j].round(3)


class Bootstrap(NamedTuple):
    """How intervals are drawn."""

    resamples: int  # 0: no intervals
    seed: int


def calibration_error(
    confidence: np.ndarray, correct: np.ndarray, weight: np.ndarray, bins: int = 15
) -> np.ndarray:
    """Expected calibration error over equal-width bins of [0, 1] (Guo et al., 2017).

    One for weights (n,) of the crops, or (r,) for weights (r, n).
    """
    home = np.minimum((confidence * bins).astype(int), bins - 1)
    gap = weight @ (np.eye(bins)[home] * (confidence - correct)[:, np.newaxis])
    return np.abs(gap).sum(axis=-1) / weight.sum(axis=-1)


def accumulate(
    truth: np.ndarray, scores: np.ndarray, weights: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Hits and false alarms (r, m + 1) as the threshold falls from above all m distinct scores.

    `truth` (n,) bool, `scores` (n,), `weights` (r, n) of the crops.
    """
    order = np.argsort(-scores, kind="stable")
    last = np.append(np.flatnonzero(np.diff(scores[order])), len(scores) - 1)
    kinds = (weights[:, order] * truth[order], weights[:, order] * ~truth[order])
    hits, false = (np.cumsum(kind, axis=1)[:, last] for kind in kinds)
    before = ((0, 0), (1, 0))
    return np.pad(hits, before), np.pad(false, before)


def score_classes(
    y: np.ndarray, proba: np.ndarray, predicted: np.ndarray, weights: np.ndarray
) -> dict[str, np.ndarray]:
    """The figures OF_A_CLASS, of each against the rest: (r, k) for weights (r, n) of the crops.

    NaN where the class, or the rest of them, is absent. One call serves all resamples, which
    scikit-learn would be called for one by one; the tests hold the two equal.
    """
    count, k = len(weights), proba.shape[1]
    found = {name: np.full((count, k), np.nan) for name in OF_A_CLASS}
    for c in range(k):
        truth, answer = y == c, predicted == c
        hit, true, given = (weights @ mask for mask in (truth & answer, truth, answer))
        hits, false = accumulate(truth, proba[:, c], weights)
        with np.errstate(invalid="ignore", divide="ignore"):
            found["precision"][:, c] = np.where(given > 0, hit / given, 0)
            found["recall"][:, c] = hit / true
            found["f1"][:, c] = 2 * hit / (true + given)
            area = ((hits[:, 1:] + hits[:, :-1]) / 2 * np.diff(false)).sum(axis=1)
            found["roc_auc"][:, c] = area / (hits[:, -1] * false[:, -1])
            precision = np.nan_to_num(hits / (hits + false))[:, 1:]
            found["average_precision"][:, c] = (np.diff(hits) * precision).sum(axis=1) / true
        for name in OF_A_CLASS:
            rest_needed = name in ("roc_auc", "average_precision")
            found[name][(true == 0) | (rest_needed & (false[:, -1] == 0)), c] = np.nan
    return found


def score_weighted(
    y: np.ndarray, proba: np.ndarray, predicted: np.ndarray, weights: np.ndarray
) -> dict[str, np.ndarray]:
    """The headline figures, each (r,), for labels (n,), probabilities (n, k) and weights (r, n).

    With two classes, precision, recall, f1, roc_auc, average_precision and brier are RBC's, the
    second class's; with more they are means over the classes present (brier: the sum over classes).
    `ece` compares the probability of the likeliest class with how often it is right.
    A figure that needs a class which is absent is NaN.
    And those of each class, (r, k), under names such as "recall by class".
    """
    k = proba.shape[1]
    binary = k == 2
    truth = np.eye(k)[y]
    per_crop = (proba - truth)[:, 1] ** 2 if binary else ((proba - truth) ** 2).sum(axis=1)
    confidence, likeliest = proba.max(axis=1), proba.argmax(axis=1)
    total = weights.sum(axis=1)
    given = weights @ np.eye(k)[predicted]
    true = weights @ truth
    right = weights @ (predicted == y)
    by_class = score_classes(y, proba, predicted, weights)
    with np.errstate(invalid="ignore"):
        # Matthews correlation for k classes (Gorodkin, 2004).
        spread = (total**2 - (given**2).sum(axis=1)) * (total**2 - (true**2).sum(axis=1))
        agreement = right * total - (given * true).sum(axis=1)
        mcc = np.where(spread > 0, agreement / np.sqrt(spread), 0.0)
    means = {
        name: values[:, 1] if binary else mean_present(values) for name, values in by_class.items()
    }
    return {
        "accuracy": right / total,
        "balanced_accuracy": mean_present(by_class["recall"]),
        **means,
        "mcc": mcc,
        "brier": weights @ per_crop / total,
        "ece": calibration_error(confidence, likeliest == y, weights),
        **{f"{name} by class": values for name, values in by_class.items()},
    }


def mean_present(values: np.ndarray) -> np.ndarray:
    """Mean (r,) over the classes of (r, k) that are present, which is to say not NaN."""
    present = np.isfinite(values)
    with np.errstate(invalid="ignore"):
        return np.where(present, values, 0).sum(axis=1) / present.sum(axis=1)


def trace_curves(y: np.ndarray, proba: np.ndarray, weights: np.ndarray) -> dict[str, np.ndarray]:
    """Heights (r, k, len(GRID)) over GRID: recall by false positive rate, precision by recall."""
    shape = (len(weights), proba.shape[1], len(GRID))
    curves = {"roc": np.full(shape, np.nan), "pr": np.full(shape, np.nan)}
    for c in range(proba.shape[1]):
        for i, (hits, false) in enumerate(
            zip(*accumulate(y == c, proba[:, c], weights), strict=True)
        ):
            if hits[-1] > 0 and false[-1] > 0:
                at = np.searchsorted(false / false[-1], GRID, side="right") - 1
                curves["roc"][i, c] = hits[at] / hits[-1]
                at = np.maximum(np.searchsorted(hits / hits[-1], GRID), 1)
                curves["pr"][i, c] = hits[at] / np.maximum(hits[at] + false[at], 1e-9)
    return curves


def share_right(right: np.ndarray, member: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Share (r, g) of crops that are `right` (n,), in groups that they are `member` of (n, g)."""
    with np.errstate(invalid="ignore"):
        return weights @ (member * right[:, np.newaxis]) / (weights @ member)


def resample(
    statistics: Callable[[np.ndarray], dict[str, np.ndarray]],
    source: np.ndarray,
    bootstrap: Bootstrap,
) -> dict[str, np.ndarray]:
    """`statistics` of weights (r, n), each (r, ...), of as many fields drawn with replacement.

    A crop weighs as often as its field was drawn. The same seed draws the same fields, so what two
    calls return can be paired.
    """
    resamples = bootstrap.resamples
    fields, home = np.unique(source, return_inverse=True)
    rng = np.random.default_rng(bootstrap.seed)
    times = rng.multinomial(len(fields), np.full(len(fields), 1 / len(fields)), resamples)
    step = max(1, 200_000 // len(source))  # keeps the cumulated weights within the CPU's cache
    starts = range(0, resamples, step)
    parts = [
        statistics(times[start : start + step][:, home].astype(float))
        for start in progress(starts, len(starts), "bootstrap")
    ]
    return {name: np.concatenate([p[name] for p in parts]) for name in parts[0]} if parts else {}


def find_interval(
    values: np.ndarray | None, fields: int | None = None, lowest: float = 0.0
) -> list[float] | None:
    """2.5th and 97.5th percentile of (r,); None where most resamples gave no number.

    Drawn from few `fields` again and again, these lie too close: they are moved from their middle
    as far as Student's t asks for so few, but not beyond `lowest` and what was reached, or 1. A
    handful of fields that all say the same say nothing of how far others lie.
    """
    if values is None or np.isfinite(values).sum() <= len(values) / 2:
        return None
    low, middle, high = np.percentile(values[np.isfinite(values)], [2.5, 50, 97.5]).tolist()
    if fields is None or fields >= FEW_FIELDS:
        return [low, high]
    if fields < AGREEING and low == high:
        return None
    from scipy.stats import norm, t

    wider = t.ppf(0.975, fields - 1) / norm.ppf(0.975) * math.sqrt(fields / (fields - 1))
    least, most = min(lowest, low), max(1.0, high)
    return [
        max(least, middle - wider * (middle - low)),
        min(most, middle + wider * (high - middle)),
    ]


def is_scarce(member: np.ndarray, source: np.ndarray) -> bool:
    """Whether the crops `member` (n,) are too few, or of too few fields, for an interval."""
    return bool(member.sum() < FEWEST or len(np.unique(source[member])) < 2)


def find_scarce(y: np.ndarray, source: np.ndarray, k: int) -> list[str]:
    """The headline figures that too few examples of some class leave without an interval."""
    if is_scarce(np.ones(len(y), bool), source):
        return list(HEADLINE)
    # Of more than two classes, those without any example don't enter.
    counted = range(k) if k == 2 else np.unique(y)
    if any(is_scarce(y == c, source) for c in counted):
        return [name for name in HEADLINE if name not in ("accuracy", "brier", "ece")]
    return []


def find_intervals(
    draws: dict[str, np.ndarray], y: np.ndarray, source: np.ndarray, k: int, suffix: str = ""
) -> dict[str, list[float] | None]:
    """95 % intervals of the headline figures in `draws`, whose names end with `suffix`.

    Percentile bootstrap over clusters (Davison and Hinkley, 1997). None where a figure could not be
    computed in most resamples, or rests on too few examples.
    """
    scarce, fields = find_scarce(y, source, k), len(np.unique(source))

    def find(name: str) -> list[float] | None:
        lowest = -1.0 if suffix or name == "mcc" else 0.0
        return find_interval(draws.get(name + suffix), fields, lowest)

    return {name: None if name in scarce else find(name) for name in HEADLINE}


def mcnemar(only_first: int, only_second: int) -> float:
    """Probability of so uneven a division, or a more uneven one, were each crop's a coin's toss."""
    n = only_first + only_second
    tail = sum(math.comb(n, i) for i in range(min(only_first, only_second) + 1))
    return min(1.0, 2 * tail / 2**n)
