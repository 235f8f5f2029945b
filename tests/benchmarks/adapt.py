"""What a handful of a laboratory's fields bring: a model before and after it learns from them.

    python3 tests/benchmarks/adapt.py --data-dir raabin --model without_raabin --home bccd
    python3 tests/benchmarks/adapt.py --data-dir bcisc --model without_bcisc --cells 10 30 100

Fields drawn at random are laid into a dataset of their own, dealt to folds, and `train_model.py
--weights MODEL` goes on from the model with its default options; fields that no number of them
takes are scored before and after, as are the test fields of another dataset, `--home`, which the
model knows. `--fields` counts whole fields. `--cells` counts typed white cells, as a person
corrects them: fields are taken, one after the other and as they are, until they show so many.

Prints a row each: fields or cells learnt from, seconds of training, balanced accuracy over types of
ten cells or more (share left untyped), AP50 (counting accuracy) of the labels that are boxed
completely there, the accuracy on crops at home, and the same there.
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

from hematovision.annotations.reading import read_annotations
from hematovision.cells.labels import find_name
from hematovision.cells.taxonomy import is_a
from hematovision.networks.card import PRETRAINED
from hematovision.program.console import UserError, command, say
from hematovision.program.options import option, parse_options

LEAST = 10  # cells of a type from which its recall tells something


@dataclass(frozen=True)
class Options:
    data_dir: Path | None = option(None, "the laboratory: a folder in Pascal VOC")
    model: Path = option(PRETRAINED, "what is gone on from; it should not know the laboratory")
    home: Path | None = option(
        None, "a dataset that the model knows, or its archive, to see what is forgotten"
    )
    fields: tuple[int, ...] = option((), "how many fields are learnt from, in turn (default: 5 20)")
    cells: tuple[int, ...] = option((), "how many typed white cells instead, in turn")
    task: Literal["binary", "multiclass"] | None = option(
        None, "multiclass: types of white cells too (default: with --cells)"
    )
    field_epochs: int | None = option(None, "as train_model.py's; 0: crops only", low=0)
    seed: tuple[int, ...] = option((0,), "seed of which fields; several: so many draws")
    output: Path = option(Path("bench/adapt"), "folder for datasets, models and reports")


def count_typed(annotation: Path) -> int:
    """White cells of a picture that carry a type."""
    labels = [box.label for noted in read_annotations(annotation) for box in noted.boxes]
    names = [find_name(label) or label for label in labels]
    return sum(is_a(name, "WBC") and name != "WBC" for name in names)


def choose_few(options: Options, pictures: Sequence[Path], seed: int) -> dict[str, list[Path]]:
    """The pictures that are learnt from, by what they are called in the table, drawn by `seed`; a
    larger number takes those of the smaller ones too."""
    order = [pictures[i] for i in np.random.default_rng(seed).permutation(len(pictures))]
    if not options.cells:
        wanted = options.fields or (5, 20)
        return {f"{count} fields": order[:count] for count in wanted}
    annotations = [p.parents[1] / "Annotations" / f"{p.stem}.xml" for p in order]
    shown = np.cumsum([count_typed(path) for path in annotations])
    if shown[-1] < max(options.cells):
        raise UserError(f"--cells {max(options.cells)}: there are {shown[-1]} typed white cells")
    few = [int(np.searchsorted(shown, count)) + 1 for count in options.cells]
    return {f"{shown[n - 1]} cells in {n} fields": order[:n] for n in few}


def lay_out(source: Path, pictures: Sequence[Path], target: Path) -> Path:
    """A dataset of some of the pictures of another, in `target`."""
    shutil.rmtree(target, ignore_errors=True)
    for folder in ("JPEGImages", "Annotations"):
        (target / folder).mkdir(parents=True)
    for picture in pictures:
        shutil.copy(picture, target / "JPEGImages")
        shutil.copy(source / "Annotations" / f"{picture.stem}.xml", target / "Annotations")
    return target


def prepare(folder: Path, split: str, task: str) -> Path:
    """The archive of a dataset, beside its folder."""
    archive = folder.with_name(f"{folder.name}.npz")
    run("preprocess_data.py", "--data-dir", folder, "--split", split, "--task", task,
        "--output", archive)  # fmt: skip
    return archive


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
    """Balanced accuracy over types of LEAST cells or more (share left untyped), where types are
    annotated."""
    types = found.get("types")
    if not types:
        return "-"
    cells = {name: sum(row) for name, row in
             zip(types["types"], types["confusion_matrix"], strict=True)}  # fmt: skip
    recall = [types["recall"][name] for name, count in cells.items() if count >= LEAST]
    return f"{np.mean(recall):.3f} ({types['untyped_share']:.3f})" if recall else "-"


def format_row(name: str, seconds: float | None, there: dict[str, Any], home: Any) -> str:
    """A row of the table, in Markdown."""
    shown = [name, "-" if seconds is None else f"{seconds:.0f} s", format_types(there)]
    shown += format_fields(there)
    if home is not None:
        shown += [f"{home['accuracy']:.4f}", format_types(home), *format_fields(home)]
    return "| " + " | ".join(shown) + " |"


def measure_draw(options: Options, seed: int, task: str, home: Path | None) -> None:
    """Print the rows of one draw: before, then after each number of fields or cells."""
    assert options.data_dir is not None
    source, output = options.data_dir, options.output / f"draw_{seed}"
    pictures = sorted((source / "JPEGImages").iterdir())
    chosen = choose_few(options, pictures, seed)
    most = max(chosen.values(), key=len)
    others = [picture for picture in pictures if picture not in most]
    rest = prepare(lay_out(source, others, output / "rest"), "test", task)

    def score(name: str, seconds: float | None, model: Path) -> None:
        there = evaluate(rest, model, output / f"report_{model.name}")
        known = evaluate(home, model, output / f"home_{model.name}") if home else None
        print(format_row(name, seconds, there, known), flush=True)

    score(f"draw {seed}: none", None, options.model)
    for name, few in chosen.items():
        archive = prepare(lay_out(source, few, output / f"few_{len(few)}"), "folds", task)
        model = output / f"adapted_{len(few)}"
        start = time.perf_counter()
        only = () if options.field_epochs is None else ("--field-epochs", options.field_epochs)
        run("train_model.py", "--data", archive, "--weights", options.model, "--output-dir", model,
            *only)  # fmt: skip
        say(f"{name}: trained")
        score(name, time.perf_counter() - start, model)


@command
def main(argv: Sequence[str] | None = None) -> int:
    options: Options = parse_options(Options, __doc__, argv)
    if options.data_dir is None or not (options.data_dir / "Annotations").is_dir():
        raise UserError("--data-dir: a folder with JPEGImages and Annotations is wanted")
    if options.fields and options.cells:
        raise UserError("--fields and --cells: one of the two")
    task = options.task or ("multiclass" if options.cells else "binary")
    home = options.home
    if home is not None and home.is_dir():
        options.output.mkdir(parents=True, exist_ok=True)
        run("preprocess_data.py", "--data-dir", home, "--task", task, "--output",
            options.output / "home.npz")  # fmt: skip
        home = options.output / "home.npz"
    columns = ["learnt from", "training", "types (untyped)", *LABELS]
    if home:
        columns += ["crops at home", "types at home", *(f"{label} at home" for label in LABELS)]
    print("| " + " | ".join(columns) + " |")
    print("|---" * len(columns) + "|", flush=True)
    for seed in options.seed:
        measure_draw(options, seed, task, home)
    return 0


if __name__ == "__main__":
    sys.exit(main())
