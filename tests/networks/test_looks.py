"""Looks: between the card's probabilities a cell is marked, outside it isn't."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hematovision.cells.cells import Cells
from hematovision.networks.card import PRETRAINED, FieldCard, read_card
from hematovision.networks.looks import TYPE_SURE, find_bounds, wants_look, wants_type
from hematovision.program.records import read_record, write_record

CARD = FieldCard(
    labels=["RBC", "WBC"],
    thresholds={"RBC": 0.4, "WBC": 0.5},
    typical_side={"RBC": 1.0, "WBC": 1.8},
    sure={"RBC": 0.6},
    nearly={"RBC": 0.2},
)


def list_marked(card: FieldCard, label: int) -> list[float]:
    """The probabilities, in tenths, at which a cell of a label is to be looked at."""
    grid = np.arange(1, 10) / 10
    threshold = card.thresholds[card.labels[label]]
    cells = Cells(np.zeros((9, 4)), np.full(9, label), grid)
    return grid[wants_look(cells, grid >= threshold, find_bounds(card))].tolist()


def test_cells_between_the_bounds_are_marked_whether_counted_or_not() -> None:
    assert list_marked(CARD, 0) == [0.2, 0.3, 0.4, 0.5]


def test_labels_that_a_card_says_nothing_of_are_marked_about_their_threshold() -> None:
    assert list_marked(CARD, 1) == [0.3, 0.4, 0.5, 0.6]
    older = {k: v for k, v in write_record(CARD).items() if k not in ("sure", "nearly")}
    assert list_marked(read_record(FieldCard, older), 0) == [0.3, 0.4, 0.5]


def test_a_threshold_that_was_set_leaves_no_bound_on_its_wrong_side() -> None:
    bounds = find_bounds(replace(CARD, thresholds={"RBC": 0.7, "WBC": 0.5}))
    assert (bounds.nearly[0], bounds.sure[0]) == (0.2, 0.7)
    bounds = find_bounds(replace(CARD, thresholds={"RBC": 0.1, "WBC": 0.5}))
    assert (bounds.nearly[0], bounds.sure[0]) == (0.1, 0.6)


def test_bounds_of_a_card_are_checked() -> None:
    with pytest.raises(ValueError, match=r"sure, RBC 1\.5: wants 0\.001 to 1"):
        read_record(FieldCard, write_record(CARD) | {"sure": {"RBC": 1.5}})


def test_a_type_that_is_none_or_unsure_is_to_be_looked_at() -> None:
    assert wants_type(None, {"Monocyte": 0.4})
    assert wants_type("Monocyte", {"Monocyte": TYPE_SURE - 0.01})
    assert not wants_type("Monocyte", {"Monocyte": TYPE_SURE})


def test_the_bundled_card_says_it_of_every_label() -> None:
    card = read_card(PRETRAINED).fields
    assert card is not None and set(card.sure) == set(card.nearly) == set(card.labels)
