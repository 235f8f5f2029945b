"""What a report says of crops: figures, classes, groups, curves."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from hematovision.archive.contents import Split
from hematovision.cells.cells import BACKGROUND
from hematovision.cells.labels import is_rbc
from hematovision.cells.taxonomy import lift, lift_probabilities
from hematovision.evaluation.matching import Judged
from hematovision.evaluation.scores import (
    GRID,
    HEADLINE,
    OF_A_CLASS,
    Bootstrap,
    find_interval,
    find_intervals,
    is_scarce,
    resample,
    score_weighted,
    share_right,
    trace_curves,
)
from hematovision.pictures.images import Crops


class Answers(NamedTuple):
    """What a model says of the test crops."""

    proba: np.ndarray  # (n, k) probabilities
    predicted: np.ndarray  # (n,) index of the class given
    uncertain: np.ndarray  # (n,) bool, unlike anything it was trained on


def ask(classifier: Judged, crops: Crops, workers: int) -> Answers:
    """The answers to uint8 crops (n, size, size, 3), as predict.py gives them."""
    proba, novelty = classifier.predict_proba(crops, workers)
    return Answers(proba, classifier.predict(proba), classifier.is_uncertain(novelty))


def at_detail(answers: Answers, y: np.ndarray, classes: Sequence[str]) -> Answers:
    """The answers at the level of detail that was annotated (`y`, (n,)): any kind of white cell is
    right where "WBC" is all that the box says."""
    return answers._replace(
        proba=lift_probabilities(answers.proba, y, classes),
        predicted=lift(answers.predicted, y, classes),
    )


def group_crops(
    y: np.ndarray, classes: Sequence[str], split: Split
) -> list[tuple[str, str, np.ndarray]]:
    """Groups of crops to score apart: kind, name, and who is in it, (n,) bool."""
    side = np.sqrt(np.prod(split.box[:, 2:] - split.box[:, :2], axis=1)).round()
    edges = np.unique(np.percentile(side, [0, 25, 50, 75, 100]).round())
    sizes = [f"{low:.0f} to {high:.0f} px" for low, high in itertools.pairwise(edges)] or ["all"]
    home = np.digitize(side, edges[1:-1])
    groups = [("class", name, y == i) for i, name in enumerate(classes)]
    labels = np.unique(split.label).tolist()
    if not set(labels) <= set(classes):  # else it would say the same twice
        groups += [("annotated label", name, split.label == name) for name in labels]
    labs = np.unique(split.lab).tolist()
    if len(labs) > 1:
        groups += [("laboratory", name, split.lab == name) for name in labs]
    return groups + [("cell size", name, home == i) for i, name in enumerate(sizes)]


class Sample(NamedTuple):
    """Statistics of the test crops, and of each bootstrap draw of their fields."""

    found: dict[str, np.ndarray]  # name -> (...)
    draws: dict[str, np.ndarray]  # name -> (resamples, ...); empty without resamples
    source: np.ndarray  # (n,) field of each crop

    @classmethod
    def draw(
        cls,
        statistics: Callable[[np.ndarray], dict[str, np.ndarray]],
        source: np.ndarray,
        bootstrap: Bootstrap,
    ) -> Sample:
        found = {name: v[0] for name, v in statistics(np.ones((1, len(source)))).items()}
        return cls(found, resample(statistics, source, bootstrap), source)

    def interval(self, name: str, member: np.ndarray, *index: int) -> list[float] | None:
        """Interval of a statistic (at `index`) of the crops `member`; None if they're too few."""
        if name not in self.draws or is_scarce(member, self.source):
            return None
        fields = len(np.unique(self.source[member]))
        drawn = self.draws[name]
        for k in index:
            drawn = drawn[:, k]
        return find_interval(drawn, fields)


