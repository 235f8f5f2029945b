"""A window of a training field at a random scale, with what of its cells shows in it.

A cell that the border of the window cuts is learnt from where at least a quarter of it shows.
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np

from hematovision.cells.cells import is_sliver, sides
from hematovision.networks.tiles import CELL
from hematovision.pictures.frame import QUARTER
from hematovision.training.fields.fields import TrainingField

# Height and width of training windows, the scales they are drawn at, and how often.
WINDOWS = (
    ((192, 256), (0.35, 0.75), 0.45),
    ((256, 320), (0.7, 1.3), 0.4),
    ((320, 416), (1.0, 1.8), 0.15),
)

MIN_SHOWN = 0.25  # of a cell cut by the border of a window; less isn't learnt as a cell


class View(NamedTuple):
    """A window of a field as the network is shown it, (height, width) pixels."""

    image: np.ndarray  # (height, width, 3) uint8
    box: np.ndarray  # (n, 4)
    label: np.ndarray  # (n,)
    unsure: np.ndarray  # (height / 4, width / 4) uint8


def cut_window(
    source: TrainingField,
    size: tuple[int, int],
    scales: tuple[float, float],
    rng: np.random.Generator,
) -> tuple[View, float]:
    """A window of `size` (height, width) at a random scale, and that scale in parts of CELL."""
    image, (h, w) = source.image(), size
    height, width = image.shape[:2]
    scale = CELL / source.cell_px
    lowest = max(scales[0], h / (height * scale), w / (width * scale))
    zoom = np.exp(rng.uniform(np.log(lowest), np.log(max(scales[1], lowest))))
    stretch = np.exp(rng.uniform(-0.08, 0.08))
    wide, high = min(w / (zoom * scale * stretch), width), min(h * stretch / (zoom * scale), height)
    left, top = rng.uniform(0, width - wide + 1e-6), rng.uniform(0, height - high + 1e-6)
    sx, sy = w / wide, h / high

    def warp(picture: np.ndarray, shrunk: int, method: int) -> np.ndarray:
        matrix = np.array([[sx, 0, -left * sx / shrunk], [0, sy, -top * sy / shrunk]])
        return cv2.warpAffine(
            picture,
            matrix,
            (w // shrunk, h // shrunk),
            flags=method,
            borderMode=cv2.BORDER_REPLICATE,
        )

    full = (source.box - (left, top, left, top)) * (sx, sy, sx, sy)
    box = np.clip(full, 0, [w, h, w, h])
    shown = (sides(box) / np.maximum(sides(full), 1)) ** 2
    kept = (shown >= MIN_SHOWN) & (box[:, 2:] - box[:, :2] > 4).all(axis=1)
    kept &= ~is_sliver(box, w, h, MIN_SHOWN * CELL * zoom) | (sides(full) < CELL * zoom / 2)
    unsure = warp(source.unsure(), QUARTER, cv2.INTER_NEAREST)
    view = View(warp(image, 1, cv2.INTER_LINEAR), box[kept], source.label[kept], unsure)
    return view, float(zoom)


def flip(view: View, rng: np.random.Generator) -> View:
    image, box, label, unsure = view
    h, w = image.shape[:2]
    if rng.random() < 0.5:
        image, unsure = image[:, ::-1], unsure[:, ::-1]
        box = np.stack([w - box[:, 2], box[:, 1], w - box[:, 0], box[:, 3]], axis=1)
    if rng.random() < 0.5:
        image, unsure = image[::-1], unsure[::-1]
        box = np.stack([box[:, 0], h - box[:, 3], box[:, 2], h - box[:, 1]], axis=1)
    return View(np.ascontiguousarray(image), box, label, np.ascontiguousarray(unsure))
