"""Show how far a trained model can be trusted: a page of pictures, and every number on it.

    python3 evaluate_model.py                      # model/ on preprocessed_data.npz -> report/
    python3 evaluate_model.py --data other_lab.npz --compare data/pretrained

Writes ``report.html`` (one self-contained page), its pictures as PNG, ``metrics.json`` and
``predictions.csv``. Answers come from the exported model through the same code that predict.py
uses. Intervals are 95 % percentile bootstrap intervals over fields, since crops of one field are
not independent.
"""

from __future__ import annotations

import os
import sys

# Python's own way to this folder is left out by PYTHONSAFEPATH.
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

# isort: split
import hematovision.program.signals  # noqa: F401  first: from here on a signal ends in one line

# isort: split
import csv
import dataclasses
import io
import math
import shlex
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hematovision.archive.contents import Archive
from hematovision.archive.loading import load_archive
from hematovision.archive.parts import choose_archive, place
from hematovision.evaluation.comparing import compare
from hematovision.evaluation.field_scores import JudgedFields, measure_fields
from hematovision.evaluation.fold_answers import ask_by_fold, ask_fields_by_fold, find_folds
from hematovision.evaluation.matching import BINARY, Judged, Matched, match_archive
from hematovision.evaluation.measure import Answers, at_detail, measure
from hematovision.evaluation.report import (
    clean,
    draw_worst_fields,
    pick_shown,
    write_report,
)
from hematovision.evaluation.scores import Bootstrap
from hematovision.evaluation.table import format_table
from hematovision.evaluation.types import measure_types
from hematovision.networks.card import Card, choose_model, list_versions
from hematovision.networks.classifier import Classifier
from hematovision.networks.seen import find_seen_fields, find_seen_twins
from hematovision.program.console import UserError, command, say, tell
from hematovision.program.files import check_writable, read_file
from hematovision.program.locks import hold
from hematovision.program.options import option, parse_options, seed_option, worker_option

VERSIONED = ("numpy", "opencv-python-headless", "ai-edge-litert", "matplotlib", "jinja2")
OF_SPLIT = ("split", "fields", "counts", "left_out")  # what metrics.json tells of the archive


@dataclass(frozen=True)
class Options:
    data: Path | None = option(
        None, "archive whose test split is scored (default: preprocessed_data.npz)"
    )
    model: Path | None = option(
        None, "folder that train_model.py wrote (default: model/, else the bundled model)"
    )
    output_dir: Path | None = option(
        None, "folder for the report (default: report; demo/report where cells are drawn)"
    )
    compare: Path | None = option(None, "folder of a second model to put beside the first")
    resamples: int = option(
        1000, "bootstrap resamples of the fields, for the intervals (0: none)", low=0, high=10_000
    )
    seed: int = seed_option("seed of the bootstrap and of the choice of heat maps")
    workers: int = worker_option("crops classified side by side")


def count_seen(archive: Archive, card: Card, name: Path) -> int:
    """How many test fields the model was trained on, or on a twin of, with a warning where there
    are any. 0, where networks that weren't stand beside it and answer."""
    models, _ = find_folds(name, archive, archive.fields["test"].name)
    if models:
        say(f"{name}: each field is scored by that of {len(models)} folds that hasn't learnt it")
        return 0
    seen = len(find_seen_fields(archive.metadata, card, ["test"]))
    twins = find_seen_twins(archive.metadata, card, ["test"])
    if seen:
        say(f"warning: {name}: trained on {seen} of the test fields: the figures flatter")
    if twins:
        say(
            f"warning: {name}: trained on (nearly) the same picture as {len(twins)} of the test "
            f"fields, such as {twins[0]}: the figures flatter"
        )
    return seen + len(twins)


def compare_models(
    options: Options, archive: Archive, path: Path, first: Matched, answers: Answers
) -> dict[str, Any] | None:
    """The second model asked the same as the first, and its figures beside the first's.

    Raises UserError where the two don't answer the same question.
    """
    folder = options.compare
    if folder is None:
        return None
    loaded = Classifier.load(folder)
    second, classes, crops = match_archive(archive, loaded, path), first.model.classes, len(first.y)
    if list(second.model.classes) != list(classes) or len(second.y) != crops:
        raise UserError(
            f"{folder}: scored in {', '.join(second.model.classes)} on {len(second.y)} crops, the "
            f"first model in {', '.join(classes)} on {crops}; only models of one task can be "
            "compared"
        )
    for line in second.notices:
        say(f"{line} ({folder})")
    others = ask_by_fold(folder, archive, path, second, options.workers)
    others = at_detail(others, second.y, second.model.classes)
    bootstrap = Bootstrap(options.resamples, options.seed)
    found = compare(first.y, answers, others, first.split.source, bootstrap)
    found |= {"test_fields_trained_on": count_seen(archive, loaded.card, folder)}
    finds = loaded.card.fields is not None
    fields = ask_fields_by_fold(folder, archive, options.workers) if finds else None
    return found | {"whole_fields": fields and score_fields(fields, folder)}


