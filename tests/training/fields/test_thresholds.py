"""Thresholds of the field network: chosen where boxes are complete, blind where they may lack."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from drawing import make_training_field

from hematovision.cells.cells import Cells
from hematovision.training.fields.thresholds import (
    choose_thresholds,
    may_lack_box,
    score_thresholds,
)

# A red cell that is boxed; one where boxes may be missing; one on ground that is free.
FOUND = np.array([[20, 20, 60, 60], [0, 90, 40, 130], [170, 90, 210, 130.0]])
EVERY = np.ones(3, bool)


def find(*probability: float) -> Cells:
    return Cells(FOUND, np.array([1, 1, 1]), np.array(probability))


def test_a_cell_may_lack_its_box_where_ground_is_not_free() -> None:
    assert may_lack_box(find(1, 1, 1), make_training_field()).tolist()[1:] == [True, False]


def test_the_threshold_overlooks_finds_where_boxes_may_be_missing() -> None:
    source = make_training_field()
    # The find on free ground is wrong: the threshold lies above it, and not above the right one.
    assert 0.3 < choose_thresholds([find(0.6, 0.9, 0.3)], [source], 3)[1] <= 0.6
    whole = replace(source, complete=EVERY)
    assert 0.3 < choose_thresholds([find(0.9, 0.6, 0.3)], [source], 3)[1] <= 0.9
    assert 0.6 < choose_thresholds([find(0.9, 0.6, 0.3)], [whole], 3)[1] <= 0.9


def test_fields_that_are_boxed_completely_decide_where_there_are_any() -> None:
    open_ended, whole = make_training_field(), replace(make_training_field(), complete=EVERY)
    chosen = choose_thresholds([find(0.2, 0.1, 0.1), find(0.9, 0.6, 0.5)], [open_ended, whole], 3)
    assert 0.6 < chosen[1] <= 0.9


def test_every_laboratory_weighs_the_same() -> None:
    whole = replace(make_training_field(), complete=EVERY)
    sure, shy = find(0.9, 0.5, 0.1), find(0.4, 0.1, 0.1)
    few = choose_thresholds([sure] * 9 + [shy], [whole] * 9 + [replace(whole, lab="b")], 3)[1]
    assert few == pytest.approx(
        choose_thresholds([sure, shy], [whole, replace(whole, lab="b")], 3)[1]
    )


def test_a_threshold_is_scored_by_finds_and_counts() -> None:
    grid = np.array([0.2, 0.5, 0.8])
    rows = [(2, np.array([0.9, 0.6, 0.3]), np.array([True, True, False]))]
    assert score_thresholds(rows, grid, counts=False) == pytest.approx([0.8, 1, 2 / 3])
    assert score_thresholds(rows, grid, counts=True) == pytest.approx([0.65, 1, (2 / 3 + 0.5) / 2])


def test_a_label_that_is_not_annotated_has_a_threshold_all_the_same() -> None:
    assert choose_thresholds([], [], 2).tolist() == [0.5, 0.5]
