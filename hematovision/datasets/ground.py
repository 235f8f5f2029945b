"""Ground: where a field certainly shows no cell."""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable, Sequence

import cv2
import numpy as np

from hematovision.cells.cells import Segment
from hematovision.cells.labels import is_rbc
from hematovision.pictures.frame import QUARTER, find_frame


def measure_red_side(boxes: Iterable[tuple[str, Sequence[float]]]) -> float:
    """Side of a typical red cell in pixels; where none is annotated, of a large box."""
    red, other = array("d"), array("d")
    for label, (x0, y0, x1, y1) in boxes:
        side = math.sqrt(max(x1 - x0, 0) * max(y1 - y0, 0))
        if math.isfinite(side):
            (red if is_rbc(label) else other).append(side)
    if red:
        return float(np.median(red))
    return float(np.percentile(other, 90)) if other else 0.0


def find_free_area(image: np.ndarray, segments: Sequence[Segment], cell_px: float) -> np.ndarray:
    """Where the field certainly shows no cell: (ceil(height / 4), ceil(width / 4)) bool.

    "No box" is not enough: over half of BCCD's red cells carry none. Haemoglobin absorbs green, so
    the bright mode of the green channel is the empty ground (Otsu, 1979, outside the boxes of
    other cells, whose nuclei would draw the threshold to themselves). A pale island smaller than
    a cell is the central pallor of one, and is not free; nor is anything inside a box.

    `cell_px`: side of a typical red cell in pixels.
    """
    height, width = image.shape[:2]
    size = (-(-width // QUARTER), -(-height // QUARTER))
    green = cv2.resize(cv2.extractChannel(image, 1), size, interpolation=cv2.INTER_AREA)
    green = cv2.medianBlur(green, 3)
    boxed, dark = np.zeros((2, *green.shape), bool)
    for label, (xmin, ymin, xmax, ymax) in segments:
        area = np.s_[ymin // QUARTER : -(-ymax // QUARTER), xmin // QUARTER : -(-xmax // QUARTER)]
        boxed[area] = True
        dark[area] |= not is_rbc(label)
    frame = find_frame(image)
    ground = green[~(dark | frame)]
    if ground.size == 0:
        return np.zeros_like(boxed)
    otsu, _ = cv2.threshold(ground.reshape(-1, 1), 0, 255, cv2.THRESH_OTSU)
    bright = np.median(ground[ground > otsu]) if (ground > otsu).any() else np.median(ground)
    dim = np.median(ground[ground <= otsu]) if (ground <= otsu).any() else bright - 1
    pale = (green > bright - 0.3 * (bright - dim)).astype(np.uint8)
    _, islands, stats, _ = cv2.connectedComponentsWithStats(pale, connectivity=4)
    large = stats[:, cv2.CC_STAT_AREA] >= 0.6 * (cell_px / QUARTER) ** 2
    large[0] = False  # component 0 is everything that is not pale
    free = cv2.erode(large[islands].astype(np.uint8), np.ones((3, 3), np.uint8), borderValue=1)
    # The last row and column, where incomplete.
    free[height // QUARTER :] = free[:, width // QUARTER :] = 0
    return free.astype(bool) & ~(boxed | frame)
