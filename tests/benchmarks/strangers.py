"""What a laboratory may expect that the model has never seen: train without it, then score it.

    python3 tests/benchmarks/strangers.py --data-dir bccd bccd_complete pbc raabin bangkok \\
        white_cells --same bccd,bccd_complete pbc,white_cells --weights WEIGHTS

For each laboratory in turn: `train_model.py --leave-out` on the archive of all, then
`evaluate_model.py` on every field of it (of those in `--scored`). With `--model DIR` nothing is
trained: that model is scored on the same fields. Prints a row a laboratory: balanced accuracy of
"red cell or not", real cells and pictures of no cell called uncertain, and of whole fields AP50
(counting accuracy) of the labels that are boxed completely there: figures of a label that isn't
would be about the boxes. Below each row the thresholds that would have counted best there: what
`tools/make_pretrained.py --thresholds` takes, as chosen on answers of strangers.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from hematovision.program.console import UserError, command, say
from hematovision.program.options import option, parse_options

LABELS = ("RBC", "WBC", "Platelets")
HEAD = ("RBC or not", "cells uncertain", "no cell flagged", *(f"{name} AP50" for name in LABELS))


@dataclass(frozen=True)
class Options:
    data_dir: tuple[Path, ...] = option((), "folders of annotated pictures, a laboratory each")
    same: tuple[str, ...] = option((), "folders that are one laboratory: names, comma between")
    scored: tuple[str, ...] = option((), "names of the folders that are scored (default: all)")
    task: str = option("multiclass", "what is trained: multiclass or binary")
    weights: str = option("auto", "what training starts from, as for train_model.py")
    epochs: int = option(4, "passes over the training crops", low=0)
    field_epochs: int = option(6, "passes over the training fields; 0: crops only", low=0)
    model: Path | None = option(None, "score this model everywhere instead of training")
    output: Path = option(Path("bench/strangers"), "folder for archives, models and reports")


def run(script: str, *args: object) -> None:
    """Run one of the scripts, quietly; UserError where it fails."""
    done = subprocess.run(
        [sys.executable, str(ROOT / script), *map(str, args)], capture_output=True, text=True
    )
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no word"])[-1]
        raise UserError(f"{script} ended with {done.returncode}: {last}")


def list_groups(folders: Sequence[Path], same: Sequence[str]) -> list[list[str]]:
    """The names of the folders, those of one laboratory together."""
    names = [folder.name for folder in folders]
    joined = [[name.strip() for name in group.split(",")] for group in same]
    for name in (name for group in joined for name in group):
        if name not in names:
            raise UserError(f"--same {name}: not among {', '.join(names)}")
    taken = {name for group in joined for name in group}
    return joined + [[name] for name in names if name not in taken]


def measure_laboratory(folder: Path, model: Path, output: Path) -> dict[str, Any]:
    """The figures of a model on all fields of one dataset, red cells against the rest."""
    archive = output / f"{folder.name}.npz"
    if not archive.is_file():
        run("preprocess_data.py", "--data-dir", folder, "--split", "test", "--output", archive)
    report = output / f"report_{folder.name}"
    options = ("--data", archive, "--model", model, "--output-dir", report, "--resamples", 0)
    run("evaluate_model.py", *options)
    return json.loads((report / "metrics.json").read_text())


def choose_there(archive: Path, model: Path) -> dict[str, float]:
    """For each label the probability from which the model would have counted best on the fields of
    an archive, where these are boxed completely."""
    from hematovision.archive.loading import load_archive
    from hematovision.networks.card import read_card
    from hematovision.networks.detector import NAME
    from hematovision.training.fields.fields import prepare_fields
    from hematovision.training.fields.thresholds import choose_thresholds
    from hematovision.training.fields.validation import find_held_out

    card = read_card(model)
    if card.fields is None:
        return {}
    labels = card.fields.labels
    fields = prepare_fields(load_archive(archive, ["test"]).fields["test"], labels)
    found = find_held_out((model / f"{NAME}.tflite").read_bytes(), fields, len(labels))
    best = choose_thresholds(found, fields, len(labels))
    known = [any(f.complete[k] and (f.label == k).any() for f in fields)
             for k in range(len(labels))]  # fmt: skip
    return {label: float(best[k]) for k, label in enumerate(labels) if known[k]}


def format_row(name: str, metrics: dict[str, Any]) -> str:
    """A row of the table, in Markdown."""
    (row,) = metrics["laboratories"].values()
    crops = [row[key] for key in ("rbc_balanced_accuracy", "cells_uncertain", "no_cell_uncertain")]
    shown = ["-" if value is None else f"{value:.3f}" for value in crops]
    fields = metrics["whole_fields"] or {"labels": {}}
    for label in LABELS:
        of = fields["labels"].get(label, {})
        whole = of.get("annotated") and of["boxed_completely"]
        shown.append(f"{of['ap50']:.3f} ({of['counting_accuracy']:.3f})" if whole else "-")
    return "| " + " | ".join([name, *shown]) + " |"


@command
def main(argv: Sequence[str] | None = None) -> int:
    options: Options = parse_options(Options, __doc__, argv)
    folders = {folder.name: folder for folder in options.data_dir}
    groups = list_groups(options.data_dir, options.same)
    scored = options.scored or tuple(folders)
    output = options.output
    output.mkdir(parents=True, exist_ok=True)
    archive = output / "all.npz"
    if options.model is None and not archive.is_file():
        run("preprocess_data.py", "--data-dir", *folders.values(), "--task", options.task,
            "--output", archive)  # fmt: skip
    print("| laboratory | " + " | ".join(HEAD) + " |")
    print("|---" * (len(HEAD) + 1) + "|", flush=True)
    for group in groups:
        wanted = [name for name in group if name in scored]
        model = options.model or output / f"without_{'_'.join(group)}"
        if wanted and options.model is None:
            run("train_model.py", "--data", archive, "--leave-out", ",".join(group),
                "--weights", options.weights, "--epochs", options.epochs,
                "--field-epochs", options.field_epochs, "--output-dir", model)  # fmt: skip
        for name in wanted:
            print(format_row(name, measure_laboratory(folders[name], model, output)), flush=True)
            best = choose_there(output / f"{name}.npz", model)
            told = ",".join(f"{label}={value:.2f}" for label, value in best.items())
            say(f"{name}: best thresholds there: {told or 'none'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
