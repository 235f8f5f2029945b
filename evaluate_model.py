"""Show how far a trained model can be trusted: a page of pictures, and every number on it.

    python3 evaluate_model.py                      # model/ on preprocessed_data.npz -> report/
    python3 evaluate_model.py --data other_lab.npz --compare data/pretrained

Writes ``report.html`` (one self-contained page), its pictures as PNG, ``metrics.json`` and
``predictions.csv``. Answers come from the exported model through the same code that predict.py
uses. Intervals are 95 % percentile bootstrap intervals over fields, since crops of one field are
not independent.
"""

from __future__ import annotations

import hematovision.program.signals  # noqa: F401  first: from here on a signal ends in one line

# isort: split
import csv
import dataclasses
import io
import os
import shlex
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hematovision.archive.contents import Archive, Split
from hematovision.archive.loading import load_archive
from hematovision.archive.parts import choose_archive, place
from hematovision.evaluation.field_scores import measure_fields
from hematovision.evaluation.fold_answers import ask_by_fold, ask_fields_by_fold, find_folds
from hematovision.evaluation.matching import BINARY, MergedClassifier, match_archive
from hematovision.evaluation.measure import at_detail, compare, measure
from hematovision.evaluation.report import (
    clean,
    draw_worst_fields,
    format_interval,
    pick_shown,
    write_report,
)
from hematovision.evaluation.scores import HEADLINE, Bootstrap
from hematovision.evaluation.types import measure_types
from hematovision.networks.card import choose_model, list_versions, read_card
from hematovision.networks.classifier import Classifier
from hematovision.networks.seen import find_seen_fields, find_seen_twins
from hematovision.program.console import UserError, command, option, parse_options, say
from hematovision.program.files import check_writable, read_file

OF_RBC = ("ap50", "counting_accuracy")  # told of each laboratory's red cells on the screen
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
        1000, "bootstrap resamples of the fields, for the intervals (0: none)", low=0
    )
    seed: int = option(42, "seed of the bootstrap and of the choice of heat maps", low=0)
    workers: int = option(os.cpu_count() or 1, "crops classified side by side", low=1)


def count_seen(archive: Archive, classifier: Classifier, name: Path) -> int:
    """How many test fields the model was trained on, or on a twin of, with a warning where there
    are any. None, where networks that weren't stand beside it and answer."""
    models, _ = find_folds(name, archive, archive.fields["test"].name)
    if models:
        say(f"{name}: each field is scored by that of {len(models)} folds that hasn't learnt it")
        return 0
    seen = len(find_seen_fields(archive.metadata, classifier.card, ["test"]))
    twins = find_seen_twins(archive.metadata, classifier.card, ["test"])
    if seen:
        say(f"warning: {name}: trained on {seen} of the test fields: the figures flatter")
    if twins:
        say(
            f"warning: {name}: trained on (nearly) the same picture as {len(twins)} of the test "
            f"fields, such as {twins[0]}: the figures flatter"
        )
    return seen + len(twins)


def match_second(
    folder: Path, archive: Archive, path: Path, first: Sequence[str], crops: int
) -> tuple[MergedClassifier | Classifier, Split]:
    """The model to compare with, and the crops it is asked about, which are the first's.

    Raises UserError where the two don't answer the same question.
    """
    second, split, _, notices = match_archive(archive, Classifier.load(folder), path)
    if list(second.classes) != list(first) or len(split.y) != crops:
        raise UserError(
            f"{folder}: scored in {', '.join(second.classes)} on {len(split.y)} crops, the first "
            f"model in {', '.join(first)} on {crops}; only models of one task can be compared"
        )
    for line in notices:
        say(f"{line} ({folder})")
    return second, split


