"""Types of white cells in whole fields: found in the field, typed there; and what typing costs.

    python3 tests/benchmarks/field_types.py --data-dir typed/raabin --model without_raabin
    python3 tests/benchmarks/field_types.py --data-dir bcisc --model without_bcisc --pairs 40

Each annotated white cell with a type is looked for among the white cells that are counted in its
field (boxes that overlap by half), and held against the type given there: what isn't found, or is
left untyped, isn't right. Prints a row: balanced accuracy over types of ten cells or more, recall
by type, cells not found and untyped; then, of `--pairs` fields each counted with types and without
in turn, the median ratio of the two times.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from hematovision.annotations.reading import read_annotations
from hematovision.answering.counting import FieldCounter, HowToCount
from hematovision.cells.cells import overlap
from hematovision.cells.labels import find_name
from hematovision.cells.taxonomy import is_a
from hematovision.networks.card import PRETRAINED
from hematovision.program.console import UserError, command, progress
from hematovision.program.options import option, parse_options

LEAST = 10  # cells of a type from which its recall tells something
SAME = 0.5  # intersection over union from which two boxes are one cell
MISSED, UNTYPED = "not found", "untyped"


@dataclass(frozen=True)
class Options:
    data_dir: Path | None = option(None, "the laboratory: a folder in Pascal VOC")
    model: Path = option(PRETRAINED, "folder of the model; it should not know the laboratory")
    pairs: int = option(20, "fields timed with types and without; 0: none", low=0)
    workers: int = option(2, "threads for a field", low=1)


def read_typed(annotation: Path) -> list[tuple[str, np.ndarray]]:
    """The white cells of a picture that carry a type: its name, and the box (4,)."""
    typed = []
    for noted in read_annotations(annotation):
        for box in noted.boxes:
            name = find_name(box.label) or box.label
            if is_a(name, "WBC") and name != "WBC":
                typed.append((name, np.array(box.corners, float)))
    return typed


def type_field(
    counter: FieldCounter, path: Path, truth: Sequence[tuple[str, np.ndarray]]
) -> list[str]:
    """What is said in its field of each annotated white cell: a type, UNTYPED or MISSED."""
    answer = counter.count(path, counter.read(path)).answer
    white = [cell for cell in answer.list_counted() if cell.typed]
    found = np.array([cell.box for cell in white], float).reshape(-1, 4)
    given = []
    for _, box in truth:
        shared = overlap(box[None], found)[0]
        best = int(shared.argmax()) if len(shared) else -1
        is_found = best >= 0 and shared[best] >= SAME
        given.append((white[best].name if white[best].typed.type else UNTYPED) if is_found
                     else MISSED)  # fmt: skip
    return given


def format_recall(truth: np.ndarray, given: np.ndarray) -> str:
    """The row of the table: balanced accuracy, recall by type, what has no type."""
    names, cells = np.unique(truth, return_counts=True)
    recall = {name: float((given[truth == name] == name).mean()) for name in names.tolist()}
    told = [recall[name] for name, n in zip(names.tolist(), cells, strict=True) if n >= LEAST]
    by_type = ", ".join(f"{name} {recall[name]:.2f} of {n}"
                        for name, n in zip(names.tolist(), cells, strict=True))  # fmt: skip
    missed, untyped = (int((given == word).sum()) for word in (MISSED, UNTYPED))
    balanced = f"{np.mean(told):.3f}" if told else "-"
    return f"| {balanced} | {by_type} | {missed} | {untyped} | {len(truth)} |"


def time_pairs(typing: FieldCounter, bare: FieldCounter, paths: Sequence[Path]) -> list[float]:
    """Seconds of a field with types over those without, for each; which comes first changes."""
    ratios = []
    for k, path in enumerate(paths):
        image = typing.read(path)
        seconds = {}
        for counter in (typing, bare) if k % 2 else (bare, typing):
            start = time.perf_counter()
            counter.count(path, image)
            seconds[counter] = time.perf_counter() - start
        ratios.append(seconds[typing] / seconds[bare])
    return ratios


@command
def main(argv: Sequence[str] | None = None) -> int:
    options: Options = parse_options(Options, __doc__, argv)
    if options.data_dir is None or not (options.data_dir / "Annotations").is_dir():
        raise UserError("--data-dir: a folder with JPEGImages and Annotations is wanted")
    counter = FieldCounter.load(options.model, HowToCount(), options.workers)
    bare = FieldCounter(counter.detector, None, counter.how)
    truth: list[str] = []
    given: list[str] = []
    pictures = sorted((options.data_dir / "JPEGImages").iterdir())
    for path in progress(pictures, len(pictures), "fields"):
        typed = read_typed(options.data_dir / "Annotations" / f"{path.stem}.xml")
        if typed:
            truth += [name for name, _ in typed]
            given += type_field(counter, path, typed)
    if not truth:
        raise UserError(f"{options.data_dir}: no white cell carries a type")
    print("| types, balanced | recall by type | not found | untyped | cells |")
    print("|---" * 5 + "|")
    print(format_recall(np.array(truth), np.array(given)))
    if options.pairs:
        step = max(1, len(pictures) // options.pairs)
        ratios = time_pairs(counter, bare, pictures[::step][: options.pairs])
        print(f"a typed field takes {np.median(ratios):.3f} of an untyped one's time "
              f"(median of {len(ratios)} pairs)")  # fmt: skip
    return 0


if __name__ == "__main__":
    sys.exit(main())
