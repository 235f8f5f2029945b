"""Tiles: every place is looked at once, and cells are found where they are."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from drawing import draw_discs, find_discs

from hematovision.cells.cells import overlap
from hematovision.networks.tiles import CELL, OVERLAP, TILE, decode, find_cells, spread_tiles

SHARED = OVERLAP * CELL


@pytest.mark.parametrize("length", [64, 640, 4001, 20_000])
@pytest.mark.parametrize("scale", [0.4, 1.0, 3.1])
def test_every_place_is_one_tiles_and_well_inside_it(length: int, scale: float) -> None:
    tiles = spread_tiles(length, scale, SHARED)
    assert tiles[0][0][0] == 0 and tiles[-1][0][1] == length
    for (start, end), (low, high) in tiles:
        assert (end - start) * scale <= TILE + scale
        assert low == -np.inf or (low - start) * scale > SHARED / 2 - 2 * scale - 1
        assert high == np.inf or (end - high) * scale > SHARED / 2 - 2 * scale - 1
    seams = [part for _, part in tiles]
    assert all(a[1] == b[0] for a, b in pairwise(seams))


@pytest.mark.parametrize(
    ("size", "side"), [((640, 480), 100), ((2600, 1900), 80), ((300, 300), 60)]
)
def test_cells_are_found_where_they_are_in_one_look_or_in_tiles(
    size: tuple[int, int], side: int
) -> None:
    image, boxes = draw_discs(*size, side)
    cells = find_cells(find_discs, image, side, 0.5)
    assert len(cells.label) == len(boxes)
    assert overlap(cells.box, boxes).max(axis=1).min() > 0.75
    assert overlap(cells.box, boxes).max(axis=0).min() > 0.75


def test_of_two_answers_for_one_cell_the_likelier_stays() -> None:
    heat, reach = np.zeros((20, 20, 3), np.float32), np.full((20, 20, 4), 5, np.float32)
    heat[8, 8, 1], heat[8, 10, 1], heat[8, 12, 2], heat[15, 15, 1] = 0.6, 0.9, 0.5, 0.2
    cells = decode(heat, reach, (80, 80), 0.3)
    # Another label may lie over it; 0.2 is too little.
    order = np.argsort(cells.label)
    assert cells.label[order].tolist() == [1, 2]
    assert cells.probability[order].tolist() == pytest.approx([0.9, 0.5])
    red = cells.box[cells.label == 1][0]
    assert red.tolist() == [22, 14, 62, 54]
