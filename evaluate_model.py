"""Show how far a trained model can be trusted: a page of pictures, and every number on it.

    python3 evaluate_model.py                      # model/ on preprocessed_data.npz -> report/
    python3 evaluate_model.py --data other_lab.npz --compare data/pretrained

Writes ``report.html`` (one self-contained page), its pictures as PNG, ``metrics.json`` and
``predictions.csv``. Answers come from the exported model through the same code that predict.py
uses. Intervals are 95 % percentile bootstrap intervals over fields, since crops of one field are
not independent.
"""

from __future__ import annotations

import base64
import contextlib
import csv
import dataclasses
import io
import itertools
import json
import math
import os
import shlex
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import cv2
import numpy as np

from field_detector import Cells, Detector, FieldSplit, choose_colours, draw_cells, match
from preprocess_data import (
    BACKGROUND,
    HERE,
    UserError,
    command,
    option,
    parse_options,
    progress,
    read_image,
    say,
    write_image,
    written_whole,
)
from train_model import (
    BLUE,
    GREY,
    ORANGE,
    Archive,
    Classifier,
    Split,
    find_seen_fields,
    list_versions,
    load_archive,
    new_figure,
    plot_history,
    save_figure,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TEMPLATE = HERE / "data" / "report_template.html"
HEADLINE = ("accuracy", "balanced_accuracy", "precision", "recall", "f1", "roc_auc",
            "average_precision", "mcc", "brier", "ece")  # fmt: skip
OF_A_CLASS = ("precision", "recall", "f1", "roc_auc", "average_precision")
FEWEST = 5  # examples below which no interval is given
# Where bands of curves are read off: closer where good models' curves bend.
GRID = np.r_[0:0.1:0.002, 0.1:0.9:0.02, 0.9:1:51j].round(3)
COLOURS = (BLUE, ORANGE, "#009E73", "#CC79A7", "#E69F00", "#56B4E9")  # Okabe and Ito
LEAST = 0.02  # probability from which cells enter the precision-recall curves
MOST_FIELDS_DRAWN = 6
VERSIONED = ("numpy", "opencv-python-headless", "ai-edge-litert", "matplotlib", "jinja2")
# What the page shows, so that it stays below some 8 MB however bad the model or large the dataset.
MOST_WRONG, MOST_DOUBTFUL, MOST_FIELDS, MOST_EXPLAINED = 400, 24, 80, 6
FIELD_WIDTH = 640  # pixels
FULL_COLOUR = 2.0  # of a heat map: the odds fall a hundredfold


@dataclass(frozen=True)
class Options:
    data: Path = option(Path("preprocessed_data.npz"), "archive whose test split is scored")
    model: Path = option(Path("model"), "folder that train_model.py wrote")
    output_dir: Path = option(Path("report"), "folder for the report")
    compare: Path | None = option(None, "folder of a second model to put beside the first")
    resamples: int = option(
        1000, "bootstrap resamples of the fields, for the intervals (0: none)", low=0
    )
    seed: int = option(42, "seed of the bootstrap and of the choice of heat maps", low=0)
    workers: int = option(os.cpu_count() or 1, "crops classified side by side", low=1)


class Answers(NamedTuple):
    """What a model says of the test crops."""

    proba: np.ndarray  # (n, k) probabilities
    predicted: np.ndarray  # (n,) index of the class given
    uncertain: np.ndarray  # (n,) bool, unlike anything it was trained on


# --- ask ------------------------------------------------------------------------------------------


def match_classes(archive: Archive, classifier: Classifier, path: Path) -> np.ndarray:
    """The test labels as indices into the model's classes; UserError where the two don't fit."""
    unknown = [c for c in archive.classes if c not in classifier.classes]
    if unknown or archive.metadata["image_size"] != classifier.image_size:
        raise UserError(
            f"{path}: made for {archive.classes} at {archive.metadata['image_size']} pixels, the "
            f"model for {classifier.classes} at {classifier.image_size}; preprocess or train again"
        )
    if len(archive.splits["test"].y) == 0:
        raise UserError(
            f"{path}: its test split is empty; preprocess with --split test or official"
        )
    index = np.array([classifier.classes.index(c) for c in archive.classes])
    return index[archive.splits["test"].y]


def count_seen(archive: Archive, classifier: Classifier, name: Path) -> int:
    """How many test fields the model was trained on, with a warning where there are any."""
    seen = len(find_seen_fields(archive.metadata, classifier.card, ["test"]))
    if seen:
        say(f"warning: {name}: trained on {seen} of the test fields: the figures flatter")
    return seen


def load_second(folder: Path, first: Classifier) -> Classifier:
    """The model to compare with; UserError where the two don't answer the same question."""
    second = Classifier.load(folder)
    if (second.classes, second.image_size) != (first.classes, first.image_size):
        raise UserError(
            f"{folder}: for {second.classes} at {second.image_size} pixels, the first model for "
            f"{first.classes} at {first.image_size}; only models of one task can be compared"
        )
    return second


def ask(classifier: Classifier, crops: np.ndarray, workers: int) -> Answers:
    proba, novelty = classifier.predict_proba(crops, workers)
    return Answers(proba, classifier.predict(proba), classifier.is_uncertain(novelty))


# --- score: each figure for many weightings of the crops at once ----------------------------------


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


# --- intervals ------------------------------------------------------------------------------------


def resample(
    statistics: Callable[[np.ndarray], dict[str, np.ndarray]],
    source: np.ndarray,
    resamples: int,
    seed: int,
) -> dict[str, np.ndarray]:
    """`statistics` of weights (r, n), each (r, ...), of as many fields drawn with replacement.

    A crop weighs as often as its field was drawn. The same seed draws the same fields, so what two
    calls return can be paired.
    """
    fields, home = np.unique(source, return_inverse=True)
    rng = np.random.default_rng(seed)
    times = rng.multinomial(len(fields), np.full(len(fields), 1 / len(fields)), resamples)
    step = max(1, 200_000 // len(source))  # keeps the cumulated weights within the CPU's cache
    starts = range(0, resamples, step)
    parts = [
        statistics(times[start : start + step][:, home].astype(float))
        for start in progress(starts, len(starts), "bootstrap")
    ]
    return {name: np.concatenate([p[name] for p in parts]) for name in parts[0]} if parts else {}


def find_interval(values: np.ndarray | None) -> list[float] | None:
    """2.5th and 97.5th percentile of (r,); None where most resamples gave no number."""
    if values is None or np.isfinite(values).sum() <= len(values) / 2:
        return None
    return np.percentile(values[np.isfinite(values)], [2.5, 97.5]).tolist()


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
    scarce = find_scarce(y, source, k)
    return {n: None if n in scarce else find_interval(draws.get(n + suffix)) for n in HEADLINE}


# --- measure --------------------------------------------------------------------------------------


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
        options: Options,
    ) -> Sample:
        found = {name: v[0] for name, v in statistics(np.ones((1, len(source)))).items()}
        return cls(found, resample(statistics, source, options.resamples, options.seed), source)

    def interval(self, name: str, member: np.ndarray, *index: int) -> list[float] | None:
        """Interval of a statistic (at `index`) of the crops `member`; None if they're too few."""
        if name not in self.draws or is_scarce(member, self.source):
            return None
        return find_interval(self.draws[name][(slice(None), *index)])


def measure(
    y: np.ndarray, answers: Answers, classes: Sequence[str], split: Split, options: Options
) -> dict[str, Any]:
    """Every figure, curve and group of the page with its interval, as metrics.json holds it."""
    proba, predicted, uncertain = answers
    k, right = len(classes), predicted == y
    groups = group_crops(y, classes, split)
    fields, home = np.unique(split.source, return_inverse=True)
    # The mean of the fields' accuracies is one more group, in which every field weighs the same.
    equal = 1 / np.bincount(home)[home]
    members = np.stack([*(m.astype(float) for *_, m in groups), equal], axis=1)
    # Reliability: of RBC's probability, or with more classes of the likeliest class's.
    claimed, happened = (proba[:, 1], y == 1) if k == 2 else (proba.max(axis=1), right)
    bins = np.eye(10)[np.minimum((claimed * 10).astype(int), 9)]

    def statistics(weights: np.ndarray) -> dict[str, np.ndarray]:
        return {
            **score_weighted(y, proba, predicted, weights),
            **trace_curves(y, proba, weights),
            "groups": share_right(right, members, weights),
            "reliability": share_right(happened, bins, weights),
        }

    sample = Sample.draw(statistics, split.source, options)
    matrix = np.zeros((k, k), int)
    np.add.at(matrix, (y, predicted), 1)
    shown = [1] if k == 2 else range(k)
    return {
        **{name: sample.found[name] for name in HEADLINE},
        "ci95": find_intervals(sample.draws, y, split.source, k),
        "confusion_matrix": matrix.tolist(),
        "classes": list(classes),
        "support": matrix.sum(axis=1).tolist(),
        "majority_share": matrix.sum(axis=1).max() / len(y),
        "crops": len(y),
        "fields": len(fields),
        "mistakes": int((~right).sum()),
        # Were this share of all fields to hold a mistake, a sample as large as this would still
        # show none once in twenty times (the "rule of three").
        "share_of_fields_unseen": 1 - 0.05 ** (1 / len(fields)),
        "uncertain_share": uncertain.mean(),
        "per_class": {name: tell_class(sample, y, c) for c, name in enumerate(classes)},
        "accuracy_by": tell_groups(sample, groups, right),
        "accuracy_by_field": tell_fields(sample, right),
        "reliability": tell_reliability(sample, claimed, bins),
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
                kind: {
                    classes[c]: tell_curve(sample, kind, y, c)
                    for c in shown
                    if 0 < (y == c).sum() < len(y)
                }
                for kind in ("roc", "pr")
            },
        },
    }


