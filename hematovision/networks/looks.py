"""Looks: which cells of a field are to be looked at again, since cells like them are often wrong.

A counted cell is one whose probability lies below what the card calls `sure` for its label, one
that isn't counted from `nearly` up: what lies between was wrong in at least one case of five, what
lies outside in at most one of fifty, in fields that were not learnt from
(`training/fields/looks.py`). A white cell is one too where no type was named, or none for sure.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from hematovision.cells.cells import Cells
from hematovision.networks.card import FieldCard

# Of cards that don't say: from the threshold, in parts of the way to certainty, and to nothing.
SURE_BY_DEFAULT, NEARLY_BY_DEFAULT = 0.25, 0.4
# Probability of a type below which it is to be looked at. Types of a laboratory never seen are
# named with more confidence than they deserve: below it lie nearly all that are wrong.
TYPE_SURE = 0.98


class Bounds(NamedTuple):
    """Between what probabilities a cell of each label is to be looked at."""

    nearly: np.ndarray  # (k,) from there up, where it isn't counted
    sure: np.ndarray  # (k,) below, where it is


def find_bounds(card: FieldCard) -> Bounds:
    """What a card says of the labels, in their order; never on the wrong side of a threshold."""
    threshold = np.array([card.thresholds[label] for label in card.labels])
    sure = threshold + SURE_BY_DEFAULT * (1 - threshold)
    nearly = threshold - NEARLY_BY_DEFAULT * threshold
    for k, label in enumerate(card.labels):
        sure[k] = max(card.sure.get(label, sure[k]), threshold[k])
        nearly[k] = min(card.nearly.get(label, nearly[k]), threshold[k])
    return Bounds(nearly, sure)


def wants_look(cells: Cells, counted: np.ndarray, bounds: Bounds) -> np.ndarray:
    """Which cells, `counted` (n,) bool or not, are to be looked at for their label: (n,) bool."""
    below = cells.probability < bounds.sure[cells.label]
    return np.where(counted, below, cells.probability >= bounds.nearly[cells.label])


def wants_type(name: str | None, probabilities: Mapping[str, float]) -> bool:
    """Whether a cell is to be looked at for its type, None where it has none."""
    return name is None or probabilities[name] < TYPE_SURE
