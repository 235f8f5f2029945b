"""How well the bundled detector finds and counts cells of fields it has not learnt from."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import cv2
import numpy as np
import pytest
from benchmarks.fields import score_folder
from conftest import ROOT

from hematovision.archive.contents import FieldSplit
from hematovision.cells.cells import Cells
from hematovision.evaluation.field_scores import (
    JudgedField,
    JudgedFields,
    ask_fields,
    measure_fields,
)
from hematovision.networks.card import PRETRAINED

COMPLETE = [[True, True], [True, False], [False, False]]


def make_judged(complete: list[list[bool]] = COMPLETE) -> JudgedFields:
    """Three fields of two laboratories, of which "b" lacks boxes in its second."""
    box = np.array([[0, 0, 40, 40], [60, 0, 100, 40], [0, 60, 40, 100.0]])
    truth = Cells(box, np.array([0, 0, 1]), np.ones(3))
    fewer = truth.pick(np.array([1, 2]))
    found = truth._replace(probability=np.array([0.9, 0.8, 0.7]))
    rows = zip("xyz", [truth, truth, fewer], "abb", complete, strict=True)
    fields = [JudgedField(name, of, found, found, lab, np.array(c)) for name, of, lab, c in rows]
    return JudgedFields(fields, ["RBC", "WBC"])


def test_figures_of_a_laboratory_are_those_of_its_completely_boxed_fields() -> None:
    metrics = measure_fields(make_judged())
    red = metrics["labels"]["RBC"]
    assert (red["fields"], red["annotated"], red["counting_accuracy"]) == (2, 4, 1)
    assert red["by_field"] == [[2, 2], [2, 2], [1, 2]]
    a, b = (metrics["laboratories"][lab] for lab in "ab")
    assert (a["fields"], b["fields"]) == (1, 2)
    assert b["labels"]["RBC"]["fields"] == 1 and b["labels"]["RBC"]["boxed_completely"]
    assert b["labels"]["RBC"]["counting_accuracy"] == 1
    assert b["labels"]["WBC"]["fields"] == 2 and not b["labels"]["WBC"]["boxed_completely"]
    assert b["labels"]["WBC"]["ap50"] == pytest.approx(1)


def test_where_boxes_are_missing_everywhere_all_fields_are_scored_and_that_is_marked() -> None:
    red = measure_fields(make_judged([[False, False]] * 3))["labels"]["RBC"]
    assert (red["fields"], red["annotated"], red["boxed_completely"]) == (3, 5, False)
    assert red["counting_accuracy"] == pytest.approx(0.8)


def test_a_label_that_is_not_annotated_has_no_average_precision() -> None:
    judged = make_judged()
    red = [f._replace(truth=f.truth.pick(f.truth.label == 0)) for f in judged.fields]
    figures = measure_fields(judged._replace(fields=red))["laboratories"]["a"]["labels"]["WBC"]
    assert figures["ap50"] is None and figures["counting_accuracy"] is None


class Finds:
    """A detector of RBC and WBC that finds two cells in any field and counts both."""

    labels: ClassVar[list[str]] = ["RBC", "WBC"]

    def find(self, image: np.ndarray, min_probability: float) -> Cells:
        box = np.array([[0, 0, 40, 40], [60, 0, 100, 40.0]])
        return Cells(box, np.array([0, 1]), np.array([0.9, 0.8]))

    def is_counted(self, cells: Cells) -> np.ndarray:
        return np.ones(len(cells.box), bool)


@pytest.mark.parametrize(
    ("label", "counted"), [("Diatom", [1, 0]), ("Lymphocyte", [1, 1]), ("WBC", [1, 1])]
)
def test_what_the_model_cant_name_is_no_false_alarm(label: str, counted: list[int]) -> None:
    """Whether it is found as a cell of another name or not at all."""
    picture = cv2.imencode(".png", np.full((50, 120, 3), 200, np.uint8))[1].ravel()
    fields = FieldSplit(
        name=np.array(["x"]), file=picture, end=np.array([len(picture)]),
        box=np.array([[0, 0, 40, 40], [61, 0, 100, 40]]), label=np.array(["RBC", label]),
        index=np.zeros(2, int), lab=np.array(["a"]), complete=np.array(["RBC,WBC"]),
        start=np.array([0]),
    )  # fmt: skip
    found = measure_fields(ask_fields(Finds(), fields))["labels"]
    assert [found[name]["counted"] for name in ("RBC", "WBC")] == counted
    assert found["WBC"]["annotated"] == (label != "Diatom")


@pytest.mark.parametrize(("moved", "circular"), [(0.4, True), (3.0, False)])
def test_boxes_that_are_the_models_own_to_the_pixel_are_told(moved: float, circular: bool) -> None:
    """They were written as whole pixels around what was found."""
    judged = make_judged()
    found = [f.counted._replace(box=f.counted.box + moved * np.array([1, 1, -1, -1]))
             for f in judged.fields]  # fmt: skip
    fields = [f._replace(counted=c) for f, c in zip(judged.fields, found, strict=True)]
    metrics = measure_fields(judged._replace(fields=fields))
    assert (metrics["own_boxes"], metrics["circular"]) == (float(circular), circular)


def test_a_label_that_is_not_found_is_marked() -> None:
    judged = make_judged()
    many = Cells(np.tile([200, 200, 220, 220.0], (9, 1)), np.ones(9, int), np.full(9, 0.9))
    fields = [f._replace(counted=many, found=many) for f in judged.fields]
    labels = measure_fields(judged._replace(fields=fields))["labels"]
    assert (labels["WBC"]["found"], labels["RBC"]["found"]) == (False, True)  # 4 red ones


def test_one_laboratory_is_not_told_apart() -> None:
    assert "laboratories" not in measure_fields(make_judged().pick([0]))


def test_cells_of_completely_boxed_fields_are_found_and_counted(bccd: Path) -> None:
    notes = ROOT / "tests" / "complete_val"
    found = score_folder(PRETRAINED, bccd / "JPEGImages", notes)
    assert found["RBC"]["ap50"] > 0.9
    assert found["WBC"]["ap50"] > 0.95
    assert found["RBC"]["counting_accuracy"] > 0.9


def test_cells_of_another_laboratory_are_found_and_counted(bccd: Path) -> None:
    elsewhere = bccd.parent / "raabin"
    if not elsewhere.is_dir():
        pytest.skip(f"no fields of another laboratory at {elsewhere}")
    notes = elsewhere / "Annotations"
    stems = sorted(path.stem for path in notes.glob("*.xml"))[:40]
    found = score_folder(PRETRAINED, elsewhere / "JPEGImages", notes, stems)
    assert found["RBC"]["ap50"] > 0.9
    assert found["RBC"]["counting_accuracy"] > 0.85
