"""Ground: where a field certainly shows no cell, and room there for background patches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import cv2
import numpy as np

from hematovision.cells import BACKGROUND, Segment, is_rbc, sides
from hematovision.frame import QUARTER, find_frame

if TYPE_CHECKING:
    from hematovision.field import Field


def measure_cell_px(boxes: Sequence[tuple[str, list[float]]]) -> float:
    """Side of a typical red cell in pixels; where none is annotated, of a large box."""
    corners = np.array([c for _, c in boxes], float).reshape(-1, 4)
    red = np.array([is_rbc(label) for label, _ in boxes], bool)
    usable = np.isfinite(corners).all(axis=1)
    corners[~usable] = 0
    side = sides(corners)
    if (red & usable).any():
        return float(np.median(side[red & usable]))
    return float(np.percentile(side[usable], 90)) if usable.any() else 0.0


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


def place_background(
    fields: Sequence[Field], ratio: float, rng: np.random.Generator
) -> tuple[dict[str, list[Segment]], int]:
    """Find cell-free patches as large as the boxes: by field name, and how many found no room.

    Sizes are drawn from the annotated boxes of the same fields, so that size gives nothing away;
    patches overlap neither boxes nor each other.
    """
    sizes = np.array(
        [(b[2] - b[0], b[3] - b[1]) for f in fields for _, b in f.segments], int
    ).reshape(-1, 2)
    wanted = round(ratio * len(sizes))
    drawn = sizes[rng.integers(len(sizes), size=wanted)] if wanted else sizes[:0]
    free = [f.free.unpack().astype(np.uint8) for f in fields]
    tallest = measure_room(free, -(-sizes[:, 0].max(initial=0) // QUARTER))
    found: dict[str, list[Segment]] = {f.name: [] for f in fields}
    # The largest first: they are the hardest to place.
    for width, height in drawn[np.argsort(-drawn.prod(axis=1), kind="stable")]:
        w, h = -(-width // QUARTER), -(-height // QUARTER)
        for i in rng.permutation(np.flatnonzero(tallest[:, w] >= h)):
            corners = find_room(free[i], w, h)
            if corners is None:  # taken by patches placed before
                tallest[i, w:] = np.minimum(tallest[i, w:], h - 1)
                continue
            x, y = corners.reshape(-1, 2)[rng.integers(len(corners))].tolist()
            free[i][y : y + h, x : x + w] = 0
            box = (x * QUARTER, y * QUARTER, x * QUARTER + int(width), y * QUARTER + int(height))
            found[fields[i].name].append(Segment(BACKGROUND, box))
            break
    return found, wanted - sum(map(len, found.values()))


def measure_room(free: Sequence[np.ndarray], widest: int) -> np.ndarray:
    """Height of the tallest free window of each width up to `widest`, in each mask (h, w) uint8:
    (masks, widest + 1), in pixels of the masks."""
    tallest = np.zeros((len(free), widest + 1), int)
    by_shape: dict[tuple[int, ...], list[int]] = {}
    for i, mask in enumerate(free):
        by_shape.setdefault(mask.shape, []).append(i)
    for (height, wide), members in by_shape.items():
        for k in range(0, len(members), 16):  # as many masks as a processor's cache holds
            some = members[k : k + 16]
            masks = np.stack([free[i] for i in some])
            above = masks.astype(np.uint8 if height < 256 else np.int32)  # free places upwards
            for y in range(1, height):
                above[:, y] += above[:, y - 1] * masks[:, y]
            lowest = above  # of neighbours, as many as the window is wide
            for width in range(1, min(widest, wide) + 1):
                lowest = np.minimum(lowest[..., : wide - width + 1], above[..., width - 1 :])
                tallest[some, width] = lowest.reshape(len(some), -1).max(axis=1)
    return tallest


def find_room(free: np.ndarray, width: int, height: int) -> np.ndarray | None:
    """Top left corners x, y of the width x height windows that are free all over, or None."""
    kernel = cv2.getStructuringElement(cv2.MORPH_RECT, (int(width), int(height)))
    room = cv2.erode(free, kernel, anchor=(0, 0), borderType=cv2.BORDER_CONSTANT, borderValue=0)
    return cv2.findNonZero(room)
