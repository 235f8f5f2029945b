"""Copies: found however a field was turned, mirrored, zoomed or shifted; nowhere else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hematovision.annotations.reading import read_annotations
from hematovision.cells.cells import Segment
from hematovision.datasets.field import Field, Mask
from hematovision.preparing.copies import find_copies

SIZE = np.array([640, 480])


def make_field(segments: list[Segment], size: np.ndarray = SIZE) -> Field:
    width, height = (-(-size // 4)).tolist()
    return Field(Path("a.png"), segments, Mask.pack(np.zeros((height, width), bool)))


def draw_segments(seed: int, count: int = 24) -> list[Segment]:
    """Cells of a field as they come, some cut by its border."""
    rng = np.random.default_rng(seed)
    middle = rng.uniform(0, SIZE, (count, 2))
    half = np.where(rng.random((count, 1)) < 0.1, 12, 36) * rng.uniform(0.9, 1.1, (count, 2))
    return cut([("Platelets" if h[0] < 20 else "RBC", m - h, m + h)
                for m, h in zip(middle, half, strict=True)])  # fmt: skip


def cut(boxes: list[tuple[str, np.ndarray, np.ndarray]]) -> list[Segment]:
    """The boxes in whole pixels, as far as the picture shows them."""
    shown = [(label, np.clip(low, 0, SIZE), np.clip(high, 0, SIZE)) for label, low, high in boxes]
    return [
        Segment(label, (int(low[0]), int(low[1]), int(high[0]), int(high[1])))
        for label, low, high in shown
        if (high - low).min() >= 8
    ]


def change(
    segments: list[Segment], degrees: float, zoom: float, flip: bool, shift: tuple[float, float]
) -> list[Segment]:
    """The boxes around what was in the boxes, as tools that augment draw them."""
    angle = np.deg2rad(degrees)
    turn = zoom * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    turn = turn @ np.diag([-1, 1]) if flip else turn
    boxes = []
    for label, (x0, y0, x1, y1) in segments:
        corners = np.array([[x0, y0], [x0, y1], [x1, y0], [x1, y1]]) - SIZE / 2
        corners = corners @ turn.T + SIZE / 2 + shift
        boxes.append((label, corners.min(axis=0), corners.max(axis=0)))
    return cut(boxes)


@pytest.mark.parametrize("degrees", [0, 12, 90, 180])
@pytest.mark.parametrize("zoom", [0.7, 1, 1.25])
@pytest.mark.parametrize("flip", [False, True])
def test_a_changed_copy_is_found_among_other_fields(degrees: int, zoom: float, flip: bool) -> None:
    source = draw_segments(0)
    copy = change(source, degrees, zoom, flip, (20, -30))
    fields = [make_field(s) for s in (draw_segments(1), source, draw_segments(2), copy)]
    assert find_copies(fields) == [(1, 3)]


@pytest.mark.parametrize("block", [1, 2, 3])
def test_copies_are_found_whichever_blocks_they_are_held_in(
    block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hematovision.preparing.copies.BLOCK", block)
    source = draw_segments(0)
    few = draw_segments(1, 3)  # too few cells to be compared: places aren't numbers in a block
    copies = [change(source, 20, 0.9, True, (9, 4)), change(source, 180, 1.2, False, (0, 0))]
    fields = [make_field(s) for s in (few, draw_segments(1), source, few, *copies)]
    assert find_copies(fields) == [(2, 4), (2, 5), (4, 5)]


def test_the_next_field_of_a_slide_is_found_by_what_both_show() -> None:
    source = draw_segments(0, 40)
    assert find_copies([make_field(s) for s in (source, change(source, 0, 1, False, (250, 0)))])


def test_other_fields_and_fields_of_few_cells_are_no_copies() -> None:
    assert find_copies([]) == []
    fields = [make_field(draw_segments(seed, 4 + seed % 60)) for seed in range(150)]
    assert find_copies(fields) == []
    few = draw_segments(3, 5)
    assert find_copies([make_field(few), make_field(few)]) == []


def test_labels_count(tmp_path: Path) -> None:
    source = draw_segments(0)
    other = [Segment("WBC" if s.label == "RBC" else s.label, s.box) for s in source]
    assert find_copies([make_field(source), make_field(other)]) == []


def test_boxes_upon_each_other_do_no_harm() -> None:
    heap = [Segment("RBC", (100, 100, 140, 140))] * 30
    assert find_copies([make_field(heap), make_field(heap)]) == []


def test_bccd_shows_the_same_cells_in_few_of_its_fields(bccd: Path) -> None:
    paths = sorted((bccd / "Annotations").glob("*.xml"))
    fields = []
    for path in paths:
        (note,) = read_annotations(path)
        boxes = [Segment(b.label, tuple(int(v) for v in b.corners)) for b in note.boxes]
        fields.append(make_field(boxes))
    found = {(paths[i].stem[-3:], paths[j].stem[-3:]) for i, j in find_copies(fields)}
    # Looked at: each pair shows one white cell, shifted. Without boxes of most red cells two other
    # pairs can't be told.
    assert found == {("205", "276"), ("226", "261"), ("230", "257"), ("382", "395"), ("386", "391")}
