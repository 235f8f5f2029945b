"""Shrinkage: few examples move what was known a little, many nearly all of the way."""

from __future__ import annotations

import numpy as np
import pytest

from hematovision.evaluation.scores import find_interval
from hematovision.training.shrinkage import HALF_WAY, shrink


def test_nothing_moves_without_an_example_and_half_of_the_way_with_so_many() -> None:
    moved = shrink(np.array([0.9, 0.9, 0.9]), np.array([0.4, 0.4, 0.4]), [0, HALF_WAY, 10**6])
    assert moved == pytest.approx([0.4, 0.65, 0.9], abs=1e-3)


def test_intervals_of_few_fields_are_wider_than_what_was_drawn_but_end_at_one() -> None:
    draws = np.linspace(0.8, 0.98, 1001)
    plain, few, fewest = (find_interval(draws, n) for n in (72, 9, 3))
    assert plain == find_interval(draws)
    assert fewest[0] < few[0] < plain[0]
    assert plain[1] < few[1] <= fewest[1] <= 1


def test_a_handful_of_fields_that_agree_tell_no_interval() -> None:
    assert find_interval(np.ones(100), 5) is None
    assert find_interval(np.ones(100), 8) == [1, 1]
