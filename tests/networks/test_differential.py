"""Types of white cells in fields: named by the crop network, counted, with honest intervals."""

from __future__ import annotations

import json

import numpy as np
import pytest

from hematovision.cells.cells import Cells
from hematovision.networks.classifier import SegmentAnswer
from hematovision.networks.differential import (
    Differential,
    count_types,
    format_differential,
    list_types,
    rank_fields,
    type_cells,
    wilson,
)

CLASSES = ["Background", "Erythroblast", "Lymphocyte", "Neutrophil", "RBC", "WBC"]
FOUND = ["RBC", "WBC"]
BY_GREY = {10: "Neutrophil", 20: "WBC", 30: "RBC"}


class Painted:
    """Stands for a classifier that tells the type by the grey of the middle of a crop."""

    classes = CLASSES

    def __init__(self) -> None:
        self.shapes: list[tuple[int, ...]] = []

    def crop(self, picture: np.ndarray) -> np.ndarray:
        self.shapes.append(picture.shape)
        return picture

    def answer(self, crop: np.ndarray) -> SegmentAnswer:
        label = BY_GREY[int(crop[crop.shape[0] // 2, crop.shape[1] // 2, 0])]
        probabilities = {name: 0.1 for name in CLASSES} | {label: 0.5}
        return SegmentAnswer(label, 0.5, probabilities, False)


def test_types_are_kinds_of_what_is_found_in_fields() -> None:
    assert list_types(CLASSES, FOUND) == ["Erythroblast", "Lymphocyte", "Neutrophil"]
    assert list_types(CLASSES, ["RBC"]) == []
    assert list_types(["Other", "RBC"], FOUND) == []


def test_only_white_cells_are_typed_and_where_the_networks_disagree_none_is_named() -> None:
    image = np.zeros((40, 100, 3), np.uint8)
    for k, grey in enumerate((10, 20, 30)):
        image[:, 20 * k : 20 * (k + 1)] = grey
    box = np.array([[-3.5, 2, 20, 30], [20.2, 0, 39.7, 44], [40, 0, 60, 40], [60, 0, 80, 40]])
    cells = Cells(box, np.array([1, 1, 1, 0]), np.ones(4))
    classifier = Painted()
    found = type_cells(classifier, image, cells, FOUND)  # type: ignore[arg-type]
    assert [row.type if row else "not asked" for row in found] == [
        "Neutrophil",
        None,
        None,
        "not asked",
    ]
    assert found[0] is not None
    assert set(found[0].type_probabilities) == {"Erythroblast", "Lymphocyte", "Neutrophil"}
    assert classifier.shapes == [(28, 20, 3), (40, 20, 3), (40, 20, 3)]  # inside the field


def test_a_box_without_area_still_gets_an_answer() -> None:
    image = np.full((40, 100, 3), 20, np.uint8)
    cells = Cells(np.array([[50.0, 10, 50, 10]]), np.array([1]), np.ones(1))
    (found,) = type_cells(Painted(), image, cells, FOUND)  # type: ignore[arg-type]
    assert found is not None and found.type is None


@pytest.mark.parametrize(
    "count, total, low, high",
    [(5, 100, 0.0215, 0.1118), (0, 100, 0, 0.0370), (100, 100, 0.9630, 1), (1, 1, 0.2065, 1)],
)
def test_interval_of_a_share(count: int, total: int, low: float, high: float) -> None:
    assert wilson(count, total) == pytest.approx((low, high), abs=1e-4)


def test_of_no_cell_every_share_is_possible() -> None:
    assert wilson(0, 0) == (0, 1)


def test_shares_are_of_the_typed_cells() -> None:
    named = ["Neutrophil", "Neutrophil", "Erythroblast", None]
    found = count_types(named, ["Erythroblast", "Lymphocyte", "Neutrophil"])
    assert (found.typed, found.untyped, found.immature) == (2, 1, 1)
    assert found.types["Neutrophil"].share == 1
    assert found.types["Lymphocyte"].count == 0
    assert Differential.read(json.loads(json.dumps(found.describe()))) == found
    shown = format_differential(found)
    assert "100.0 %" in shown and "of 3" in shown and "1 immature" in shown
    nothing = format_differential(count_types([None], ["Neutrophil"]))
    assert "-   0.0 to 100.0 %" in nothing and "immature" not in nothing


def test_erythroblasts_are_counted_for_each_hundred_white_cells() -> None:
    named = ["Neutrophil"] * 30 + [None] * 10 + ["Erythroblast"] * 6
    found = count_types(named, ["Erythroblast", "Neutrophil"])
    assert found.erythroblasts.count == 6
    assert found.erythroblasts.per_100_white == pytest.approx(15)
    assert "Erythroblast" not in found.types
    assert "15.0 per 100 white cells" in format_differential(found)
    alone = count_types(["Erythroblast"], ["Erythroblast", "Neutrophil"])
    assert alone.erythroblasts.per_100_white is None
    assert "- per 100 white cells" in format_differential(alone)


def test_fields_with_most_cells_to_look_at_come_first() -> None:
    asked = {f"{n}.png": n % 7 for n in range(14)}
    ranked = rank_fields(asked)
    assert ranked == [("6.png", 6), ("13.png", 6), ("5.png", 5), ("12.png", 5), ("4.png", 4)]
    found = count_types([None, "Neutrophil"], ["Neutrophil"])
    assert "of: 6.png (6), 13.png (6)" in format_differential(found, ranked[:2])
    assert "look first" not in format_differential(found, rank_fields({"a.png": 0}))
