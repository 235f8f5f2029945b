"""Types of white cells in fields: named by the crop network, counted, with honest intervals."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

from hematovision.cells.cells import Cells
from hematovision.networks.card import PRETRAINED, read_card
from hematovision.networks.classifier import SegmentAnswer
from hematovision.networks.differential import (
    CHECKED,
    Differential,
    count_confirmed,
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


TYPES = ["Erythroblast", "Lymphocyte", "Neutrophil"]


def test_shares_are_of_the_typed_white_cells_and_erythroblasts_stand_apart() -> None:
    found = count_types(["Neutrophil", "Neutrophil", "Erythroblast", "Lymphocyte", None], TYPES)
    assert (found.typed, found.untyped, found.immature) == (3, 1, 1)
    assert found.types["Neutrophil"].share == pytest.approx(2 / 3)
    assert "Erythroblast" not in found.types
    assert (found.erythroblasts.count, found.erythroblasts.per_100_white) == (1, 25)
    assert Differential.read(json.loads(json.dumps(found.describe()))) == found
    shown = format_differential(found, [("a.jpg", 2)])
    assert "66.7 %" in shown and "of 4" in shown and "25.0 per 100" in shown
    assert "1 immature" in shown and shown.endswith("cells of: a.jpg (2)")


def test_without_a_white_cell_there_is_no_share() -> None:
    nothing = count_types([None], ["Neutrophil"])
    assert nothing.types["Neutrophil"].share is None
    assert nothing.erythroblasts.count == 0
    assert "immature" not in format_differential(nothing)


def test_types_are_proposed_until_a_hundred_cells_of_the_stain_are_confirmed() -> None:
    """And no interval is printed as if it covered that they may be wrong."""
    for confirmed in ({"Neutrophil": CHECKED - 1}, {"Neutrophil": 70, "Lymphocyte": 30}):
        found = count_types(["Neutrophil", "Lymphocyte"], TYPES, confirmed)
        shown = format_differential(found)
        assert found.describe()["checked"] == found.is_checked == (sum(confirmed.values()) == 100)
        assert ("95 %" in shown) == found.is_checked
        assert ("proposed, not checked in your stain" in shown) != found.is_checked
        assert "70" in shown or "99 of 100" in shown


def test_what_the_bundled_model_learnt_from_is_nobodys_own() -> None:
    card = read_card(PRETRAINED)
    assert set(count_confirmed(card, TYPES).values()) == {0}
    counts = {"train": {"Neutrophil": 60, "RBC": 9}, "test": {"Neutrophil": 20, "Lymphocyte": 5}}
    own = dataclasses.replace(card, seal="another", counts=counts)
    assert count_confirmed(own, TYPES) == {"Erythroblast": 0, "Lymphocyte": 5, "Neutrophil": 80}


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
