"""Looks settled: from what probabilities cells of held-out fields are worth a person's look.

The goal: what is marked is wrong in at least one case of five, what isn't marked in at most one of
fifty. A counted cell is wrong where no annotated box of its label is in its place, one that isn't
counted where one is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from hematovision.cells.cells import Cells
from hematovision.networks.detector import leave_doubles_out
from hematovision.training.fields.fields import TrainingField
from hematovision.training.fields.thresholds import Judged, judge

LEFT = 1 / 50  # of the counted cells that aren't marked, so many may be wrong
# Of those marked that aren't counted, so many are cells: more than one in five, since in
# laboratories never seen they are fewer, and the counted ones beside them are seldom wrong.
WORTH = 0.3
STEP, LEAST, MOST = 0.01, 0.05, 0.95  # probabilities that are tried
FEWEST = 8  # cells from which a laboratory says something


class Rated:
    """What was found of a label in the fields of a laboratory, and what of it is wrong."""

    def __init__(self, rows: Sequence[Judged], threshold: float) -> None:
        self.probability = np.concatenate([row.probability for row in rows])
        hit = np.concatenate([row.hit for row in rows])
        self.counted = self.probability >= threshold
        self.wrong = np.where(self.counted, ~hit, hit)

    def share_left(self, sure: float) -> float:
        """Wrong ones among the counted that aren't marked."""
        left = self.counted & (self.probability >= sure)
        return float(self.wrong[left].mean()) if left.any() else 0.0

    def share_missed(self, nearly: float) -> float:
        """Cells among those marked that aren't counted; NaN where there are none."""
        marked = ~self.counted & (self.probability >= nearly)
        return float(self.wrong[marked].mean()) if marked.any() else np.nan


def settle_looks(
    found: Sequence[Cells], fields: Sequence[TrainingField], thresholds: Mapping[str, float],
    typical: np.ndarray, red: np.ndarray,
) -> dict[str, Any]:  # fmt: skip
    """`sure` and `nearly` of a card, by label; laboratories weigh alike. Labels that no laboratory
    shows are left to what cards say by default. `found`: down to low probabilities."""
    least = np.array([*thresholds.values()])
    single = [leave_doubles_out(cells, least, typical, red) for cells in found]
    sure, nearly = {}, {}
    for k, (label, threshold) in enumerate(thresholds.items()):
        of_labs = [Rated(rows, threshold) for rows in judge(single, fields, k)[0].values()]
        of_labs = [lab for lab in of_labs if lab.counted.sum() >= FEWEST]
        if of_labs:
            sure[label] = choose_sure(of_labs, threshold)
            nearly[label] = choose_nearly(of_labs, threshold)
    return {"sure": sure, "nearly": nearly}


def choose_sure(of_labs: Sequence[Rated], threshold: float) -> float:
    """The lowest probability from the threshold up from which cells needn't be looked at."""
    grid = np.arange(threshold, max(threshold, MOST) + STEP / 2, STEP).round(3)
    for sure in grid.tolist():
        if np.mean([lab.share_left(sure) for lab in of_labs]) <= LEFT:
            return sure
    return float(grid[-1])


def choose_nearly(of_labs: Sequence[Rated], threshold: float) -> float:
    """The lowest probability from which cells that aren't counted are worth a look; the threshold
    where none are."""
    best = threshold
    for nearly in np.arange(threshold - STEP, LEAST, -STEP).round(3).tolist():
        shares = np.array([lab.share_missed(nearly) for lab in of_labs])
        if not np.isnan(shares).all() and np.nanmean(shares) >= WORTH:
            best = nearly
    return best
