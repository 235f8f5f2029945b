"""Boxes put into their picture: drawn twice, contradicting, nearly covering each other."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest

from hematovision.annotations.annotation import Annotation, Box
from hematovision.datasets.findings import Example
from hematovision.datasets.placing import (
    ALMOST,
    TWICE,
    TWO_LABELS,
    Placed,
    find_doubles,
    place_boxes,
)

IMAGE = np.full((200, 300, 3), 200, np.uint8)
CELL = (50, 60, 90, 100)


def place(*boxes: tuple[str, tuple[int, int, int, int]]) -> Placed:
    note = Annotation(Path("a.xml"), "a.jpg", (300, 200), [Box(*box) for box in boxes])
    return place_boxes(note, IMAGE, Example("a"), keep=9)


@pytest.mark.parametrize("shift", [(0, 0, 0, 0), (1, 0, 1, 0), (-1, 1, 0, -1)])
def test_a_box_drawn_twice_is_one_cell(shift: tuple[int, ...]) -> None:
    again = tuple(v + s for v, s in zip(CELL, shift, strict=True))
    placed = place(("RBC", CELL), ("RBC", again), ("RBC", CELL))  # type: ignore[arg-type]  # four
    assert placed.segments == [("RBC", CELL)]
    assert placed.findings.of("put right") == {TWICE: 2}


def test_of_a_cell_and_its_kind_the_kind_stays() -> None:
    for pair in ((("WBC", CELL), ("Neutrophil", CELL)), (("Neutrophil", CELL), ("WBC", CELL))):
        assert [s.label for s in place(*pair).segments] == ["Neutrophil"]


def test_labels_that_exclude_each_other_leave_neither() -> None:
    placed = place(("RBC", CELL), ("WBC", CELL), ("RBC", (150, 60, 190, 100)))
    assert [s.box[0] for s in placed.segments] == [150]
    assert placed.findings.of("left out") == {TWO_LABELS: 2}


def test_boxes_a_little_further_apart_are_two_cells_and_told() -> None:
    placed = place(("RBC", CELL), ("RBC", (52, 62, 92, 102)), ("RBC", (60, 60, 100, 100)))
    assert len(placed.segments) == 3
    assert placed.findings.of("noticed") == {ALMOST: 1}
    assert not placed.findings.of("put right")


def test_small_cells_side_by_side_stay_two() -> None:
    placed = place(("Platelets", (10, 10, 20, 20)), ("Platelets", (13, 10, 23, 20)))
    assert len(placed.segments) == 2 and not placed.findings.counts


def test_twenty_thousand_boxes_in_one_place_are_answered_soon() -> None:
    start = time.process_time()
    box = np.tile(np.array([[10.0, 10, 50, 50]]), (20_000, 1))
    assert len(find_doubles(box)) == 19_999
    box = np.stack([np.full(20_000, 10.0), np.arange(20_000), *np.full((2, 20_000), 5e4)], axis=1)
    find_doubles(box)
    assert time.process_time() - start < 30
    assert find_doubles(np.zeros((0, 4))) == []
