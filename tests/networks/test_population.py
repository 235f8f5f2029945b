"""Population: what is called white and looks like the many is one of them; what doesn't isn't."""

from __future__ import annotations

import numpy as np
import pytest
from drawing import RED, TYPICAL

from hematovision.cells.cells import Cells
from hematovision.networks.doubts import find_doubts, measure_brightness
from hematovision.networks.population import LEAST, find_many, measure_density, recall_many

PALE, DENSE, BLACK = (216, 216, 216), (90, 60, 140), (60, 20, 90)
RED_CELL, WHITE_CELL = 1, 2  # indices of labels, as in `drawing`


def draw(cells: list[tuple[int, int, tuple[int, int, int]]]) -> tuple[np.ndarray, Cells]:
    """A field with square cells in rows, each (label, side, colour), and the cells found in it."""
    image, box = np.full((700, 700, 3), PALE, np.uint8), []
    for i, (_, side, colour) in enumerate(cells):
        y, x = 10 + 110 * (i // 6), 10 + 110 * (i % 6)
        image[y : y + side, x : x + side] = colour
        box.append([x, y, x + side, y + side])
    labels = np.array([label for label, *_ in cells])
    return image, Cells(np.array(box, float), labels, np.full(len(cells), 0.8))


def recall(image: np.ndarray, cells: Cells) -> list[bool]:
    sure = np.ones(len(cells.label), bool)
    return recall_many(cells, image, sure, TYPICAL, RED)[1].tolist()


def test_a_white_cell_with_the_size_and_density_of_the_many_is_one_of_them() -> None:
    many = 20 * [(RED_CELL, 40, DENSE)]
    image, cells = draw([*many, *5 * [(WHITE_CELL, 41, DENSE)]])
    told, recalled = recall_many(cells, image, np.ones(25, bool), TYPICAL, RED)
    assert recalled.tolist() == 20 * [False] + 5 * [True]
    assert (told.label == RED_CELL).all()


def test_a_larger_or_a_darker_one_stays_white() -> None:
    many = 20 * [(RED_CELL, 40, DENSE)]
    image, cells = draw([*many, (WHITE_CELL, 70, DENSE), (WHITE_CELL, 40, BLACK)])
    assert not any(recall(image, cells))


def test_where_white_cells_are_the_many_they_stay_white() -> None:
    image, cells = draw([*12 * [(RED_CELL, 40, DENSE)], *20 * [(WHITE_CELL, 70, BLACK)]])
    assert not any(recall(image, cells))


def test_few_cells_are_no_population() -> None:
    image, cells = draw([*(LEAST - 2) * [(RED_CELL, 40, DENSE)], (WHITE_CELL, 40, DENSE)])
    assert find_many(cells, image, np.ones(len(cells.label), bool), TYPICAL, RED) is None
    assert not any(recall(image, cells))


def test_density_is_that_of_the_middle_of_a_box() -> None:
    image, cells = draw([(RED_CELL, 40, (51, 51, 51))])
    assert measure_density(image, cells.box) == pytest.approx(-np.log(0.2) * np.ones((1, 3)))


def name_doubts(cells: list[tuple[int, int, tuple[int, int, int]]], p: float = 0.8) -> list[str]:
    image, found = draw(cells)
    found = found._replace(probability=np.full(len(found.label), p))
    doubts = find_doubts(found, image, 0, measure_brightness(image), TYPICAL, RED)
    assert all(doubt.words and "\n" not in doubt.words for doubt in doubts)
    return [doubt.kind for doubt in doubts]


def test_an_ordinary_field_raises_no_doubt() -> None:
    assert name_doubts([*20 * [(RED_CELL, 40, DENSE)], (WHITE_CELL, 70, BLACK)]) == []


def test_many_white_cells_told_apart_raise_no_doubt() -> None:
    assert name_doubts([*20 * [(RED_CELL, 40, DENSE)], *8 * [(WHITE_CELL, 70, BLACK)]]) == []


def test_many_white_cells_like_the_red_ones_raise_a_doubt() -> None:
    cells = [*20 * [(RED_CELL, 40, DENSE)], *8 * [(WHITE_CELL, 44, DENSE)]]
    assert name_doubts(cells) == ["white like red"]


def test_next_to_no_red_cells_and_doubtful_ones_raise_doubts() -> None:
    assert name_doubts([(WHITE_CELL, 70, BLACK)]) == ["few red"]
    assert name_doubts(20 * [(RED_CELL, 40, DENSE)], 0.42) == ["unsure"]


def test_dark_ground_raises_a_doubt() -> None:
    image, cells = draw(20 * [(RED_CELL, 40, BLACK)])
    dark = (image * 0.2).astype(np.uint8)
    doubts = find_doubts(cells, image, 0, measure_brightness(dark), TYPICAL, RED)
    assert [doubt.kind for doubt in doubts] == ["dark"]