def describe_run(
    options: Options,
    folder: Path,
    archive: Archive,
    classifier: Classifier | MergedClassifier,
    seen: int,
) -> dict[str, Any]:
    """What metrics.json says of the model, the archive and how the report was made."""
    return {
        "threshold": classifier.threshold,
        "task": "binary" if classifier.classes == BINARY else "multiclass",
        "test_fields_trained_on": seen,
        "split": {key: getattr(archive.metadata, key) for key in OF_SPLIT},
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
            {k: v if k == "phase" else float(v) for k, v in row.items() if v and k != "seconds"}
            for row in csv.DictReader(io.StringIO(text))
            if row["phase"] != "fields"
        ]
    except (ValueError, LookupError, TypeError, csv.Error) as error:
        raise UserError(f"{path}: no history of a training ({error}); remove it") from None


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
    lines += format_laboratories(metrics)
    if metrics["types"]:
        found = metrics["types"]
        lines.append(
            f"types of white cells: balanced accuracy {found['balanced_accuracy']:.4f} on "
            f"{found['crops']} crops, {100 * found['untyped_share']:.1f} % left without a type"
        )
    if metrics["whole_fields"]:
        beside = ((other or {}).get("whole_fields") or {}).get("labels", {})
        head = (
            f"{'whole fields':<14}{'AP50':>8}{'AP50:95':>9}{'counted':>9}{'annotated':>11}"
            f"{'fields':>8}"
        )
        lines.append(head + (f"{'second: AP50':>15}{'counted':>9}" if beside else ""))
        for label, row in metrics["whole_fields"]["labels"].items():
            line = (
                f"{label:<14}{value(row['ap50']):>8}{value(row['ap50_95']):>9}"
                f"{row['counted']:>9}{row['annotated']:>11}{row['fields']:>8}"
            )
            if label in beside:
                line += f"{value(beside[label]['ap50']):>15}{beside[label]['counted']:>9}"
            lines.append(line)
    return "\n".join(lines)


def format_laboratories(metrics: dict[str, Any]) -> list[str]:
    """A line for each laboratory where there are several: its crops, and what of its whole fields
    is boxed completely."""
    if len(metrics["laboratories"]) < 2:
        return []

    def value(number: float | None) -> str:
        return f"{'-':>13}" if number is None else f"{number:>13.4f}"

    of_fields = (metrics["whole_fields"] or {}).get("laboratories", {})
    lines = [
        f"{'laboratory':<20}{'RBC or not':>13}{'uncertain':>13}{'RBC AP50':>13}{'counting':>13}"
    ]
    for lab, row in metrics["laboratories"].items():
        rbc = of_fields.get(lab, {}).get("labels", {}).get("RBC", {})
        shown = [rbc.get(key) if rbc.get("boxed_completely") else None for key in OF_RBC]
        figures = [row["rbc_balanced_accuracy"], row["cells_uncertain"], *shown]
        lines.append(f"{lab:<20}" + "".join(map(value, figures)))
    return lines


@command
def main(argv: Sequence[str] | None = None) -> int:
    start = time.perf_counter()
    options: Options = parse_options(Options, __doc__, argv)
    bootstrap = Bootstrap(options.resamples, options.seed)
    path = choose_archive(options.data)
    archive = load_archive(path, ["test"])
    folder, notice = choose_model(options.model, place("model", archive.metadata.demonstration))
    loaded = Classifier.load(folder)
    classifier, test, y, notices = match_archive(archive, loaded, path)
    for line in filter(None, [notice, *notices]):
        say(line)
    fields, card = archive.fields["test"], loaded.card
    seen = count_seen(archive, loaded, folder)

    target = options.output_dir or place("report", archive.metadata.demonstration)
    check_writable(target)
    asked = archive, path, classifier, test, options.workers
    answers = at_detail(ask_by_fold(folder, *asked), y, classifier.classes)
    comparison, whole_fields, worst = None, None, []
    if options.compare:
        second, split = match_second(options.compare, archive, path, classifier.classes, len(y))
        asked = archive, path, second, split, options.workers
        others = at_detail(ask_by_fold(options.compare, *asked), y, second.classes)
        comparison = compare(y, answers, others, test.source, bootstrap)
        comparison["test_fields_trained_on"] = count_seen(archive, second, options.compare)
        comparison["whole_fields"] = None
    if card.fields is not None:
        found = ask_fields_by_fold(folder, archive, options.workers)
        whole_fields = measure_fields(found)
        worst = draw_worst_fields(whole_fields, found, fields)
    if comparison and options.compare and read_card(options.compare).fields is not None:
        found = ask_fields_by_fold(options.compare, archive, options.workers)
        comparison["whole_fields"] = measure_fields(found)
    shown = pick_shown(classifier, test, y, answers, options.seed, options.workers)
    metrics = clean(
        {
            **measure(y, answers, classifier.classes, test, bootstrap),
            **describe_run(options, folder, archive, classifier, seen),
            "types": measure_types(y, answers.predicted, classifier.classes, test),
            "comparison": comparison,
            "whole_fields": whole_fields,
            "heat_maps": [
                {"number": e["index"] + 1, "lowest": e["lowest"]} for e in shown.explained
            ],
        }
    )
    asked = dataclasses.replace(options, data=path, model=folder, output_dir=target)
    write_report(asked, metrics, card, test, y, answers, fields, shown, worst)
    print(format_table(metrics))
    say(f"{len(y)} crops of {metrics['fields']} fields in {time.perf_counter() - start:.1f} s")
    print(f"report: {target / 'report.html'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
