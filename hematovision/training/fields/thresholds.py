"""Thresholds of the field network: from which probability a cell of each label counts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from hematovision.cells.cells import Cells, match
from hematovision.pictures.frame import QUARTER
from hematovision.training.fields.fields import TrainingField


class Judged(NamedTuple):
    """Cells of one label in one field: annotated, and of those found probability and whether it is
    one of the annotated."""

    annotated: int
    probability: np.ndarray  # (n,)
    hit: np.ndarray  # (n,) bool


def judge(
    found: Sequence[Cells], fields: Sequence[TrainingField], k: int
) -> tuple[dict[str, list[Judged]], bool]:
    """What was found of label `k`, by laboratory and field, on the fields where it is boxed
    completely; where there are none, on all, without what is found where a cell may lack its box.
    And whether they are boxed completely."""
    whole = any(f.complete[k] and (f.label == k).any() for f in fields)
    judged: dict[str, list[Judged]] = {}
    for cells, source in zip(found, fields, strict=True):
        if whole and not source.complete[k]:
            continue
        mine = cells.pick(cells.label == k)
        truth = source.box[source.label == k]
        hit = match(mine, truth, np.full(len(truth), k)) >= 0
        if not source.complete[k]:
            sure = hit | ~may_lack_box(mine, source)
            mine, hit = mine.pick(sure), hit[sure]
        judged.setdefault(source.lab, []).append(Judged(len(truth), mine.probability, hit))
    return judged, whole


def choose_thresholds(
    found: Sequence[Cells], fields: Sequence[TrainingField], labels: int
) -> np.ndarray:
    """For each label, the probability from which cells are found and counted best: (labels,).

    That is the mean, over laboratories, of F1 (IoU 0.5) and counting accuracy, on the fields where
    the label is boxed completely; where there are none, F1 on all.
    """
    grid = np.linspace(0.1, 0.9, 81)
    thresholds = np.full(labels, 0.5)
    for k in range(labels):
        judged, whole = judge(found, fields, k)
        score = [score_thresholds(rows, grid, counts=whole) for rows in judged.values()
                 if any(row.annotated for row in rows)]  # fmt: skip
        if score:
            # A plateau's middle travels better than its edge.
            smooth = np.convolve(np.pad(np.mean(score, axis=0), 3, mode="edge"), np.ones(7) / 7)
            thresholds[k] = grid[int(np.argmax(smooth[6:-6]))]
    return thresholds


def may_lack_box(cells: Cells, source: TrainingField) -> np.ndarray:
    """Which cells (n,) bool lie where a cell may be that has no box."""
    unsure = source.unsure()
    rooms = (unsure[y0 : y1 + 1, x0 : x1 + 1]
             for x0, y0, x1, y1 in (cells.box / QUARTER).astype(int))  # fmt: skip
    return np.array([bool(room.size and room.mean() > 0.2) for room in rooms], bool)


def score_thresholds(rows: Sequence[Judged], grid: np.ndarray, counts: bool) -> np.ndarray:
    """F1 at each threshold of `grid` (t,), and with `counts` the mean of it and of counting
    accuracy: (t,). `rows`: by field."""
    there = sum(n for n, *_ in rows)
    counted = np.array([(p >= grid[:, np.newaxis]).sum(axis=1) for _, p, _ in rows])
    hits = np.array([((p >= grid[:, np.newaxis]) & hit).sum(axis=1) for _, p, hit in rows])
    f1 = 2 * hits.sum(axis=0) / (counted.sum(axis=0) + there)
    if not counts:
        return f1
    annotated = np.array([n for n, *_ in rows])[:, np.newaxis]
    return (f1 + 1 - np.abs(counted - annotated).sum(axis=0) / there) / 2
