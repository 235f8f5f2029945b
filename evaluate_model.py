"""Show how far a trained model can be trusted: a page of pictures, and every number on it.

    python3 evaluate_model.py                      # model/ on preprocessed_data.npz -> report/
    python3 evaluate_model.py --data other_lab.npz --compare data/pretrained

Writes ``report.html`` (one self-contained page), its pictures as PNG, ``metrics.json`` and
``predictions.csv``. Answers come from the exported model through the same code that predict.py
uses. Intervals are 95 % percentile bootstrap intervals over fields, since crops of one field are
not independent.
"""

from __future__ import annotations

import csv
import dataclasses
import os
import shlex
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hematovision.archive import Archive, find_seen_fields, load_archive
from hematovision.classifier import Classifier, list_versions
from hematovision.console import UserError, command, option, parse_options, say
from hematovision.detector import Detector
from hematovision.evaluation.field_scores import ask_fields, measure_fields
from hematovision.evaluation.measure import ask, compare, measure
from hematovision.evaluation.report import (
    clean,
    draw_worst_fields,
    format_interval,
    pick_shown,
    write_report,
)
from hematovision.evaluation.scores import HEADLINE, Bootstrap

VERSIONED = ("numpy", "opencv-python-headless", "ai-edge-litert", "matplotlib", "jinja2")


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


def format_command(options: Options) -> str:
    """The command that makes the same page: without the options that don't change it."""
    words = ["python3", "evaluate_model.py"]
    for field in dataclasses.fields(options):
        value = getattr(options, field.name)
        if field.name not in ("output_dir", "workers") and value != field.default:
            words += ["--" + field.name.replace("_", "-"), str(value)]
    return shlex.join(words)


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


@command
def main(argv: Sequence[str] | None = None) -> int:
    start = time.perf_counter()
    options: Options = parse_options(Options, __doc__, argv)
    bootstrap = Bootstrap(options.resamples, options.seed)
    classifier = Classifier.load(options.model)
    second = load_second(options.compare, classifier) if options.compare else None
    archive = load_archive(options.data, ["test"])
    test, fields, card = archive.splits["test"], archive.fields["test"], classifier.card
    y = match_classes(archive, classifier, options.data)
    seen = count_seen(archive, classifier, options.model)

    answers = ask(classifier, test.X, options.workers)
    comparison, whole_fields, worst = None, None, []
    if second:
        others = ask(second, test.X, options.workers)
        comparison = compare(y, answers, others, test.source, bootstrap)
        comparison["test_fields_trained_on"] = count_seen(archive, second, options.compare)
    if "fields" in card:
        found = ask_fields(Detector.load(options.model, card, options.workers), fields)
        whole_fields = measure_fields(found)
        worst = draw_worst_fields(whole_fields, found, fields)
    shown = pick_shown(classifier, test, y, answers, options.seed, options.workers)
    metrics = clean(
        {
            **measure(y, answers, classifier.classes, test, bootstrap),
            **describe_run(options, archive, card, seen),
            "comparison": comparison,
            "whole_fields": whole_fields,
            "heat_maps": [
                {"number": e["index"] + 1, "lowest": e["lowest"]} for e in shown.explained
            ],
        }
    )
    write_report(options, metrics, card, test, y, answers, fields, shown, worst)
    print(format_table(metrics))
    say(f"{len(y)} crops of {metrics['fields']} fields in {time.perf_counter() - start:.1f} s")
    print(f"report: {options.output_dir / 'report.html'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
