"""Completeness: as stated, as the dataset says, as judged; ground that only looks like cells."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from hematovision.annotations.annotation import Annotation, Box
from hematovision.cells.cells import Segment
from hematovision.datasets.completeness import (
    measure_unboxed,
    settle_complete,
    spread_complete,
    state_complete,
)
from hematovision.datasets.dataset import ALL, Dataset, Noted
from hematovision.datasets.field import Field, Mask
from hematovision.datasets.findings import Findings
from hematovision.datasets.ground import find_free_area
from hematovision.datasets.pairing.layout import Layout
from hematovision.program.console import UserError


def make_dataset(*labels: str) -> Dataset:
    boxes = [Box(label, (0, 0, 1, 1)) for label in labels]
    noted = Noted(Layout(Path("d")).root, Annotation(Path("a"), "", boxes=boxes))  # type: ignore[arg-type]  # any path
    return Dataset(Path("d/lab"), "lab", Layout(Path("d")), [noted], {}, (), Findings())


def make_field(unboxed: float, gone: tuple[str, ...] | None, **labels: int) -> Field:
    segments = [Segment(k, (0, 0, 9, 9)) for k, n in labels.items() for _ in range(n)]
    free = Mask.pack(np.ones((1, 1), bool))
    return Field(Path("f"), segments, free, unboxed=unboxed, gone_through=gone)


def test_a_kind_counts_as_what_it_is_a_kind_of() -> None:
    dataset = make_dataset("RBC", "Neutrophil", "Monocyte", "Platelets")
    (stated,) = state_complete([dataset], ["lab=rbc,WBC,Platelets"])
    assert stated.complete == ("Platelets", "RBC", "WBC")
    with pytest.raises(UserError, match="labelled Parasite"):
        state_complete([dataset], ["lab=Parasite"])
    with pytest.raises(UserError, match="not LAB"):
        state_complete([dataset], ["RBC"])


def test_all_kinds_are_complete_with_their_root_and_one_alone_says_nothing() -> None:
    labels = {"RBC", "Neutrophil", "Monocyte"}
    assert spread_complete(["WBC"], labels) == ("Monocyte", "Neutrophil", "WBC")
    assert spread_complete(["Neutrophil"], labels) == ()
    assert spread_complete(["Neutrophil", "Monocyte"], labels) == ("Monocyte", "Neutrophil")
    assert spread_complete(["Platelets"], labels) == ("Platelets",)


def test_what_was_gone_through_is_complete_and_the_rest_is_judged() -> None:
    gone = [make_field(9, ("RBC", "WBC"), RBC=20, WBC=1), make_field(9, ALL, RBC=20)]
    rest = [make_field(9, None, RBC=10, WBC=1)] * 3
    dataset = make_dataset("RBC", "WBC")
    found = settle_complete(dataset, [*gone, *rest])
    assert [f.complete for f in found] == [("RBC", "WBC")] * 2 + [("WBC",)] * 3
    said = dataset.findings.notices
    assert len(said) == 2 and "gone through, 2 field(s)" in said[0] and "other 3" in said[1]


def test_what_is_stated_goes_before_what_the_dataset_says() -> None:
    dataset = replace(make_dataset("RBC", "WBC"), complete=("WBC",))
    found = settle_complete(dataset, [make_field(0, ALL, RBC=9, WBC=1)])
    assert found[0].complete == ("WBC",)


def draw(spots: list[tuple[int, int, int]]) -> np.ndarray:
    """A pale field with round spots x, y of a green level."""
    image = np.full((400, 600, 3), 220, np.uint8)
    for x, y, level in spots:
        cv2.circle(image, (x, y), 20, (210, level, 200), -1)
    return image


@pytest.mark.parametrize("level, least, most", [(120, 2, 6), (185, 0, 0.5)])
def test_a_ghost_or_mottled_ground_is_no_unboxed_cell(
    level: int, least: float, most: float
) -> None:
    boxed = [(60 + 80 * k, 60, 120) for k in range(6)]
    image = draw([*boxed, *((100 + 120 * k, 250, level) for k in range(3))])
    segments = [Segment("RBC", (x - 20, y - 20, x + 20, y + 20)) for x, y, _ in boxed]
    free = find_free_area(image, segments, 40)
    assert least <= measure_unboxed(image, free, segments, 40) <= most
