"""Completeness: of which labels every cell in a dataset has its box.

Where a label is boxed completely, ground without a box teaches that no such cell is there; where it
isn't, it teaches nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import replace

import cv2
import numpy as np

from hematovision.cells.cells import Segment
from hematovision.cells.labels import is_rbc, tell_counts, unify_labels
from hematovision.cells.taxonomy import is_a, lineage
from hematovision.datasets.dataset import ALL, Dataset
from hematovision.datasets.field import Field
from hematovision.pictures.frame import QUARTER
from hematovision.program.console import UserError

MOST_UNBOXED = 0.15  # of the red cells; by this measure 0.00 to 0.02 where all are boxed
LEAST_A_FIELD = 0.5  # boxes a field, of white cells of all types together, or of platelets


def measure_unboxed(
    image: np.ndarray, free: np.ndarray, segments: Sequence[Segment], cell_px: float
) -> float:
    """How many cells' worth of area is neither free, (h / 4, w / 4) bool, nor in a box, and as dark
    as red cells in boxes are in the picture (h, w, 3) uint8.

    What is narrower than half a cell is the rim of a boxed one, or dirt; what is paler than half
    way from a boxed cell to the ground is mottled ground, or the ghost of a cell.
    """
    side = cell_px / QUARTER
    if side < 2:
        return 0.0
    rest = (~free).astype(np.uint8)
    boxed = np.zeros_like(free)
    for label, (xmin, ymin, xmax, ymax) in segments:
        area = np.s_[ymin // QUARTER : -(-ymax // QUARTER), xmin // QUARTER : -(-xmax // QUARTER)]
        rest[area] = 0
        boxed[area] |= is_rbc(label)
    k = max(2, round(side / 2))
    wide = cv2.morphologyEx(rest, cv2.MORPH_OPEN, np.ones((k, k), np.uint8))
    if boxed.any() and free.any() and wide.any():
        size = free.shape[1], free.shape[0]
        green = cv2.resize(cv2.extractChannel(image, 1), size, interpolation=cv2.INTER_AREA)
        middle = (np.median(green[boxed]) + np.median(green[free])) / 2
        count, islands = cv2.connectedComponents(wide, connectivity=4)
        mean = np.bincount(islands.ravel(), green.ravel(), count) / np.maximum(
            np.bincount(islands.ravel(), minlength=count), 1
        )
        mean[0] = np.inf  # component 0 is all the rest
        wide = (mean < middle)[islands]
    return float(wide.sum()) / (side * side * np.pi / 4)


def state_complete(datasets: Sequence[Dataset], texts: Sequence[str]) -> list[Dataset]:
    """The datasets with what ``--complete LAB=RBC,WBC`` states for each, by its name or folder.

    A kind counts as what it is a kind of. Raises UserError where there is no such dataset or it has
    no such label.
    """
    stated = list(datasets)
    for text in texts:
        key, equals, labels = text.partition("=")
        named = [
            i for i, d in enumerate(stated) if key.strip() in (d.lab, str(d.root), d.root.name)
        ]
        if not equals or len(named) != 1:
            raise UserError(
                f"--complete {text}: not LAB=LABEL,LABEL with LAB one of "
                f"{', '.join(d.lab for d in datasets)}"
            )
        dataset = stated[named[0]]
        counts = dataset.count_labels()
        names = name_labels([k.strip() for k in labels.split(",") if k.strip()])
        absent = [name for name in names if not any(is_a(label, name) for label in counts)]
        if absent:
            raise UserError(
                f"--complete {text}: no box is labelled {absent[0]}; "
                f"labels found: {tell_counts(counts)}"
            )
        stated[named[0]] = replace(dataset, complete=tuple(sorted(names)))
    return stated


def name_labels(labels: Sequence[str]) -> list[str]:
    """Labels by the names that hold for them, each once."""
    found = unify_labels({label: 1 for label in labels if not label.isdecimal()}, {})
    return list(dict.fromkeys(name for name in found.values() if name))


def find_root(label: str) -> str:
    """What a label is a kind of in the end: a white cell, for a neutrophil."""
    return list(lineage(label))[-1]


def spread_complete(stated: Sequence[str], labels: Collection[str]) -> tuple[str, ...]:
    """The labels that lack no box where those `stated` don't: their kinds among `labels` too.

    A kind alone counts only where its root does: that all neutrophils have a box says nothing of
    the other white cells.
    """
    of = {label for label in labels if any(is_a(label, name) for name in stated)} | set(stated)
    open_roots = {find_root(label) for label in labels if label not in of}
    return tuple(sorted(label for label in of if find_root(label) not in open_roots))


def judge_complete(fields: Sequence[Field]) -> tuple[tuple[str, ...], float]:
    """The labels that seem to be boxed wherever they occur, and the share of red cells unboxed.

    Red cells: by the dark area that no box explains. White cells of all types together, and
    platelets: unless they are rare, since every field shows some.
    """
    fields = [f for f in fields if not f.whole]
    counts = Counter(s.label for f in fields for s in f.segments)
    red = sum(n for label, n in counts.items() if is_rbc(label))
    unboxed = sum(f.unboxed for f in fields)
    share = unboxed / max(unboxed + red, 1)
    families: Counter[str] = Counter()
    for label, n in counts.items():
        families[find_root(label)] += n

    def is_complete(label: str) -> bool:
        if is_rbc(label):
            return share <= MOST_UNBOXED
        return families[find_root(label)] >= LEAST_A_FIELD * len(fields)

    return tuple(sorted(label for label in counts if is_complete(label))), share


def settle_complete(dataset: Dataset, fields: Sequence[Field]) -> list[Field]:
    """The fields with the labels that are boxed completely, and how that is known is said: stated
    by --complete, else said by the dataset of the fields that were gone through, else judged."""
    labels = {s.label for f in fields for s in f.segments}
    notices = dataset.findings.notices
    if dataset.complete is not None:
        complete = spread_complete(dataset.complete, labels)
        notices.append(tell_complete(dataset.lab, complete, "as stated"))
        return [replace(field, complete=complete) for field in fields]
    told: Counter[tuple[str, ...]] = Counter()
    others = [f for f in fields if f.gone_through is None]
    judged, share = judge_complete(others)
    found = []
    for field in fields:
        complete = judged
        if field.gone_through is not None:
            said = sorted(labels) if field.gone_through == ALL else name_labels(field.gone_through)
            complete = spread_complete(said, labels)
            told[complete] += 1
        found.append(replace(field, complete=complete))
    for names, n in told.items():
        how = f"said to be gone through, {n} field(s)"
        notices.append(tell_complete(dataset.lab, names, how))
    if others:
        red = any(is_rbc(s.label) for f in others for s in f.segments)
        how = f"judged: some {share:.0%} of red cells have no box" if red else "judged"
        how += f", the other {len(others)} field(s)" if told else ""
        notices.append(tell_complete(dataset.lab, judged, how))
    return found


def tell_complete(lab: str, labels: Sequence[str], how: str) -> str:
    return f"{lab}: labels boxed completely: {', '.join(labels) or 'none'} ({how})"
