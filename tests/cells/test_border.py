"""Border: cells that it cuts are told, and half of them are counted."""

from __future__ import annotations

import numpy as np
import pytest

from hematovision.cells.border import RULES, belongs, is_cut

# In the middle, then at the left, the top, the right and the bottom border, and in two corners.
BOX = np.array(
    [[50, 50, 70, 70], [0, 50, 9, 70], [50, 1, 70, 20], [85, 50, 100, 70], [50, 60, 70, 80],
     [0, 0, 9, 9], [90, 0, 100, 9]], float
)  # fmt: skip


def test_a_cell_at_the_border_is_cut() -> None:
    assert is_cut(BOX, 100, 80).tolist() == [False] + 6 * [True]


@pytest.mark.parametrize(
    ("rule", "counted"),
    [("all", 7 * [True]), ("whole", [True] + 6 * [False]),
     ("half", [True, True, True, False, False, True, False])],
)  # fmt: skip
def test_a_rule_says_which_of_them_are_counted(rule: str, counted: list[bool]) -> None:
    assert rule in RULES
    assert belongs(BOX, 100, 80, rule).tolist() == counted


def test_fields_side_by_side_count_each_cell_once_by_halves() -> None:
    rng = np.random.default_rng(0)
    low = rng.uniform(0, 400, (300, 2))
    cells = np.concatenate([low, low + 30], axis=1)
    counted = 0
    for left in range(-50, 500, 100):  # a grid of fields of 100 pixels
        for top in range(-50, 500, 100):
            seen = cells - (left, top, left, top)
            inside = (seen[:, 2:] > 0).all(axis=1) & (seen[:, :2] < 100).all(axis=1)
            counted += belongs(np.clip(seen[inside], 0, 100), 100, 100, "half").sum()
    assert counted == pytest.approx(300, abs=12)  # but for those within 2 pixels of a border
