"""Looks settled: the fewest marks that leave one in fifty wrong, and no worthless ones."""

from __future__ import annotations

from typing import Any

import numpy as np

from hematovision.cells.cells import Cells
from hematovision.training.fields.fields import TrainingField
from hematovision.training.fields.looks import settle_looks

SIDE = 20


def make_field(rows: list[tuple[float, bool]], lab: str, complete: bool = True) -> tuple[Any, Any]:
    """Found cells of a label, their probabilities and whether a box is there, in a row."""
    x = 2.0 * SIDE * np.arange(len(rows))
    box = np.stack([x, 0 * x, x + SIDE, 0 * x + SIDE], axis=1)
    probability, hit = np.array(rows).T
    found = Cells(box, np.zeros(len(rows), int), probability)
    boxes, room = box[hit > 0], np.zeros((SIDE // 4, len(rows) * SIDE // 2), bool)
    field = TrainingField(
        "a.png", b"", boxes, np.zeros(len(boxes), int), lab, np.array([complete]), len(boxes),
        SIDE, room, boxes[:0],
    )  # fmt: skip
    return found, field


def settle(*fields: tuple[Any, Any]) -> dict[str, Any]:
    found, truth = zip(*fields, strict=True)
    return settle_looks(found, truth, {"RBC": 0.4}, np.ones(1), np.array([True]))


WELL = [(0.9, True)] * 60  # sure and right


def test_marks_end_where_one_in_fifty_is_left_wrong() -> None:
    wrong = [(0.45, False), (0.55, False), (0.65, False), (0.75, False)]
    found = settle(make_field(WELL + wrong, "a"))
    assert found["sure"] == {"RBC": 0.66}  # of 61 cells from there up one is wrong
    assert settle(make_field(WELL, "a")) == {"sure": {"RBC": 0.4}, "nearly": {"RBC": 0.4}}


def test_laboratories_weigh_alike() -> None:
    poor = make_field([(0.9, True)] * 10 + [(0.5, False)] * 2, "b")
    assert settle(*[make_field(WELL, "a")] * 9, poor)["sure"]["RBC"] == 0.51


def test_cells_that_are_not_counted_are_marked_where_three_of_ten_are_cells() -> None:
    near = [(0.35, True), (0.3, False), (0.25, True), *[(0.2, False)] * 3, *[(0.1, False)] * 9]
    assert settle(make_field(WELL + near, "a"))["nearly"]["RBC"] == 0.11
    assert settle(make_field([*WELL, *[(0.2, False)] * 9], "a"))["nearly"]["RBC"] == 0.4


def test_a_label_that_no_laboratory_shows_is_left_to_the_default() -> None:
    assert settle(make_field([(0.9, True)] * 3, "a")) == {"sure": {}, "nearly": {}}
