"""Cells of a field, annotated or found: their labels, their boxes, and how they are drawn.

A box is xmin, ymin inside, xmax, ymax just outside, in pixels of the field.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np

from hematovision.cells.labels import is_rbc as is_rbc
from hematovision.program.figures import AMBER, BLUE, GREEN, ORANGE, PINK, SKY, YELLOW

BACKGROUND = "Background"


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


def choose_colours(labels: Sequence[str]) -> dict[str, tuple[int, int, int]]:
    """An RGB colour for each label, of those that colour-blind readers can tell apart."""
    colours = {"RBC": BLUE, "WBC": AMBER, "Platelets": GREEN}
    others = (PINK, SKY, ORANGE, YELLOW)
    rest = [label for label in labels if label not in colours]
    colours |= {label: others[i % len(others)] for i, label in enumerate(rest)}
    return {label: tuple(bytes.fromhex(colour[1:])) for label, colour in colours.items()}


def draw_cells(
    image: np.ndarray,
    cells: Cells,
    labels: Sequence[str],
    with_probability: bool = False,
    names: Sequence[str] | None = None,
) -> np.ndarray:
    """The field with a box around each cell, labelled, and a line beneath that counts them.

    `names` (n): what to write at each cell, where that isn't its label.

    Small fields are enlarged so that the labels stay legible. Tells colours by lightness too: a
    label is written in black or white, whichever stands out.
    """
    colours = choose_colours(labels)
    scale = max(1, round(1280 / max(image.shape[:2])))
    canvas = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
    width = canvas.shape[1]
    unit = max(width, canvas.shape[0]) / 1280
    line, size, font = max(2, round(2 * unit)), 0.45 * unit, cv2.FONT_HERSHEY_SIMPLEX
    ink = max(1, round(unit))

    def write(text: str, x: int, y: int, colour: tuple[int, int, int]) -> int:
        (w, h), base = cv2.getTextSize(text, font, size, ink)
        x, y = min(x, width - w - 4), max(y, h + base + 2)
        cv2.rectangle(canvas, (x, y - h - base), (x + w + 4, y + 2), colour, -1)
        paper = (0, 0, 0) if np.dot(colour, (0.3, 0.6, 0.1)) > 110 else (255, 255, 255)
        cv2.putText(canvas, text, (x + 2, y - base // 2), font, size, paper, ink, cv2.LINE_AA)
        return x + w + 4

    boxes = np.rint(cells.box * scale).astype(int)
    for (x0, y0, x1, y1), k in zip(boxes.tolist(), cells.label, strict=True):
        cv2.rectangle(canvas, (x0, y0), (x1, y1), colours[labels[k]], line)
    names = [labels[k] for k in cells.label] if names is None else names
    for (x0, y0, _, _), name, k, p in zip(
        boxes.tolist(), names, cells.label, cells.probability, strict=True
    ):  # after all boxes, so that none crosses a label
        write(f"{name} {p:.2f}" if with_probability else name, x0, y0, colours[labels[k]])
    strip = np.full((round(34 * unit), width, 3), 255, np.uint8)
    canvas, x = np.vstack([canvas, strip]), round(8 * unit)
    for k, label in enumerate(labels):
        text = f"{label}: {int((cells.label == k).sum())}"
        x = write(text, x, canvas.shape[0] - round(8 * unit), colours[label]) + round(10 * unit)
    return canvas