def measure(
    y: np.ndarray, answers: Answers, classes: Sequence[str], split: Split, bootstrap: Bootstrap
) -> dict[str, Any]:
    """Every figure, curve and group of the page with its interval, as metrics.json holds it, of
    answers `at_detail`."""
    proba, predicted, uncertain = answers
    k, right = len(classes), predicted == y
    groups = group_crops(y, classes, split)
    fields, home = np.unique(split.source, return_inverse=True)
    # The mean of the fields' accuracies is one more group, in which every field weighs the same.
    equal = 1 / np.bincount(home)[home]
    members = np.stack([*(m.astype(float) for *_, m in groups), equal], axis=1)
    # Reliability: of RBC's probability, or with more classes of the given class's.
    given = proba[np.arange(len(y)), predicted]
    claimed, happened = (proba[:, 1], y == 1) if k == 2 else (given, right)
    bins = np.eye(10)[np.minimum((claimed * 10).astype(int), 9)]

    def statistics(weights: np.ndarray) -> dict[str, np.ndarray]:
        return {
            **score_weighted(y, proba, predicted, weights),
            **trace_curves(y, proba, weights),
            "groups": share_right(right, members, weights),
            "reliability": share_right(happened, bins, weights),
        }

    sample = Sample.draw(statistics, split.source, bootstrap)
    return {
        **{name: sample.found[name] for name in HEADLINE},
        "ci95": find_intervals(sample.draws, y, split.source, k),
        **count_answers(y, predicted, classes),
        "fields": len(fields),
        # Were this share of all fields to hold a mistake, a sample as large as this would still
        # show none once in twenty times (the "rule of three").
        "share_of_fields_unseen": 1 - 0.05 ** (1 / len(fields)),
        "uncertain_share": uncertain[split.label != BACKGROUND].mean(),  # of the cells
        "per_class": {name: measure_class(sample, y, c) for c, name in enumerate(classes)},
        "accuracy_by": measure_groups(sample, groups, right),
        "laboratories": measure_laboratories(y, predicted, uncertain, classes, split),
        "accuracy_by_field": measure_by_field(sample, right),
        "reliability": measure_reliability(sample, claimed, bins),
        **measure_scores(sample, y, proba, classes),
    }


def count_answers(y: np.ndarray, predicted: np.ndarray, classes: Sequence[str]) -> dict[str, Any]:
    """How often each class (k) was given for each."""
    matrix = np.zeros((len(classes), len(classes)), int)
    np.add.at(matrix, (y, predicted), 1)
    return {
        "confusion_matrix": matrix.tolist(),
        "classes": list(classes),
        "support": matrix.sum(axis=1).tolist(),
        "majority_share": matrix.sum(axis=1).max() / len(y),
        "crops": len(y),
        "mistakes": int((predicted != y).sum()),
    }


def measure_scores(
    sample: Sample, y: np.ndarray, proba: np.ndarray, classes: Sequence[str]
) -> dict[str, Any]:
    """Histograms of the probabilities (n, k), and the curves over all thresholds; of two classes
    those of the second."""
    shown = [1] if len(classes) == 2 else range(len(classes))
    told = [c for c in shown if 0 < (y == c).sum() < len(y)]
    return {
        "score_histograms": {
            classes[c]: {
                who: np.histogram(proba[mask, c], 20, (0, 1))[0].tolist()
                for who, mask in ((classes[c], y == c), ("the rest", y != c))
            }
            for c in shown
        },
        "curves": {
            "at": GRID.tolist(),
            **{
                kind: {classes[c]: measure_curve(sample, kind, y, c) for c in told}
                for kind in ("roc", "pr")
            },
        },
    }


def measure_class(sample: Sample, y: np.ndarray, c: int) -> dict[str, Any]:
    """The figures of class `c` against the rest, and their intervals."""
    names = {name: f"{name} by class" for name in OF_A_CLASS}
    return {
        **{name: sample.found[key][c] for name, key in names.items()},
        "support": int((y == c).sum()),
        "ci95": {name: sample.interval(key, y == c, c) for name, key in names.items()},
    }


