"""Background: room for patches of plain ground in fields, as large as the boxes there."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from hematovision.cells.cells import BACKGROUND, Segment
from hematovision.datasets.field import Field
from hematovision.pictures.frame import QUARTER


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
                above[:, y] = above[:, y] + above[:, y - 1] * masks[:, y]
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
