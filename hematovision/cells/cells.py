"""Cells of a field, annotated or found: their labels and their boxes.

A box is xmin, ymin inside, xmax, ymax just outside, in pixels of the field.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

BACKGROUND = "Background"
# Sides in parts of a red cell's: what is typically smaller than SMALL is a platelet or the like,
# and what is larger than LARGE a white cell.
SMALL, LARGE = 0.6, 1.4


class Segment(NamedTuple):
    """A labelled box of one field: xmin, ymin inside, xmax, ymax just outside, in pixels."""

    label: str
    box: tuple[int, int, int, int]


class Cells(NamedTuple):
    """What was found in a field, or annotated there."""

    box: np.ndarray  # (n, 4) xmin, ymin, xmax, ymax in pixels of the field
    label: np.ndarray  # (n,) index into the labels
    probability: np.ndarray  # (n,)

    def pick(self, chosen: np.ndarray) -> Cells:
        """Those that an index or a mask (n,) names."""
        return Cells(*(column[chosen] for column in self))


def sides(box: np.ndarray) -> np.ndarray:
    """Geometric mean of width and height (n,) of boxes (n, 4)."""
    return np.sqrt(np.prod(np.maximum(box[:, 2:] - box[:, :2], 0), axis=1, dtype=float))


def overlap(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Intersection over union (n, m) of boxes (n, 4) and (m, 4)."""
    low = np.maximum(first[:, None, :2], second[None, :, :2])
    high = np.minimum(first[:, None, 2:], second[None, :, 2:])
    shared = np.prod(np.maximum(high - low, 0), axis=2)
    return shared / (sides(first)[:, None] ** 2 + sides(second)[None] ** 2 - shared + 1e-9)


def touches(box: np.ndarray, width: float, height: float, margin: float = 2) -> np.ndarray:
    """Whether boxes (n, 4) reach the left or right, and the top or bottom border: (n, 2) bool."""
    return (box[:, :2] <= margin) | (box[:, 2:] >= np.array([width, height]) - margin)


def is_sliver(box: np.ndarray, width: float, height: float, min_side: float) -> np.ndarray:
    """Whether boxes (n, 4) are cut by the border to less than `min_side` pixels: (n,) bool."""
    thin = box[:, 2:] - box[:, :2] < min_side
    return (touches(box, width, height) & thin).any(axis=1)


def match(
    found: Cells, truth: np.ndarray, kind: np.ndarray, min_overlap: float = 0.5
) -> np.ndarray:
    """The annotated box that each found cell is, or -1: (n,). The most probable chooses first.

    `truth` (m, 4) and `kind` (m,) are the boxes and labels annotated; a pair overlaps by at least
    `min_overlap`, intersection over union.
    """
    shared = overlap(found.box, truth) * (found.label[:, None] == kind[None])
    partner = np.full(len(found.label), -1)
    taken = np.zeros(len(truth), bool)
    for i in np.argsort(-found.probability, kind="stable"):
        best = int(np.argmax(np.where(taken, 0, shared[i]))) if len(truth) else -1
        if best >= 0 and not taken[best] and shared[i, best] >= min_overlap:
            partner[i], taken[best] = best, True
    return partner