def measure_groups(
    sample: Sample, groups: Sequence[tuple[str, str, np.ndarray]], right: np.ndarray
) -> dict[str, list[dict[str, Any]]]:
    """Accuracy of each of the groups, by their kind."""
    by_kind: dict[str, list[dict[str, Any]]] = {kind: [] for kind, *_ in groups}
    for i, (kind, name, member) in enumerate(groups):
        by_kind[kind].append(
            {
                "name": name,
                "crops": int(member.sum()),
                "fields": len(np.unique(sample.source[member])),
                "right": int((member & right).sum()),
                "accuracy": sample.found["groups"][i],
                "ci95": sample.interval("groups", member, i),
            }
        )
    return by_kind


def measure_laboratories(
    y: np.ndarray,
    predicted: np.ndarray,
    uncertain: np.ndarray,
    classes: Sequence[str],
    split: Split,
) -> dict[str, dict[str, Any]]:
    """What each laboratory may expect of the model, by its name.

    `balanced_accuracy` is the mean recall of the classes that it has; `rbc_balanced_accuracy` that
    of the two answers "red cell" and "anything else"; both None where only one is there.
    `cells_uncertain` and `no_cell_uncertain` are the shares called unlike any cell of its cells and
    of its pictures of the ground.
    """
    is_red = np.array([is_rbc(name) for name in classes])
    no_cell = split.label == BACKGROUND

    def mean_recall(truth: np.ndarray, answer: np.ndarray) -> float | None:
        recalls = [(answer[truth == c] == c).mean() for c in np.unique(truth)]
        return float(np.mean(recalls)) if len(recalls) > 1 else None

    def share(member: np.ndarray) -> float | None:
        return float(uncertain[member].mean()) if member.any() else None

    measured = {}
    for lab in np.unique(split.lab).tolist():
        mine = split.lab == lab
        truth, answer = y[mine], predicted[mine]
        measured[lab] = {
            "crops": int(mine.sum()),
            "fields": len(np.unique(split.source[mine])),
            "accuracy": float((truth == answer).mean()),
            "balanced_accuracy": mean_recall(truth, answer),
            "rbc_balanced_accuracy": mean_recall(is_red[truth], is_red[answer]),
            "cells_uncertain": share(mine & ~no_cell),
            "no_cell_uncertain": share(mine & no_cell),
        }
    return measured


def measure_by_field(sample: Sample, right: np.ndarray) -> dict[str, Any]:
    """Crops and right answers of each field, and the mean of the fields' accuracies."""
    fields, home = np.unique(sample.source, return_inverse=True)
    counts = zip(fields.tolist(), np.bincount(home), np.bincount(home, right), strict=True)
    return {
        "mean": sample.found["groups"][-1],
        "ci95": sample.interval("groups", np.ones(len(home), bool), -1),
        "fields": {name: {"crops": int(n), "right": int(ok)} for name, n, ok in counts},
    }


def measure_reliability(
    sample: Sample, claimed: np.ndarray, bins: np.ndarray
) -> list[dict[str, Any]]:
    """Mean probability stated and share observed, in each of the bins (n, b) of the crops."""
    return [
        {
            "claimed": claimed[inside].mean() if inside.any() else None,
            "happened": sample.found["reliability"][i],
            "ci95": sample.interval("reliability", inside, i),
            "crops": int(inside.sum()),
        }
        for i, inside in enumerate(bins.T.astype(bool))
    ]


def measure_curve(sample: Sample, kind: str, y: np.ndarray, c: int) -> dict[str, list[Any]]:
    """Heights of a curve of class `c` over GRID, and of its 95 % band."""
    band = [sample.interval(kind, y == c, c, i) for i in range(len(GRID))]
    low, high = ([ends and ends[side] for ends in band] for side in (0, 1))
    return {"height": sample.found[kind][c].tolist(), "low": low, "high": high}