def tell_class(sample: Sample, y: np.ndarray, c: int) -> dict[str, Any]:
    """The figures of class `c` against the rest, and their intervals."""
    names = {name: f"{name} by class" for name in OF_A_CLASS}
    return {
        **{name: sample.found[key][c] for name, key in names.items()},
        "support": int((y == c).sum()),
        "ci95": {name: sample.interval(key, y == c, c) for name, key in names.items()},
    }


def tell_groups(
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


def tell_fields(sample: Sample, right: np.ndarray) -> dict[str, Any]:
    """Crops and right answers of each field, and the mean of the fields' accuracies."""
    fields, home = np.unique(sample.source, return_inverse=True)
    counts = zip(fields.tolist(), np.bincount(home), np.bincount(home, right), strict=True)
    return {
        "mean": sample.found["groups"][-1],
        "ci95": sample.interval("groups", np.ones(len(home), bool), -1),
        "fields": {name: {"crops": int(n), "right": int(ok)} for name, n, ok in counts},
    }


def tell_reliability(sample: Sample, claimed: np.ndarray, bins: np.ndarray) -> list[dict[str, Any]]:
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


def tell_curve(sample: Sample, kind: str, y: np.ndarray, c: int) -> dict[str, list[Any]]:
    """Heights of a curve of class `c` over GRID, and of its 95 % band."""
    band = [sample.interval(kind, y == c, c, i) or [None, None] for i in range(len(GRID))]
    low, high = map(list, zip(*band, strict=True))
    return {"height": sample.found[kind][c].tolist(), "low": low, "high": high}


def compare(
    y: np.ndarray, first: Answers, second: Answers, source: np.ndarray, options: Options
) -> dict[str, Any]:
    """The second model's headline figures, and by how much they are above the first's, paired.

    `mcnemar`: exact two-sided test of the crops that only one of the two has right (McNemar, 1947).
    """

    def statistics(weights: np.ndarray) -> dict[str, np.ndarray]:
        one, two = (score_weighted(y, m.proba, m.predicted, weights) for m in (first, second))
        return two | {f"{name} above": two[name] - one[name] for name in HEADLINE}

    found, draws, _ = Sample.draw(statistics, source, options)
    k = first.proba.shape[1]
    right = first.predicted == y, second.predicted == y
    only = int((right[0] & ~right[1]).sum()), int((right[1] & ~right[0]).sum())
    return {
        **{name: found[name] for name in HEADLINE},
        "ci95": find_intervals(draws, y, source, k),
        "difference": {name: found[f"{name} above"] for name in HEADLINE},
        "difference_ci95": find_intervals(draws, y, source, k, " above"),
        "mcnemar": {
            "only_first_right": only[0],
            "only_second_right": only[1],
            "p": mcnemar(*only),
        },
    }


def mcnemar(only_first: int, only_second: int) -> float:
    """Probability of so uneven a division, or a more uneven one, were each crop's a coin's toss."""
    n = only_first + only_second
    tail = sum(math.comb(n, i) for i in range(min(only_first, only_second) + 1))
    return min(1.0, 2 * tail / 2**n)


# --- whole fields ---------------------------------------------------------------------------------


class FieldAnswers(NamedTuple):
    """What was annotated in the test fields and what the model found there, field by field."""

    name: list[str]
    truth: list[Cells]
    found: list[Cells]  # from probability LEAST up
    counted: list[Cells]  # from the thresholds up
    labels: list[str]


def ask_fields(detector: Detector, fields: FieldSplit) -> FieldAnswers:
    """Find the cells of every test field. Boxes of labels unknown to the model are left out."""
    answers = FieldAnswers([], [], [], [], detector.labels)
    index = {label: k for k, label in enumerate(detector.labels)}
    code = np.array([index.get(label, -1) for label in fields.label.tolist()], int)
    for i, (name, data) in enumerate(progress(fields.files(), len(fields.name), "finding cells")):
        mine = (fields.index == i) & (code >= 0)
        found = detector.find(read_image(Path(name), data), LEAST)
        answers.name.append(name)
        answers.truth.append(Cells(fields.box[mine].astype(float), code[mine], np.ones(mine.sum())))
        answers.found.append(found)
        answers.counted.append(found.pick(detector.is_counted(found)))
    return answers


def score_boxes(answers: FieldAnswers) -> dict[str, dict[str, Any]]:
    """By label: AP50, AP50:95 and the precision-recall curve at IoU 0.5, by COCO's own code."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    def rows(every: list[Cells], score: bool) -> list[dict[str, Any]]:
        listed = []
        for image, cells in enumerate(every):
            size = cells.box[:, 2:] - cells.box[:, :2]
            for box, (w, h), k, p in zip(
                cells.box, size, cells.label, cells.probability, strict=True
            ):
                row = {"image_id": image, "category_id": int(k), "bbox": [*box[:2].tolist(), w, h],
                       "area": w * h, "iscrowd": 0, "id": len(listed) + 1}  # fmt: skip
                listed.append(row | {"score": float(p)} if score else row)
        return listed

    with contextlib.redirect_stdout(io.StringIO()):  # COCO's code talks
        truth = COCO()
        truth.dataset = {
            "images": [{"id": i} for i in range(len(answers.name))],
            "categories": [{"id": k} for k in range(len(answers.labels))],
            "annotations": rows(answers.truth, score=False),
        }
        truth.createIndex()
        found = COCO()
        found.dataset = truth.dataset | {"annotations": rows(answers.found, score=True)}
        found.createIndex()
        judge = COCOeval(truth, found, "bbox")
        judge.params.maxDets = [10_000]  # a field isn't a photograph of a few things
        judge.params.areaRng, judge.params.areaRngLbl = [[0, 1e10]], ["all"]
        judge.evaluate()
        judge.accumulate()
    precision = judge.eval["precision"][:, :, :, 0, 0]  # (IoU, recall, label); -1: none annotated
    precision = np.where(precision < 0, np.nan, precision)
    return {
        label: {
            "ap50": precision[0, :, k].mean(),
            "ap50_95": precision[:, :, k].mean(),
            "precision_at_recall": precision[0, :, k].tolist(),
        }
        for k, label in enumerate(answers.labels)
    }


def measure_fields(answers: FieldAnswers) -> dict[str, Any]:
    """What metrics.json says of whole fields."""
    found = score_boxes(answers)
    for k, label in enumerate(answers.labels):
        true, counted = (
            np.array([(cells.label == k).sum() for cells in every])
            for every in (answers.truth, answers.counted)
        )
        hits = sum(
            int((match(c.pick(c.label == k), t.box, t.label) >= 0).sum())
            for c, t in zip(answers.counted, answers.truth, strict=True)
        )
        found[label] |= {
            "annotated": int(true.sum()),
            "counted": int(counted.sum()),
            "precision": hits / max(counted.sum(), 1),
            "recall": hits / true.sum() if true.sum() else None,
            "counting_accuracy": 1 - np.abs(counted - true).sum() / true.sum()
            if true.sum()
            else None,
            "by_field": [[int(t), int(c)] for t, c in zip(true, counted, strict=True)],
        }
    return {"fields": answers.name, "labels": found}


def plot_boxes(metrics: dict[str, Any]) -> Figure:
    """Precision against recall of each label at IoU 0.5."""
    figure = new_figure(6.4, 5.6)
    axes = figure.subplots()
    colours = choose_colours(list(metrics["labels"]))
    for label, row in metrics["labels"].items():
        if row["annotated"]:
            colour = np.divide(colours[label], 255)
            text = f"{label}: AP50 {row['ap50']:.3f} ({row['annotated']} boxes)"
            axes.plot(np.linspace(0, 1, 101), row["precision_at_recall"], color=colour, label=text)
            axes.plot(row["recall"], row["precision"], "o", color=colour, markersize=9,
                      markeredgecolor="white")  # fmt: skip
    axes.plot([], [], "o", color=GREY, label="where the model counts")
    axes.set(xlabel="recall", ylabel="precision", xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", frameon=False)
    axes.set_title(f"cells of {len(metrics['fields'])} test fields, IoU 0.5", fontsize=12)
    return figure


def plot_counts(metrics: dict[str, Any]) -> Figure:
    """Cells counted against cells annotated, a dot for each field and label."""
    figure = new_figure(6.4, 5.6)
    axes = figure.subplots()
    most = 1
    colours = choose_colours(list(metrics["labels"]))
    for mark, (label, row) in zip("osD^vP*X<" * 6, metrics["labels"].items(), strict=False):
        true, counted = np.array(row["by_field"]).reshape(-1, 2).T
        most = max(most, true.max(initial=0), counted.max(initial=0))
        axes.plot(true, counted, mark, color=np.divide(colours[label], 255), alpha=0.5, label=label)
    axes.plot([0, most], [0, most], "--", color=GREY, label="as annotated")
    axes.set(xlabel="annotated in the field", ylabel="counted in the field")
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", frameon=False,
                  ncols=2)  # fmt: skip
    axes.set_title(f"{len(metrics['fields'])} test fields", fontsize=12)
    return figure


def draw_worst_fields(
    metrics: dict[str, Any], answers: FieldAnswers, fields: FieldSplit
) -> list[dict[str, Any]]:
    """The fields whose counts are farthest from the annotated ones: annotation and answer."""
    off = sum(
        np.abs(np.subtract(*np.array(row["by_field"]).reshape(-1, 2).T))
        for row in metrics["labels"].values()
    )
    files = list(fields.files())
    shown = []
    for i in np.argsort(-off, kind="stable")[:MOST_FIELDS_DRAWN]:
        image = read_image(Path(files[i][0]), files[i][1])
        pair = [
            draw_cells(image, cells[i], answers.labels)
            for cells in (answers.truth, answers.counted)
        ]
        scale = min(1, 760 / pair[0].shape[1])
        size = round(pair[0].shape[1] * scale), round(pair[0].shape[0] * scale)
        annotated, found = (cv2.resize(p, size, interpolation=cv2.INTER_AREA) for p in pair)
        shown.append(
            {
                "name": answers.name[i],
                "off": int(off[i]),
                "annotated": annotated,
                "found": found,
                "width": size[0],
                "height": size[1],
            }
        )
    return shown


# --- show the crops behind the figures ------------------------------------------------------------


def pick_listed(
    y: np.ndarray, answers: Answers, threshold: float | None
) -> tuple[np.ndarray, np.ndarray]:
    """Indices of the wrong crops, the surest first, and of the right ones closest to a mistake."""
    proba, predicted, _ = answers
    if threshold is None:
        top = np.sort(proba, axis=1)
        margin = top[:, -1] - top[:, -2]
    else:
        margin = np.abs(proba[:, 1] - threshold)
    order = np.argsort(margin, kind="stable")
    wrong = predicted[order] != y[order]
    return order[wrong][::-1][:MOST_WRONG], order[~wrong][:MOST_DOUBTFUL]


def describe_crop(
    i: int, split: Split, y: np.ndarray, answers: Answers, classes: Sequence[str]
) -> dict[str, Any]:
    """One test crop in words and numbers: a row of predictions.csv."""
    proba, predicted, uncertain = answers
    return {
        "number": int(i) + 1,
        "source": str(split.source[i]),
        **dict(zip(("xmin", "ymin", "xmax", "ymax"), map(int, split.box[i]), strict=True)),
        "label": str(split.label[i]),
        "truth": classes[y[i]],
        "predicted": classes[predicted[i]],
        "probability": float(proba[i, predicted[i]]),
        "uncertain": bool(uncertain[i]),
        **{f"p_{name}": float(p) for name, p in zip(classes, proba[i], strict=True)},
    }


def show_fields(rows: Sequence[dict[str, Any]], fields: FieldSplit) -> dict[str, dict[str, Any]]:
    """Picture and size of the fields that `rows` come from, as the archive carries them."""
    files = dict(fields.files())
    shown: dict[str, dict[str, Any]] = {}
    for name in list(dict.fromkeys(row["source"] for row in rows))[:MOST_FIELDS]:
        image = read_image(Path(name), files[name])
        height, width = image.shape[:2]
        scale = min(1, FIELD_WIDTH / width)
        small = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        shown[name] = {"picture": embed(small, 80), "width": width, "height": height}
    return shown


def occlude(
    classifier: Classifier, crop: np.ndarray, answer: int, workers: int = 1
) -> tuple[np.ndarray, float]:
    """How far the odds of the class `answer` fall (log10) where a uint8 crop is covered: (size,
    size), and its lowest probability under any cover.

    Occlusion sensitivity (Zeiler and Fergus, 2014): a patch of the crop's mean colour and a quarter
    of its side is moved across; a pixel gets the mean of the patches over it. It needs no gradients
    and so explains the very model that predict.py runs. Odds, because probabilities saturate:
    between 0.9999 and 0.99 lies a hundredfold.
    """
    size = len(crop)
    patch, step = size // 4, max(1, size // 12)
    corners = range(-patch // 2, size, step)
    areas = [np.s_[max(y, 0) : y + patch, max(x, 0) : x + patch] for y in corners for x in corners]
    views = np.repeat(crop[np.newaxis], len(areas) + 1, axis=0)
    for view, area in zip(views[1:], areas, strict=True):
        view[area] = crop.mean(axis=(0, 1)).astype(np.uint8)
    proba = classifier.predict_proba(views, workers)[0].astype(float)
    others = np.delete(proba, answer, axis=1).sum(axis=1)  # exacter than 1 - p where p is nearly 1
    odds = np.log10(np.maximum(proba[:, answer], 1e-9) / np.maximum(others, 1e-9))
    fall, times = np.zeros((2, size, size))
    for area, covered in zip(areas, odds[1:], strict=True):
        fall[area] += odds[0] - covered
        times[area] += 1
    fall = cv2.GaussianBlur(fall / times, (0, 0), step / 2)  # the patches' edges mean nothing
    return fall, float(proba[1:, answer].min())


def paint_heat(crop: np.ndarray, fall: np.ndarray) -> np.ndarray:
    """The crop in grey; orange where covering it lowers the odds of the answer, blue where it
    raises them: uint8 (size, size, 3)."""
    from matplotlib.colors import to_rgb

    grey = cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY)[..., np.newaxis]
    colour = np.where(fall[..., np.newaxis] > 0, to_rgb(ORANGE), to_rgb(BLUE)) * 255
    strength = 0.8 * np.minimum(np.abs(fall) / FULL_COLOUR, 1)[..., np.newaxis]
    return np.rint(grey * (1 - strength) + colour * strength).astype(np.uint8)


def plot_explanation(crop: np.ndarray, fall: np.ndarray, title: str) -> Figure:
    """A crop beside its heat map, with the scale of the colours."""
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import LinearSegmentedColormap, Normalize

    figure = new_figure(8, 4)
    panels = figure.subplots(1, 2)
    for axes, picture in zip(panels, (crop, paint_heat(crop, fall)), strict=True):
        axes.imshow(picture)
        axes.set_axis_off()
    colours = LinearSegmentedColormap.from_list("heat", [BLUE, "#BBBBBB", ORANGE])
    scale = ScalarMappable(Normalize(-FULL_COLOUR, FULL_COLOUR), colours)
    bar = figure.colorbar(scale, ax=panels, ticks=range(-2, 3), shrink=0.8)
    bar.ax.set_yticklabels(["rise 100 x", "rise 10 x", "stay", "fall 10 x", "fall 100 x"])
    bar.set_label("covered here, the odds")
    figure.suptitle(title, fontsize=13)
    return figure


def pick_explained(
    wrong: np.ndarray, right: np.ndarray, labels: np.ndarray, seed: int
) -> np.ndarray:
    """Indices of a few wrong crops, and of right ones drawn from each annotated label in turn."""
    rng = np.random.default_rng(seed)
    names = sorted(set(labels.tolist()), key=lambda name: (name == BACKGROUND, name))
    of_label = [rng.permutation(right[labels[right] == name]) for name in names]
    turns = [i for k in range(MOST_EXPLAINED) for of in of_label for i in of[k : k + 1]]
    return np.array([*wrong[:MOST_EXPLAINED], *turns[:MOST_EXPLAINED]], int)


def explain(
    classifier: Classifier, split: Split, answers: Answers, picked: np.ndarray, workers: int
) -> list[dict[str, Any]]:
    """Heat maps of the crops `picked`, and the lowest probability under cover."""
    shown = []
    for i in progress(picked, len(picked), "heat maps"):
        crop = split.X[i]
        fall, lowest = occlude(classifier, crop, answers.predicted[i], workers)
        pair = np.hstack([crop, paint_heat(crop, fall)])
        shown.append({"index": int(i), "picture": embed(pair, 92), "lowest": lowest})
    return shown


def embed(picture: np.ndarray | Path, quality: int = 90) -> str:
    """A PNG file, or an RGB array as JPEG of that quality (0 to 100), as a data URI."""
    if isinstance(picture, Path):
        kind, data = "png", picture.read_bytes()
    else:
        bgr = cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)
        encoded = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
        kind, data = "jpeg", encoded.tobytes()
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"


# --- plot -----------------------------------------------------------------------------------------


def plot_confusion(matrix: np.ndarray, classes: Sequence[str], fields: int) -> Figure:
    """Rows are the truth, columns the answer; shade and percentage are shares of the row."""
    figure = new_figure(1.4 * len(classes) + 2.6, 1.2 * len(classes) + 1.8)
    axes = figure.subplots()
    share = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
    for (i, j), n in np.ndenumerate(matrix):
        colour = "white" if share[i, j] > 0.5 else "black"
        text = f"{n}\n{format_percent(share[i, j])}"
        axes.text(j, i, text, ha="center", va="center", color=colour)
    axes.set_xticks(range(len(classes)), classes)
    axes.set_yticks(range(len(classes)), classes)
    axes.set(xlabel="predicted", ylabel="annotated")
    axes.set_title(f"{matrix.sum()} test crops of {fields} fields", fontsize=12)
    return figure


def plot_curves(y: np.ndarray, answers: Answers, metrics: dict[str, Any], kind: str) -> Figure:
    """ROC ("roc") or precision-recall ("pr") curves, RBC's or each class's against the rest, with
    95 % bands and the point where the model decides; the corner that matters also enlarged."""
    figure = new_figure(6.4, 6)
    axes = figure.subplots()
    panels = [axes]
    area = "roc_auc" if kind == "roc" else "average_precision"
    curves = metrics["curves"][kind]
    if curves and min(metrics["per_class"][name][area] for name in curves) > 0.97:
        panels.append(axes.inset_axes((0.34, 0.12, 0.62, 0.62)))  # else the curves need the room
        panels[1].set_title("the corner, ten times as large", fontsize=12)
    for colour, (name, curve) in zip(COLOURS * 9, curves.items(), strict=False):
        c = metrics["classes"].index(name)
        truth, answer = y == c, answers.predicted == c
        hits, false = (v[0] for v in accumulate(truth, answers.proba[:, c], np.ones((1, len(y)))))
        recall, alarm = hits / hits[-1], false / false[-1]
        hit, wrong = (answer & truth).sum(), (answer & ~truth).sum()
        if kind == "roc":
            x, height, step = alarm, recall, "post"
            dot = wrong / (~truth).sum(), hit / truth.sum()
        else:
            x, height, step = recall, hits / np.maximum(hits + false, 1), "pre"
            height[0] = height[1]
            dot = hit / truth.sum(), hit / max(hit + wrong, 1)
        low, high = (np.array(curve[side], float) for side in ("low", "high"))
        label = f"{name} ({truth.sum()} against {(~truth).sum()} crops)"
        for panel in panels:
            panel.step(x, height, where=step, color=colour, label=label)
            panel.fill_between(GRID, low, high, step=step, color=colour, alpha=0.2, linewidth=0)
            panel.plot(*dot, "o", color=colour, markersize=9, markeredgecolor="white")
    axes.plot([], [], "o", color=GREY, label="where the model decides")
    low = (-0.002, 0.1) if kind == "roc" else (0.9, 1.002)
    for panel, x, height in zip(
        panels, ((-0.02, 1.02), low), ((-0.02, 1.02), (0.9, 1.002)), strict=False
    ):
        panel.set(xlim=x, ylim=height)
    x, height = ("false positive rate", "recall") if kind == "roc" else ("recall", "precision")
    axes.set(xlabel=x, ylabel=height)
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", frameon=False)
    axes.set_title(f"{len(y)} test crops of {metrics['fields']} fields, 95 % bands", fontsize=12)
    return figure


def plot_reliability(metrics: dict[str, Any], what: str) -> Figure:
    """Observed share against stated probability, over the number of crops by probability."""
    figure = new_figure(6.4, 7)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    bins = metrics["reliability"]
    upper.plot([0, 1], [0, 1], "--", color=GREY, label="perfectly calibrated")
    for sure, fill, text in (
        (True, BLUE, "observed, 95 % interval"),
        (False, "white", "too few crops for an interval"),
    ):
        chosen = [b for b in bins if b["crops"] and sure == (b["ci95"] is not None)]
        x, height = ([b[key] for b in chosen] for key in ("claimed", "happened"))
        upper.plot(x, height, "o", color=BLUE, markerfacecolor=fill, markersize=8, label=text)
        if sure and chosen:
            upper.vlines(
                x, *zip(*(b["ci95"] for b in chosen), strict=True), color=BLUE, linewidth=2
            )
    lower.bar((np.arange(10) + 0.5) / 10, [b["crops"] for b in bins], width=0.09, color=BLUE)
    lower.set(
        yscale="log", ylim=(0.7, None), xlabel=f"probability of {what}, as stated", ylabel="crops"
    )
    upper.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), ylabel=f"share that is {what}")
    figure.legend(*upper.get_legend_handles_labels(), loc="outside lower center", frameon=False)
    upper.set_title(f"{metrics['crops']} test crops of {metrics['fields']} fields", fontsize=12)
    return figure


def plot_scores(metrics: dict[str, Any]) -> Figure:
    """How many crops got which probability, by whether they are of the class."""
    histograms = metrics["score_histograms"]
    figure = new_figure(6.4, 1.2 + 2.6 * len(histograms))
    edges = np.linspace(0, 1, 21)
    for axes, (name, counts) in zip(
        figure.subplots(len(histograms), 1, squeeze=False).flat, histograms.items(), strict=True
    ):
        for (who, n), colour, style in zip(counts.items(), (BLUE, ORANGE), "-:", strict=True):
            axes.stairs(n, edges, color=colour, fill=True, alpha=0.25)
            axes.stairs(n, edges, color=colour, linewidth=2, linestyle=style,
                        label=f"{who} ({sum(n)} crops)")  # fmt: skip
        if (threshold := metrics["threshold"]) is not None:
            axes.axvline(threshold, color=GREY, linestyle="--", label=f"threshold {threshold:.3g}")
        axes.set(yscale="log", ylim=(0.7, None), ylabel="crops", xlabel=f"probability of {name}")
        axes.legend(framealpha=1, edgecolor="none", loc="upper center")
    return figure


def plot_groups(metrics: dict[str, Any]) -> Figure:
    """Accuracy with its interval of each class, annotated label and cell size."""
    lines: list[tuple[str, dict[str, Any] | None]] = []
    for kind, rows in metrics["accuracy_by"].items():
        lines += [(f"by {kind}", None), *((f"{row['name']} ({row['crops']})", row) for row in rows)]
    figure = new_figure(6.4, 1.2 + 0.4 * len(lines))
    axes = figure.subplots()
    drawn = [(place, row) for place, (_, row) in enumerate(lines) if row and row["crops"]]
    for place, row in drawn:
        if row["ci95"]:
            axes.hlines(place, *row["ci95"], color=BLUE, linewidth=2)
        fill = BLUE if row["ci95"] else "white"
        axes.plot(row["accuracy"], place, "o", color=BLUE, markersize=8, markerfacecolor=fill)
    axes.axvline(metrics["accuracy"], color=GREY, linestyle="--")
    axes.set_yticks(range(len(lines)), [text for text, _ in lines])
    for text, (_, row) in zip(axes.get_yticklabels(), lines, strict=True):
        text.set_fontweight("normal" if row else "bold")
    axes.tick_params(axis="y", length=0)
    axes.invert_yaxis()
    show_percent(axes, [row for _, row in drawn])
    axes.set_xlabel("crops right, 95 % interval")
    return figure


def plot_fields(metrics: dict[str, Any]) -> Figure:
    """Accuracy of every field, the worst first, and their mean."""
    by_field = metrics["accuracy_by_field"]
    shares = np.sort([f["right"] / f["crops"] for f in by_field["fields"].values()])
    figure = new_figure(6.4, 4.2)
    axes = figure.subplots()
    axes.plot(np.arange(len(shares)) + 1, shares, "o", color=BLUE, markersize=5, label="one field")
    axes.axhline(by_field["mean"], color=ORANGE, label="mean of the fields")
    if by_field["ci95"]:
        axes.axhspan(*by_field["ci95"], color=ORANGE, alpha=0.2, linewidth=0, label="95 % interval")
    show_percent(axes, [{"accuracy": shares[0], "ci95": by_field["ci95"]}], "y")
    axes.set(xlabel=f"field, the worst first (n = {len(shares)})", ylabel="crops right")
    axes.legend(frameon=False, loc="lower right")
    return figure


def show_percent(axes: Axes, rows: Sequence[dict[str, Any]], which: str = "x") -> None:
    """Let an axis run in percent from a little below the lowest of `rows` to 100."""
    from matplotlib.ticker import PercentFormatter

    low = min(min([row["accuracy"], *(row["ci95"] or ())]) for row in rows)
    margin = max(1 - low, 0.02) * 0.08
    axes.set(**{f"{which}lim": (max(min(low, 0.98) - margin, -0.02), 1 + margin)})
    getattr(axes, f"{which}axis").set_major_formatter(PercentFormatter(1, symbol=" %"))


def plot_all(
    y: np.ndarray, answers: Answers, metrics: dict[str, Any], folder: Path
) -> dict[str, Path]:
    """Write the report's pictures into `folder`: name -> path."""
    classes = metrics["classes"]
    what = classes[1] if len(classes) == 2 else "the class given"
    figures = {
        "confusion_matrix": plot_confusion(
            np.array(metrics["confusion_matrix"]), classes, metrics["fields"]
        ),
        "roc_curve": plot_curves(y, answers, metrics, "roc"),
        "precision_recall_curve": plot_curves(y, answers, metrics, "pr"),
        "reliability": plot_reliability(metrics, what),
        "scores": plot_scores(metrics),
        "accuracy_by_group": plot_groups(metrics),
        "accuracy_by_field": plot_fields(metrics),
    }
    if metrics["whole_fields"]:
        figures["field_precision_recall"] = plot_boxes(metrics["whole_fields"])
        figures["field_counts"] = plot_counts(metrics["whole_fields"])
    if metrics["history"]:
        figures["training_curves"] = plot_history(metrics["history"])
    for name, figure in figures.items():
        save_figure(figure, folder / f"{name}.png")
    return {name: folder / f"{name}.png" for name in figures}


# --- tell -----------------------------------------------------------------------------------------


def read_history(path: Path) -> list[dict[str, Any]]:
    """The rows of history.csv; none where it isn't there, as with the bundled model."""
    if not path.is_file():
        return []
    with open(path, newline="") as file:
        rows = list(csv.DictReader(file))
    return [
        {k: v if k == "phase" else float(v) for k, v in row.items() if v and k != "seconds"}
        for row in rows
        if row["phase"] != "fields"
    ]


def describe_run(
    options: Options, archive: Archive, card: dict[str, Any], seen: int
) -> dict[str, Any]:
    """What metrics.json says of the model, the archive and how the report was made."""
    return {
        "threshold": card["threshold"],
        "task": card["task"],
        "test_fields_trained_on": seen,
        "split": {k: archive.metadata[k] for k in ("split", "fields", "counts", "left_out")},
        "history": read_history(options.model / "history.csv"),
        "archive_sha256": archive.digest,
        "resamples": options.resamples,
        "command": format_command(options),
        "versions": list_versions(VERSIONED),
    }


def format_command(options: Options) -> str:
    """The command that makes the same page: without the options that don't change it."""
    words = ["python3", "evaluate_model.py"]
    for field in dataclasses.fields(options):
        value = getattr(options, field.name)
        if field.name not in ("output_dir", "workers") and value != field.default:
            words += ["--" + field.name.replace("_", "-"), str(value)]
    return shlex.join(words)


def format_percent(share: float | None) -> str:
    """A share as a percentage; "100 %" and "0 %" are said of nothing less and nothing more."""
    if share is None:
        return "-"
    sign = "<" if 0 < share < 0.0001 else ">" if 0.9999 < share < 1 else ""
    digits = 0 if share in (0, 1) else 1 if 0.001 <= share <= 0.999 else 2
    shown = share if digits == 0 else min(max(share, 0.0001), 0.9999)
    return f"{sign}{shown:.{digits}%}".replace("%", "\N{NO-BREAK SPACE}%")


def format_interval(interval: Sequence[float] | None, digits: int | None = None) -> str:
    """ "low to high" with that many digits; None: in percent."""
    if interval is None:
        return "too few examples"
    if digits is None:
        low, high = map(format_percent, interval)
        return f"{low[:-2]} to {high}"  # the unit once
    return f"{interval[0]:.{digits}f} to {interval[1]:.{digits}f}"


def format_table(metrics: dict[str, Any]) -> str:
    """Metric, value and interval, a line each; with a second model, its value and the change."""
    other = metrics["comparison"]

    def value(number: float | None) -> str:
        return "-" if number is None else f"{number:.4f}"

    head = f"{'metric':<20}{'value':>8}   {'95 % interval':<18}"
    lines = [head + f"{'second':>8}   95 % interval of the change" if other else head.rstrip()]
    for name in HEADLINE:
        span = format_interval(metrics["ci95"][name], 4)
        line = f"{name:<20}{value(metrics[name]):>8}   {span}"
        if other:
            change = format_interval(other["difference_ci95"][name], 4)
            line = f"{line:<49}{value(other[name]):>8}   {change}"
        lines.append(line)
    if other:
        test = other["mcnemar"]
        lines.append(
            f"only the first right: {test['only_first_right']}, only the second: "
            f"{test['only_second_right']}, exact McNemar test p = {test['p']:.3g}"
        )
    if metrics["whole_fields"]:
        lines.append(
            f"{'whole fields':<14}{'AP50':>8}{'AP50:95':>9}{'counted':>9}{'annotated':>11}"
        )
        for label, row in metrics["whole_fields"]["labels"].items():
            lines.append(
                f"{label:<14}{value(row['ap50']):>8}{value(row['ap50_95']):>9}"
                f"{row['counted']:>9}{row['annotated']:>11}"
            )
    return "\n".join(lines)


def format_predictions(rows: Sequence[dict[str, Any]]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, rows[0], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def render_page(**content: Any) -> str:
    """Fill in the template; what comes from files is escaped, and nothing may be missing."""
    from jinja2 import Environment, StrictUndefined

    environment = Environment(autoescape=True, undefined=StrictUndefined)
    environment.filters |= {"percent": format_percent, "interval": format_interval}
    return environment.from_string(TEMPLATE.read_text("utf-8")).render(content)


def clean(value: Any) -> Any:
    """What JSON can hold: NaN becomes null, NumPy's numbers Python's, rounded to eight decimals."""
    if isinstance(value, dict):
        return {k: clean(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [clean(v) for v in value]
    if isinstance(value, float | np.floating):
        return round(float(value), 8) if np.isfinite(value) else None
    return value


def write_report(
    folder: Path, metrics: dict[str, Any], rows: Sequence[dict[str, Any]], page: str
) -> None:
    for name, text in (
        ("predictions.csv", format_predictions(rows)),
        ("metrics.json", json.dumps(metrics, indent=2) + "\n"),
        ("report.html", page),
    ):
        with written_whole(folder / name) as temporary:
            temporary.write_text(text, "utf-8")


@command
def main(argv: Sequence[str] | None = None) -> int:
    start = time.perf_counter()
    options: Options = parse_options(Options, __doc__, argv)
    classifier = Classifier.load(options.model)
    second = load_second(options.compare, classifier) if options.compare else None
    archive = load_archive(options.data, ["test"])
    test, classes = archive.splits["test"], classifier.classes
    y = match_classes(archive, classifier, options.data)
    seen = count_seen(archive, classifier, options.model)

    answers = ask(classifier, test.X, options.workers)
    metrics = measure(y, answers, classes, test, options)
    metrics |= describe_run(options, archive, classifier.card, seen)
    metrics["comparison"] = None
    if second:
        others = ask(second, test.X, options.workers)
        metrics["comparison"] = compare(y, answers, others, test.source, options)
        seen = count_seen(archive, second, options.compare)
        metrics["comparison"]["test_fields_trained_on"] = seen

    metrics["whole_fields"], worst = None, []
    if "fields" in classifier.card:
        detector = Detector.load(options.model, classifier.card, options.workers)
        found = ask_fields(detector, archive.fields["test"])
        metrics["whole_fields"] = measure_fields(found)
        worst = draw_worst_fields(metrics["whole_fields"], found, archive.fields["test"])

    rows = [describe_crop(i, test, y, answers, classes) for i in range(len(y))]
    wrong, doubtful = pick_listed(y, answers, metrics["threshold"])
    right = np.flatnonzero(answers.predicted == y)
    picked = pick_explained(wrong, right, test.label, options.seed)
    explained = explain(classifier, test, answers, picked, options.workers)
    metrics["heat_maps"] = [{"number": e["index"] + 1, "lowest": e["lowest"]} for e in explained]
    metrics = clean(metrics)

    options.output_dir.mkdir(parents=True, exist_ok=True)
    plots = plot_all(y, answers, metrics, options.output_dir)
    listed = [rows[i] for i in (*wrong, *doubtful)]
    page = render_page(
        options=options,
        metrics=metrics,
        card={k: v for k, v in classifier.card.items() if k != "training_fields"},
        pictures={name: embed(path) for name, path in plots.items()},
        wrong=[rows[i] | {"picture": embed(test.X[i])} for i in wrong],
        doubtful=[rows[i] | {"picture": embed(test.X[i])} for i in doubtful],
        explained=[e | rows[e["index"]] for e in explained],
        listed=listed,
        worst_fields=[
            row | {side: embed(row[side], 85) for side in ("annotated", "found")} for row in worst
        ],
        fields=show_fields(listed, archive.fields["test"]),
    )
    write_report(options.output_dir, metrics, rows, page)
    for i, row in enumerate(worst):
        pair = np.hstack([row["annotated"], row["found"]])
        write_image(options.output_dir / f"worst_field_{i + 1}.png", pair)
    print(format_table(metrics))
    say(f"{len(y)} crops of {metrics['fields']} fields in {time.perf_counter() - start:.1f} s")
    print(f"report: {options.output_dir / 'report.html'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