def score_fields(judged: JudgedFields, name: Path) -> dict[str, Any]:
    """The figures of whole fields, with a warning where these were annotated from the model's own
    boxes."""
    found = measure_fields(judged)
    if found["circular"]:
        say(
            f"warning: {name}: {100 * found['own_boxes']:.0f} % of the annotated boxes are its own "
            "to the pixel: where people went through its proposals, its figures say how much of "
            "them they left, and are no measure beside another model's"
        )
    return found


def describe_run(
    options: Options,
    folder: Path,
    archive: Archive,
    classifier: Judged,
    seen: int,
) -> dict[str, Any]:
    """What metrics.json says of the model, the archive and how the report was made."""
    return {
        "threshold": classifier.threshold,
        "task": "binary" if classifier.classes == BINARY else "multiclass",
        "test_fields_trained_on": seen,
        "split": {key: getattr(archive.metadata, key) for key in OF_SPLIT},
        "folds": len(find_folds(folder, archive, archive.fields["test"].name)[0]),
        "history": read_history(folder / "history.csv"),
        "archive_sha256": archive.digest,
        "resamples": options.resamples,
        "command": format_command(options),
        "versions": list_versions(VERSIONED),
    }


def read_history(path: Path) -> list[dict[str, Any]]:
    """The rows of history.csv; none where it isn't there, as with the bundled model."""
    if not path.exists():
        return []
    try:
        text = read_file(path, "history").decode("utf-8")
        return [
            {
                k: v if k == "phase" else read_finite(v)
                for k, v in row.items()
                if v and k != "seconds"
            }
            for row in csv.DictReader(io.StringIO(text))
            if row["phase"] != "fields"
        ]
    except (ValueError, LookupError, TypeError, csv.Error) as error:
        raise UserError(f"{path}: no history of a training ({error}); remove it") from None


def read_finite(text: str) -> float:
    """A number; ValueError where it is none, or not finite."""
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text}: no finite number")
    return number


def format_command(options: Options) -> str:
    """The command that makes the same page: without the options that don't change it."""
    words = ["python3", "evaluate_model.py"]
    for field in dataclasses.fields(options):
        value = getattr(options, field.name)
        if field.name not in ("output_dir", "workers") and value != field.default:
            words += ["--" + field.name.replace("_", "-"), str(value)]
    return shlex.join(words)


@command
def main(argv: Sequence[str] | None = None) -> int:
    start = time.perf_counter()
    options: Options = parse_options(Options, __doc__, argv)
    path = choose_archive(options.data)
    archive = load_archive(path, ["test"])
    folder, notice = choose_model(options.model, place("model", archive.metadata.demonstration))
    loaded = Classifier.load(folder)
    matched = match_archive(archive, loaded, path)
    for line in filter(None, [notice, *matched.notices]):
        say(line)
    seen = count_seen(archive, loaded.card, folder)
    target = options.output_dir or place("report", archive.metadata.demonstration)
    check_writable(target)
    hold(target / "metrics.json")

    classes, y = matched.model.classes, matched.y
    answers = at_detail(ask_by_fold(folder, archive, path, matched, options.workers), y, classes)
    comparison = compare_models(options, archive, path, matched, answers)
    whole_fields, worst = None, []
    if loaded.card.fields is not None:
        judged = ask_fields_by_fold(folder, archive, options.workers)
        whole_fields = score_fields(judged, folder)
        worst = draw_worst_fields(whole_fields, judged, archive.fields["test"])
    shown = pick_shown(matched, answers, worst, options.seed, options.workers)
    bootstrap = Bootstrap(options.resamples, options.seed)
    metrics = clean({
        **measure(y, answers, classes, matched.split, bootstrap),
        **describe_run(options, folder, archive, matched.model, seen),
        "types": measure_types(y, answers.predicted, classes, matched.split),
        "comparison": comparison,
        "whole_fields": whole_fields,
        "heat_maps": [{"number": e["index"] + 1, "lowest": e["lowest"]} for e in shown.explained],
    })  # fmt: skip
    asked = dataclasses.replace(options, data=path, model=folder, output_dir=target)
    write_report(asked, metrics, loaded.card, matched, answers, archive.fields["test"], shown)
    for line in format_table(metrics):
        tell(line)
    say(f"{len(y)} crops of {metrics['fields']} fields in {time.perf_counter() - start:.1f} s")
    tell(f"report: {target / 'report.html'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
