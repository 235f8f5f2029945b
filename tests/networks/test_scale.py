"""Scale: how large cells are is found in fields of any magnification, or said to be unknown."""

from __future__ import annotations

import numpy as np
import pytest
from drawing import RED, TYPICAL, draw_discs, find_discs

from hematovision.cells.cells import Cells
from hematovision.networks.scale import (
    Search,
    explain_dark,
    measure_cell_px,
    measure_ground,
    pick_telling,
)
from hematovision.networks.tiles import find_cells


@pytest.mark.parametrize(
    ("size", "side"),
    [
        ((640, 480), 105),
        ((575, 575), 140),
        ((363, 360), 80),
        ((1600, 1200), 60),
        ((3000, 2000), 70),
        ((1280, 960), 24),
        ((2000, 300), 30),
        ((900, 900), 14),
    ],
)
def test_the_size_of_a_cell_is_found_in_fields_of_any_magnification(
    size: tuple[int, int], side: int
) -> None:
    image, _ = draw_discs(*size, side)
    scale = measure_cell_px(find_discs, image, TYPICAL, RED)
    assert scale.cell_px == pytest.approx(side, rel=0.15)
    assert scale.certain


def test_an_ordinary_field_takes_one_look() -> None:
    looks = []
    image, _ = draw_discs(640, 480, 105)
    measure_cell_px(lambda p: looks.append(p.shape) or find_discs(p), image, TYPICAL, RED)
    assert looks == [(128, 192, 3)]


def test_a_field_without_a_cell_has_a_scale_and_no_cells() -> None:
    blank = np.full((480, 640, 3), 220, np.uint8)
    scale = measure_cell_px(find_discs, blank, TYPICAL, RED)
    assert scale.cell_px > 0 and scale.certain
    assert find_cells(find_discs, blank, scale.cell_px, 0.3).box.shape == (0, 4)


def test_dark_that_no_cell_explains_leaves_the_scale_uncertain() -> None:
    image, _ = draw_discs(640, 480, 105)
    heat, reach = np.zeros((1, 1, 3), np.float32), np.ones((1, 1, 4), np.float32)

    def find_nothing(picture: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        h, w = (n // 4 for n in picture.shape[:2])
        return np.tile(heat, (h, w, 1)), np.tile(reach, (h, w, 1))

    assert not measure_cell_px(find_nothing, image, TYPICAL, RED).certain


def test_cells_explain_the_dark_that_they_cover() -> None:
    image, boxes = draw_discs(400, 300, 40)
    _, bright, dark_from = measure_ground(image)
    assert image[..., 1].min() < dark_from < bright
    every = Cells(boxes, np.ones(len(boxes), int), np.full(len(boxes), 0.8))
    assert explain_dark(image, every, dark_from, 0.25) == pytest.approx(0.8, abs=0.03)
    some = every.pick(np.arange(len(boxes)) % 2 == 0)
    assert 0.3 < explain_dark(image, some, dark_from, 0.25) < 0.5
    assert explain_dark(np.full_like(image, 220), every, dark_from, 0.25) == 0


def test_whole_red_cells_tell_the_size_where_there_are_three() -> None:
    box = np.array([[0, 0, 40, 80], [100, 100, 180, 180], [200, 100, 280, 180], [300, 90, 380, 170],
                    [50, 200, 200, 350]], float)  # fmt: skip
    label = np.array([1, 1, 1, 1, 2])
    cells = Cells(box, label, np.ones(5))
    assert pick_telling(cells, 500, 500, TYPICAL, RED).box.tolist() == box[1:4].tolist()
    fewer = cells.pick(np.array([0, 1, 2, 4]))
    assert pick_telling(fewer, 500, 500, TYPICAL, RED).label.tolist() == [1, 1, 2]


def test_a_look_is_taken_where_there_is_something_to_see() -> None:
    image = np.full((2000, 3000, 3), 215, np.uint8)
    crowd, _ = draw_discs(600, 600, 40)
    image[1300:1900, 2300:2900] = crowd
    search = Search(find_discs, image, TYPICAL, RED)
    top, left, high, wide = next(search.places(40))
    assert (high, wide) == (192, 192)
    assert image[top : top + high, left : left + wide, 1].min() < 165
    places = [place for place, _ in zip(search.places(40), range(4), strict=False)]
    assert len(set(places)) == 4
