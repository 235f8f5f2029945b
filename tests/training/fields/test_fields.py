"""Training fields: boxes, scales and completeness of an archive's fields, by laboratory."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from drawing import LABELS, Box, draw_field

from hematovision.archive.contents import FieldSplit, find_starts
from hematovision.training.fields.fields import measure_typical, prepare_fields


def pack(fields: list[tuple[str, str, list[Box]]]) -> FieldSplit:
    """A split of drawn fields: laboratory, complete labels and boxes of each."""
    files = [
        cv2.imencode(".png", draw_field(boxes, (400, 300))[..., ::-1])[1].ravel()
        for *_, boxes in fields
    ]
    rows = [(i, *box) for i, (_, _, boxes) in enumerate(fields) for box in boxes]
    return FieldSplit(
        np.array([f"{i}.png" for i in range(len(fields))]),
        np.concatenate(files),
        np.cumsum([len(f) for f in files]),
        np.array([row[2:] for row in rows]),
        np.array([row[1] for row in rows]),
        np.array([row[0] for row in rows]),
        np.array([lab for lab, *_ in fields]),
        np.array([complete for _, complete, _ in fields]),
        find_starts(np.cumsum([len(f) for f in files])),
    )


def red(side: int, count: int = 4) -> list[Box]:
    return [("RBC", 10 + 70 * k, 10, 10 + 70 * k + side, 10 + side) for k in range(count)]


def test_types_are_learnt_as_what_they_are_a_kind_of() -> None:
    split = pack([("a", "RBC,Neutrophil", [*red(50), ("Neutrophil", 100, 150, 190, 240)])])
    (field,) = prepare_fields(split, LABELS)
    assert [LABELS[k] for k in field.label] == ["RBC"] * 4 + ["WBC"]
    assert field.complete.tolist() == [False, True, True]


def test_a_cell_boxed_twice_is_one() -> None:
    boxes = [*red(50), ("WBC", 100, 150, 190, 240), ("Basophil", 101, 150, 190, 241)]
    (field,) = prepare_fields(pack([("a", "", boxes)]), LABELS)
    assert len(field.box) == field.annotated == 5
    assert not field.complete.any()


def test_each_laboratory_has_its_own_scale() -> None:
    white = ("WBC", 100, 150, 190, 240)
    split = pack([("a", "", [*red(50), white]), ("b", "", [*red(30), ("WBC", 50, 150, 104, 204)])])
    assert [f.cell_px for f in prepare_fields(split, LABELS)] == pytest.approx([50, 30])


def test_a_laboratory_that_boxes_no_red_cell_is_measured_by_its_white_ones() -> None:
    split = pack([
        ("a", "", [*red(50), ("WBC", 100, 150, 190, 240)]),
        ("c", "", [("WBC", 100, 100, 280, 280)]),
    ])  # fmt: skip
    assert [f.cell_px for f in prepare_fields(split, LABELS)] == pytest.approx([50, 100])


def test_typical_sizes_are_the_medians_of_laboratories() -> None:
    box = np.array([[0, 0, 10, 10], [0, 0, 20, 20.0]])
    fields = [(box, np.array([0, 1]), "a", 10.0)] * 9 + [(box, np.array([0, 1]), "b", 20.0)]
    assert measure_typical(fields, 3) == pytest.approx([0.75, 1.5, np.nan], nan_ok=True)
