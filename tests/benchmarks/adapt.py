"""What a handful of fields of a laboratory bring: a model before and after it learns from them.

    python3 tests/benchmarks/adapt.py --data-dir raabin --model without_raabin --home bccd

Fields drawn at random are laid into a dataset of their own, dealt to folds, and `train_model.py
--weights MODEL` goes on from the model with its default options; the other fields of the
laboratory, the same for every number, are scored before and after, as are the test fields of
another dataset, `--home`, which the model knows. Prints a row each: fields learnt from, seconds of
training, with `--task multiclass` balanced accuracy over types of white cells (share left untyped),
AP50 (counting accuracy) of the labels that are boxed completely there, the accuracy on crops at
home, and the same there. A field with one typed cell each is a cell corrected by hand.
"""

from __future__ import annotations

import json
import shutil
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(Path(__file__).parent)]

from strangers import LABELS, run

from hematovision.networks.card import PRETRAINED
from hematovision.program.console import UserError, command, say
from hematovision.program.options import option, parse_options


@dataclass(frozen=True)
class Options:
    data_dir: Path | None = option(None, "the laboratory: a folder in Pascal VOC")
    model: Path = option(PRETRAINED, "what is gone on from; it should not know the laboratory")
    home: Path | None = option(None, "a dataset that the model knows, to see what is forgotten")
    fields: tuple[int, ...] = option((5, 20), "how many fields are learnt from, in turn")
    task: Literal["binary", "multiclass"] = option(
        "binary", "multiclass: types of white cells too, in a column of their own"
    )
    field_epochs: int | None = option(None, "as train_model.py's; 0: crops only", low=0)
    seed: int = option(0, "seed of which fields", low=0)
    output: Path = option(Path("bench/adapt"), "folder for datasets, models and reports")


def lay_out(source: Path, pictures: Sequence[Path], target: Path) -> Path:
    """A dataset of some of the pictures of another, in `target`."""
    shutil.rmtree(target, ignore_errors=True)
    for folder in ("JPEGImages", "Annotations"):
        (target / folder).mkdir(parents=True)
    for picture in pictures:
        shutil.copy(picture, target / "JPEGImages")
        shutil.copy(source / "Annotations" / f"{picture.stem}.xml", target / "Annotations")
    return target


def evaluate(archive: Path, model: Path, report: Path) -> dict[str, Any]:
    """metrics.json of a model on the test split of an archive."""
    run("evaluate_model.py", "--data", archive, "--model", model, "--output-dir", report,
        "--resamples", 0)  # fmt: skip
    return json.loads((report / "metrics.json").read_text())


def format_fields(found: dict[str, Any]) -> list[str]:
    """AP50 (counting accuracy) of each label, where all its cells are boxed."""
    shown = []
    for label in LABELS:
        of = (found["whole_fields"] or {"labels": {}})["labels"].get(label, {})
        whole = of.get("annotated") and of["boxed_completely"]
        shown.append(f"{of['ap50']:.3f} ({of['counting_accuracy']:.3f})" if whole else "-")
    return shown


def format_types(found: dict[str, Any]) -> str:
    """Balanced accuracy over types (share left untyped), where types are annotated."""
    types = found.get("types")
    return f"{types['balanced_accuracy']:.3f} ({types['untyped_share']:.3f})" if types else "-"


def format_row(name: str, seconds: float | None, there: dict[str, Any], home: Any) -> str:
    """A row of the table, in Markdown."""
    shown = [name, "-" if seconds is None else f"{seconds:.0f} s", format_types(there)]
    shown += format_fields(there)
    if home is not None:
        shown += [f"{home['accuracy']:.4f}", format_types(home), *format_fields(home)]
    return "| " + " | ".join(shown) + " |"


@command
def main(argv: Sequence[str] | None = None) -> int:
    options: Options = parse_options(Options, __doc__, argv)
    if options.data_dir is None or not (options.data_dir / "Annotations").is_dir():
        raise UserError("--data-dir: a folder with JPEGImages and Annotations is wanted")
    output, source = options.output, options.data_dir
    pictures = sorted((source / "JPEGImages").iterdir())
    order = np.random.default_rng(options.seed).permutation(len(pictures))
    most = max(options.fields)
    rest = lay_out(source, [pictures[i] for i in order[most:]], output / "rest")
    task = ("--task", options.task)
    run("preprocess_data.py", "--data-dir", rest, "--split", "test", "--output",
        output / "rest.npz", *task)  # fmt: skip
    if options.home:
        run("preprocess_data.py", "--data-dir", options.home, "--output", output / "home.npz",
            *task)  # fmt: skip

    def score(name: str, seconds: float | None, model: Path) -> None:
        there = evaluate(output / "rest.npz", model, output / f"report_{model.name}")
        home = None
        if options.home:
            home = evaluate(output / "home.npz", model, output / f"home_{model.name}")
        print(format_row(name, seconds, there, home), flush=True)

    columns = ["fields", "training", "types (untyped)", *LABELS]
    if options.home:
        columns += ["crops at home", "types at home", *(f"{label} at home" for label in LABELS)]
    print("| " + " | ".join(columns) + " |")
    print("|---" * len(columns) + "|", flush=True)
    score("none", None, options.model)
    for count in options.fields:
        few = lay_out(source, [pictures[i] for i in order[:count]], output / f"few_{count}")
        archive, model = output / f"few_{count}.npz", output / f"adapted_{count}"
        run("preprocess_data.py", "--data-dir", few, "--split", "folds", "--output", archive, *task)
        start = time.perf_counter()
        only = () if options.field_epochs is None else ("--field-epochs", options.field_epochs)
        run("train_model.py", "--data", archive, "--weights", options.model, "--output-dir", model,
            *only)  # fmt: skip
        say(f"{count} fields: trained")
        score(str(count), time.perf_counter() - start, model)
    return 0


if __name__ == "__main__":
    sys.exit(main())
