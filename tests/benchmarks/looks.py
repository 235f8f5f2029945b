"""How often is a cell wrong that a person is to look at again, and how often one that isn't?

    python3 tests/benchmarks/looks.py --data all.npz --model model --labs ankara
    python3 tests/benchmarks/looks.py --data all.npz --model model --splits val --settle

By laboratory and label, on the labels that are boxed completely there (IoU 0.5): counted cells;
those marked, not counted ones too, and what share of them is wrong; those not marked, and what
share is wrong; annotated cells that were missed, and how many of these have no mark. Then white
cells cut out along their boxes, by the type that was named. With `--settle`, what the card says is
settled anew for each laboratory, on the fields of all others.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np

from hematovision.archive.contents import AnnotatedField, FieldSplit, Split
from hematovision.archive.loading import load_archive
from hematovision.cells.cells import Cells, match
from hematovision.networks.card import FieldCard, read_card
from hematovision.networks.classifier import Classifier
from hematovision.networks.detector import Detector
from hematovision.networks.differential import list_types
from hematovision.networks.looks import Bounds, find_bounds, wants_look, wants_type
from hematovision.program.console import command, progress
from hematovision.program.options import option, parse_options
from hematovision.training.fields.looks import LEAST, settle_looks

HEAD = ("laboratory", "what", "counted", "wrong", "marked", "wrong", "not marked", "wrong",
        "missed", "without a mark")  # fmt: skip


@dataclass(frozen=True)
class Options:
    data: Path = option(Path("preprocessed_data.npz"), "archive of annotated fields")
    model: Path = option(Path("model"), "folder that train_model.py wrote")
    labs: tuple[str, ...] = option((), "laboratories that are measured (default: all)")
    splits: tuple[str, ...] = option(("val", "test"), "of these splits")
    most: int = option(100, "fields of a laboratory and split, at most", low=1)
    settle: bool = option(False, "settle for each laboratory on the fields of the others")


class Looked(NamedTuple):
    """A field, and what was found in it down to low probabilities."""

    truth: AnnotatedField
    found: Cells


def ask(detector: Detector, fields: FieldSplit, most: int) -> Iterator[Looked]:
    """The first `most` fields of each laboratory."""
    rank = np.array([(fields.lab[:i] == lab).sum() for i, lab in enumerate(fields.lab)])
    some = fields.select(rank < most)
    for field in progress(some.read(detector.labels), len(some.name), "finding cells"):
        yield Looked(field, detector.find(field.image(), LEAST))


def write_row(lab: str, what: str, marked: np.ndarray, counted: np.ndarray, wrong: np.ndarray,
              missed: str = "- | -") -> str:  # fmt: skip
    """A row of the table; cells (n,) that are neither marked nor counted are in no column."""

    def tell(chosen: np.ndarray) -> str:
        share = f"{wrong[chosen].mean():.3f}" if chosen.any() else "-"
        return f"{chosen.sum()} | {share}"

    columns = lab, what, tell(counted), tell(marked), tell(counted & ~marked), missed
    return "| " + " | ".join(columns) + " |"


def judge_label(looked: Sequence[Looked], k: int, threshold: float, bounds: Bounds) -> list:
    """What of a label was marked, counted and wrong, (n,) each, and what was missed in words."""
    parts, missed, unmarked = [], 0, 0
    for truth, found in looked:
        mine, boxes = found.pick(found.label == k), truth.box[truth.label == k]
        partner = match(mine, boxes, np.full(len(boxes), k))
        counted = mine.probability >= threshold
        marked = wants_look(mine, counted, bounds)
        parts.append(np.stack([marked, counted, np.where(counted, partner < 0, partner >= 0)]))
        missed += len(boxes) - int((partner[counted] >= 0).sum())
        unmarked += len(boxes) - int((partner[counted | marked] >= 0).sum())
    return [*np.concatenate(parts, axis=1).astype(bool), f"{missed} | {unmarked}"]


def settle_without(
    lab: str, looked: Sequence[Looked], detector: Detector, card: FieldCard
) -> Bounds:
    """Bounds as the fields of all other laboratories have them."""
    others = [one for one in looked if one.truth.lab != lab]
    fields, found = [one.truth for one in others], [one.found for one in others]
    settled = settle_looks(found, fields, card.thresholds, detector.typical, detector.red)
    return find_bounds(replace(card, **settled))


def judge_types(classifier: Classifier, split: Split, labels: Sequence[str]) -> Iterator[str]:
    """A row a laboratory: typed white cells, wrong where the type is another, or none is named."""
    types = list_types(classifier.classes, labels)
    typed = split.pick(np.isin(split.label, types))
    proba, _ = classifier.predict_proba(typed.X)
    names = [classifier.classes[k] for k in classifier.predict(proba)]
    rows = [dict(zip(classifier.classes, row, strict=True)) for row in proba.tolist()]
    marked = [wants_type(name if name in types else None, row)
              for name, row in zip(names, rows, strict=True)]  # fmt: skip
    wrong = np.array(names) != typed.label
    for lab in np.unique(typed.lab).tolist():
        mine = typed.lab == lab
        there = np.ones(mine.sum(), bool)
        yield write_row(lab, "types", np.array(marked, bool)[mine], there, wrong[mine])


@command
def main(argv: Sequence[str] | None = None) -> int:
    options: Options = parse_options(Options, __doc__, argv)
    card = read_card(options.model)
    detector = Detector.load(options.model, card, 2)
    assert card.fields is not None  # the detector has looked
    archive = load_archive(options.data, list(options.splits))
    print("| " + " | ".join(HEAD) + " |\n" + "|---" * len(HEAD) + "|", flush=True)
    looked: list[Looked] = []
    for fields in archive.fields.values():
        if options.labs and not options.settle:
            fields = fields.select(np.isin(fields.lab, options.labs))
        looked += ask(detector, fields, options.most)
    for lab in sorted({one.truth.lab for one in looked}):
        if options.labs and lab not in options.labs:
            continue
        settled = settle_without(lab, looked, detector, card.fields) if options.settle else None
        for k, label in enumerate(detector.labels):
            there = [o for o in looked if o.truth.lab == lab and o.truth.complete[k]]
            if any((o.truth.label == k).any() for o in there):
                threshold, bounds = detector.thresholds[k], settled or detector.bounds
                print(write_row(lab, label, *judge_label(there, k, threshold, bounds)), flush=True)
    classifier = Classifier.load(options.model)
    for split in archive.splits.values():
        kept = np.isin(split.lab, options.labs or np.unique(split.lab))
        for row in judge_types(classifier, split.pick(kept), detector.labels):
            print(row, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
