"""Patches of plain ground: as large as the boxes, where nothing else is, the same for a seed."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from hematovision.cells.cells import BACKGROUND, Segment
from hematovision.datasets.field import Field, Mask
from hematovision.preparing.background import place_background


def make(free: np.ndarray, n: int) -> Field:
    segments = [Segment("RBC", (0, 0, 40, 32))] * n
    return Field(Path("f"), segments, Mask.pack(free), name="f")


def test_patches_lie_on_free_ground_and_apart() -> None:
    free = np.zeros((40, 60), bool)
    free[10:30, 20:55] = True
    found, lacking = place_background([make(free, 4)], 1.0, np.random.default_rng(1))
    assert len(found["f"]) + lacking == 4 and found["f"]
    taken = np.zeros_like(free)
    for label, (x0, y0, x1, y1) in found["f"]:
        assert label == BACKGROUND and (x1 - x0, y1 - y0) == (40, 32)
        area = np.s_[y0 // 4 : -(-y1 // 4), x0 // 4 : -(-x1 // 4)]
        assert free[area].all() and not taken[area].any()
        taken[area] = True
    again, _ = place_background([make(free, 4)], 1.0, np.random.default_rng(1))
    assert again == found


def test_without_room_all_are_lacking() -> None:
    found, lacking = place_background(
        [make(np.zeros((40, 60), bool), 4)], 0.5, np.random.default_rng(1)
    )
    assert found == {"f": []} and lacking == 2
