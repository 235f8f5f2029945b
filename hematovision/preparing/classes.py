"""The task: red cells against the rest, or every label -> which segments count, as what class."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from hematovision.archive.metadata import SPLITS
from hematovision.cells.cells import BACKGROUND, Segment
from hematovision.cells.labels import is_rbc, tell_counts
from hematovision.datasets.field import Field
from hematovision.datasets.findings import Findings
from hematovision.program.console import UserError


def drop_hidden_rbc(segments: Sequence[Segment]) -> tuple[list[Segment], int]:
    """Without the other cells' boxes that hold a red cell's centre: those do show a red cell."""
    centres = [
        ((s.box[0] + s.box[2]) / 2, (s.box[1] + s.box[3]) / 2) for s in segments if is_rbc(s.label)
    ]

    def holds_rbc(box: tuple[int, int, int, int]) -> bool:
        return any(box[0] <= x < box[2] and box[1] <= y < box[3] for x, y in centres)

    kept = [s for s in segments if is_rbc(s.label) or not holds_rbc(s.box)]
    return kept, len(segments) - len(kept)


def name_class(label: str, task: str) -> str:
    """The class of a label: the label itself, or RBC and Other in the binary task."""
    if task == "multiclass":
        return label
    return "RBC" if is_rbc(label) else "Other"


def count_classes(fields: Sequence[Field], task: str, background: float) -> dict[str, Counter[str]]:
    """How often each class comes in each split of all parts together, before any is built.

    Of background it is only known whether it is wanted.
    """
    named: dict[str, Counter[str]] = {}
    for split in SPLITS:
        labels: Counter[str] = Counter()
        for field in fields:
            if field.is_in(split):
                kept = drop_hidden_rbc(field.segments)[0] if task == "binary" else field.segments
                labels.update(s.label for s in kept)
                if background and not field.whole:
                    labels[BACKGROUND] = 1
        named[split] = Counter()
        for label, n in labels.items():
            named[split][name_class(label, task)] += n
    return named


def check_classes(
    named: dict[str, Counter[str]], task: str, how: str, findings: Findings
) -> list[str]:
    """The classes in order; UserError where one has no example in one of the splits in use."""
    everything = sum(named.values(), Counter())
    classes = ["Other", "RBC"] if task == "binary" else sorted(everything)
    for split in ("test",) if how == "test" else SPLITS:
        for name in classes:
            # Who scores a model on cells of their own needs no example of every class.
            if name not in named[split] and (how != "test" or task == "binary"):
                raise UserError(
                    f"class {name}: {everything[name]} example(s) in all, none in {split}: too few "
                    f"to split (--split folds needs no more); classes found: "
                    f"{tell_counts(everything)}; add fields of it with an annotation "
                    "(XML, JSON, TXT) or pictures in a folder per class, drop or rename "
                    f"labels with --labels, or try another --split or --seed "
                    f"({findings.tell_why()})"
                )
    return classes


def encode_labels(classes: Sequence[str], names: Sequence[str]) -> np.ndarray:
    """Index into the sorted `classes` of each name, (n,) int64, by scikit-learn's LabelEncoder."""
    from sklearn.preprocessing import LabelEncoder

    return LabelEncoder().fit(classes).transform(np.array(names, str)).astype(np.int64)
