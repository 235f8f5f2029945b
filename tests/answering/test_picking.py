"""Picking fields to be labelled: the doubtful ones, and no two alike."""

from __future__ import annotations

import numpy as np
import pytest

from hematovision.answering.picking import Candidate, describe_candidate, measure_doubt, pick_fields
from hematovision.cells.cells import Cells
from hematovision.networks.differential import Typed

ALIKE = np.zeros(2)


def white(**probabilities: float) -> Typed:
    """A white cell by the probabilities of its types; untyped where none has half of them."""
    name = max(probabilities, key=lambda of: probabilities[of])
    sure = probabilities[name] >= 0.5 * sum(probabilities.values())
    return Typed(name if sure else None, probabilities)


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


def test_white_cells_whose_type_is_least_sure_come_first() -> None:
    sure, unsure = white(Neutrophil=0.98, Monocyte=0.01), white(Neutrophil=0.4, Monocyte=0.39)
    fields = [Candidate(0.2, 9, ALIKE, of) for of in ((), (sure,), (unsure,), (sure, unsure))]
    assert [i for i, _ in pick_fields(fields, 4)] == [3, 2, 1, 0]


def test_picked_fields_are_spread_over_types() -> None:
    """Of a laboratory's many neutrophils one, then its only basophil, though both are sure."""
    fields = [Candidate(0.2, 9, ALIKE, (white(Neutrophil=0.9, Basophil=0.1),)) for _ in range(4)]
    fields.append(Candidate(0.2, 9, ALIKE, (white(Neutrophil=0.02, Basophil=0.98),)))
    picked = pick_fields(fields, 2)
    assert {i == 4 for i, _ in picked} == {True, False}
    assert "1 Basophil" in next(why for i, why in picked if i == 4)


def test_a_cell_of_no_type_at_all_teaches_nothing_of_types() -> None:
    fields = [Candidate(0.2, 9, ALIKE), Candidate(0.2, 9, ALIKE, (Typed(None, {"Blast": 0.0}),))]
    assert [i for i, _ in pick_fields(fields, 2)] == [0, 1]
