"""Score a trained model on the test split: numbers in metrics.json, pictures as PNG.

    python3 evaluate_model.py                      # model/ on preprocessed_data.npz -> report/
    python3 evaluate_model.py --data other_lab.npz --model model --output-dir report

Answers come from the exported model through the same code that predict.py uses. Intervals are
95 % percentile bootstrap intervals over fields, since crops of one field are not independent.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from preprocess_data import UserError, command, option, parse_options, progress, say, written_whole
from train_model import (
    BLUE,
    GREY,
    ORANGE,
    Archive,
    Classifier,
    find_seen_fields,
    load_archive,
    new_figure,
    save_figure,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

HEADLINE = ("accuracy", "balanced_accuracy", "precision", "recall", "f1", "roc_auc",
            "average_precision", "mcc", "brier", "ece")  # fmt: skip


@dataclass(frozen=True)
class Options:
    data: Path = option(Path("preprocessed_data.npz"), "archive whose test split is scored")
    model: Path = option(Path("model"), "folder that train_model.py wrote")
    output_dir: Path = option(Path("report"), "folder for the report")
    resamples: int = option(1000, "bootstrap resamples of the fields, for the intervals")
    seed: int = option(42, "seed of the bootstrap")
    workers: int = option(os.cpu_count() or 1, "crops classified side by side")


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


def calibration_error(
    confidence: np.ndarray, correct: np.ndarray, weight: np.ndarray, bins: int = 15
) -> float:
    """Expected calibration error over equal-width bins of [0, 1] (Guo et al., 2017)."""
    home = np.minimum((confidence * bins).astype(int), bins - 1)
    gap = np.bincount(home, weight * (confidence - correct), bins)
    return float(np.abs(gap).sum() / weight.sum())


def score(
    y: np.ndarray, proba: np.ndarray, predicted: np.ndarray, weight: np.ndarray
) -> dict[str, float]:
    """The headline figures for labels (n,), probabilities (n, k) and weights (n,) of the crops.

    With two classes, precision, recall, f1, roc_auc, average_precision and brier are RBC's, the
    second class's; with more they are means over the classes present (brier: the sum over classes).
    `ece` compares the probability of the likeliest class with how often it is right.
    A figure that needs a class which is absent is NaN.
    """
    from sklearn import metrics

    present = np.flatnonzero(np.bincount(y, weight, proba.shape[1]) > 0)
    binary = proba.shape[1] == 2
    ranked = [1] if binary else present
    precision, recall, f1, _ = metrics.precision_recall_fscore_support(
        y, predicted, labels=ranked, average=None, sample_weight=weight, zero_division=0
    )
    truth = np.eye(proba.shape[1])[y]
    several = len(present) > 1

    def mean_over_classes(metric: Callable) -> float:
        if not several:
            return float("nan")
        return float(
            np.mean([metric(truth[:, c], proba[:, c], sample_weight=weight) for c in ranked])
        )

    per_crop = (proba - truth)[:, 1] ** 2 if binary else ((proba - truth) ** 2).sum(axis=1)
    confidence, likeliest = proba.max(axis=1), proba.argmax(axis=1)
    hit = (predicted == y) * weight
    recalls = np.bincount(y, hit, proba.shape[1])[present] / np.bincount(y, weight)[present]
    return {
        "accuracy": float(hit.sum() / weight.sum()),
        "balanced_accuracy": float(recalls.mean()),
        "precision": float(precision.mean()),
        "recall": float(recall.mean()),
        "f1": float(f1.mean()),
        "roc_auc": mean_over_classes(metrics.roc_auc_score),
        "average_precision": mean_over_classes(metrics.average_precision_score),
        "mcc": float(metrics.matthews_corrcoef(y, predicted, sample_weight=weight)),
        "brier": float(np.average(per_crop, weights=weight)),
        "ece": calibration_error(confidence, likeliest == y, weight),
    }


def bootstrap(
    y: np.ndarray,
    proba: np.ndarray,
    predicted: np.ndarray,
    source: np.ndarray,
    resamples: int,
    seed: int,
) -> dict[str, list[float] | None]:
    """95 % intervals of the headline figures: fields drawn with replacement, crops with them.

    Percentile bootstrap over clusters (Davison and Hinkley, 1997). None where a figure could not be
    computed in most resamples, or where there are fewer than two fields.
    """
    fields, home = np.unique(source, return_inverse=True)
    if len(fields) < 2 or resamples < 1:
        return dict.fromkeys(HEADLINE)
    rng = np.random.default_rng(seed)
    draws = []
    for _ in progress(range(resamples), resamples, "bootstrap"):
        times = np.bincount(rng.integers(len(fields), size=len(fields)), minlength=len(fields))
        drawn = times[home] > 0
        weight = times[home][drawn].astype(float)
        draws.append(score(y[drawn], proba[drawn], predicted[drawn], weight))
    intervals: dict[str, list[float] | None] = {}
    for name in HEADLINE:
        values = np.array([d[name] for d in draws])
        values = values[np.isfinite(values)]
        low_high = (
            np.percentile(values, [2.5, 97.5]).tolist() if len(values) > resamples / 2 else None
        )
        intervals[name] = low_high
    return intervals


def score_classes(
    y: np.ndarray, proba: np.ndarray, predicted: np.ndarray, classes: Sequence[str]
) -> dict[str, dict[str, float | int | None]]:
    """Precision, recall, f1, support and one-against-the-rest AUC and AP of every class."""
    from sklearn import metrics

    precision, recall, f1, support = metrics.precision_recall_fscore_support(
        y, predicted, labels=range(len(classes)), average=None, zero_division=0
    )
    result: dict[str, dict[str, float | int | None]] = {}
    for i, name in enumerate(classes):
        both = 0 < support[i] < len(y)
        result[name] = {
            "precision": float(precision[i]),
            "recall": float(recall[i]) if support[i] else None,
            "f1": float(f1[i]),
            "support": int(support[i]),
            "roc_auc": float(metrics.roc_auc_score(y == i, proba[:, i])) if both else None,
            "average_precision": (
                float(metrics.average_precision_score(y == i, proba[:, i])) if both else None
            ),
        }
    return result


def plot_confusion(matrix: np.ndarray, classes: Sequence[str], fields: int) -> Figure:
    """Rows are the truth, columns the answer; shade and percentage are shares of the row."""
    figure = new_figure(1.4 * len(classes) + 2.6, 1.2 * len(classes) + 1.8)
    axes = figure.subplots()
    share = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
    for (i, j), n in np.ndenumerate(matrix):
        colour = "white" if share[i, j] > 0.5 else "black"
        axes.text(j, i, f"{n}\n{share[i, j]:.1%}", ha="center", va="center", color=colour)
    axes.set_xticks(range(len(classes)), classes)
    axes.set_yticks(range(len(classes)), classes)
    axes.set(xlabel="predicted", ylabel="annotated")
    axes.set_title(f"{matrix.sum()} test crops of {fields} fields", fontsize=12)
    return figure


def plot_curves(
    y: np.ndarray, proba: np.ndarray, predicted: np.ndarray, classes: Sequence[str], kind: str
) -> Figure:
    """ROC ("roc") or precision-recall ("pr") curves: RBC's, or each class's against the rest.

    The dot is where the model decides.
    """
    from sklearn.metrics import precision_recall_curve, roc_curve

    figure = new_figure(6, 5)
    axes = figure.subplots()
    shown = [1] if len(classes) == 2 else range(len(classes))
    for colour, i in zip(
        (BLUE, ORANGE, "#009E73", "#CC79A7", "#E69F00", GREY) * 9, shown, strict=False
    ):
        truth, answer = y == i, predicted == i
        if not 0 < truth.sum() < len(y):
            continue
        hit, false = (answer & truth).sum(), (answer & ~truth).sum()
        if kind == "roc":
            x, height, _ = roc_curve(truth, proba[:, i])
            dot = false / (~truth).sum(), hit / truth.sum()
        else:
            height, x, _ = precision_recall_curve(truth, proba[:, i])
            dot = hit / truth.sum(), hit / max(hit + false, 1)
        axes.step(x, height, where="post", color=colour, label=f"{classes[i]} (n = {truth.sum()})")
        axes.plot(*dot, "o", color=colour)
    if kind == "roc":
        axes.set(xlabel="false positive rate", ylabel="true positive rate (recall)")
    else:
        axes.set(xlabel="recall", ylabel="precision")
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    axes.set_title(f"{len(y)} test crops", fontsize=12)
    axes.legend(frameon=False, loc="lower center")
    return figure


def format_table(metrics: dict[str, Any]) -> str:
    """Metric, value and interval, a line each."""
    lines = [f"{'metric':<20}{'value':>8}   95 % interval"]
    for name in HEADLINE:
        interval = metrics["ci95"][name]
        span = "too few examples" if interval is None else f"{interval[0]:.4f} to {interval[1]:.4f}"
        value = "-" if metrics[name] is None else f"{metrics[name]:.4f}"
        lines.append(f"{name:<20}{value:>8}   {span}")
    return "\n".join(lines)


@command
def main(argv: Sequence[str] | None = None) -> int:
    start = time.perf_counter()
    options: Options = parse_options(Options, __doc__, argv)
    if options.resamples < 0 or options.workers < 1:
        raise UserError("--resamples wants 0 or more, --workers at least 1")
    classifier = Classifier.load(options.model)
    archive = load_archive(options.data, ["test"])
    y = match_classes(archive, classifier, options.data)
    seen = find_seen_fields(archive.metadata, classifier.card, ["test"])
    if seen:
        say(f"warning: {len(seen)} of the test fields were trained on: the figures flatter")
    test = archive.splits["test"]
    proba, novelty = classifier.predict_proba(test.X, options.workers)
    predicted = classifier.predict(proba)

    values = score(y, proba, predicted, np.ones(len(y)))
    classes = classifier.classes
    matrix = np.zeros((len(classes), len(classes)), int)
    np.add.at(matrix, (y, predicted), 1)
    fields = len(np.unique(test.source))
    metrics: dict[str, Any] = {
        **{name: value if np.isfinite(value) else None for name, value in values.items()},
        "threshold": classifier.card["threshold"],
        "confusion_matrix": matrix.tolist(),
        "classes": classes,
        "support": matrix.sum(axis=1).tolist(),
        "per_class": score_classes(y, proba, predicted, classes),
        "ci95": bootstrap(y, proba, predicted, test.source, options.resamples, options.seed),
        "uncertain_share": float(classifier.is_uncertain(novelty).mean()),
        "crops": len(y),
        "fields": fields,
        "task": classifier.card["task"],
        "archive_sha256": archive.digest,
        "test_fields_trained_on": len(seen),
    }
    options.output_dir.mkdir(parents=True, exist_ok=True)
    figures = {
        "confusion_matrix.png": plot_confusion(matrix, classes, fields),
        "roc_curve.png": plot_curves(y, proba, predicted, classes, "roc"),
        "precision_recall_curve.png": plot_curves(y, proba, predicted, classes, "pr"),
    }
    for name, figure in figures.items():
        save_figure(figure, options.output_dir / name)
    with written_whole(options.output_dir / "metrics.json") as temporary:
        temporary.write_text(json.dumps(metrics, indent=2) + "\n")
    print(format_table(metrics))
    say(f"{len(y)} crops of {fields} fields in {time.perf_counter() - start:.1f} s")
    print(f"report: {options.output_dir}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
