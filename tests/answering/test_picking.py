"""Picking fields to be labelled: the doubtful ones, and no two alike."""

from __future__ import annotations

import numpy as np
import pytest

from hematovision.answering.picking import Candidate, describe_candidate, measure_doubt, pick_fields
from hematovision.cells.cells import Cells


def test_doubt_is_full_at_the_threshold_and_gone_where_an_answer_is_sure() -> None:
    threshold = np.full(4, 0.4)
    doubt = measure_doubt(np.array([0.4, 1.0, 0.0, 0.7]), threshold)
    assert doubt == pytest.approx([1, 0, 0, 0.5])


def test_the_doubtful_come_first_and_twins_of_one_picked_last() -> None:
    near, far = np.array([0.0, 0.0]), np.array([5.0, 5.0])
    fields = [Candidate(0.1, 9, near), Candidate(0.9, 9, near), Candidate(0.8, 9, near),
              Candidate(0.3, 9, far)]  # fmt: skip
    picked = pick_fields(fields, 3)
    assert [i for i, _ in picked] == [1, 3, 2]
    assert "doubt 0.90 over 9 cells" in picked[0][1]
    assert "nearest" in picked[1][1]


def test_no_more_are_picked_than_there_are() -> None:
    assert len(pick_fields([Candidate(0.5, 1, np.zeros(2))], 7)) == 1


def test_a_field_without_a_cell_is_in_doubt_as_a_whole() -> None:
    nothing = Cells(np.empty((0, 4)), np.empty(0, int), np.empty(0))
    image = np.full((60, 80, 3), 230, np.uint8)
    found = describe_candidate(image, nothing, np.array([0.4, 0.5]), 40.0)
    assert found.doubt == 1 and found.cells == 0
    assert np.isfinite(found.traits).all()
