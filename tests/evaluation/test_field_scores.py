"""How well the bundled detector finds and counts cells of fields it has not learnt from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from benchmarks.fields import score_folder
from conftest import ROOT

from hematovision.cells.cells import Cells
from hematovision.evaluation.field_scores import FieldAnswers, measure_fields
from hematovision.networks.card import PRETRAINED


def make_answers() -> FieldAnswers:
    """Three fields of two laboratories, of which "b" lacks boxes in its second."""
    box = np.array([[0, 0, 40, 40], [60, 0, 100, 40], [0, 60, 40, 100.0]])
    truth = Cells(box, np.array([0, 0, 1]), np.ones(3))
    fewer = truth.pick(np.array([1, 2]))
    every = [truth, truth, fewer]
    found = [truth._replace(probability=np.array([0.9, 0.8, 0.7])) for _ in every]
    complete = [np.array(c) for c in ([True, True], [True, False], [False, False])]
    return FieldAnswers(
        ["x", "y", "z"], every, found, found, ["a", "b", "b"], complete, ["RBC", "WBC"]
    )


def test_figures_of_a_laboratory_are_those_of_its_completely_boxed_fields() -> None:
    metrics = measure_fields(make_answers())
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
    nowhere = [np.zeros(2, bool)] * 3
    red = measure_fields(make_answers()._replace(complete=nowhere))["labels"]["RBC"]
    assert (red["fields"], red["annotated"], red["boxed_completely"]) == (3, 5, False)
    assert red["counting_accuracy"] == pytest.approx(0.8)


def test_a_label_that_is_not_annotated_has_no_average_precision() -> None:
    answers = make_answers()
    red = [cells.pick(cells.label == 0) for cells in answers.truth]
    figures = measure_fields(answers._replace(truth=red))["laboratories"]["a"]["labels"]["WBC"]
    assert figures["ap50"] is None and figures["counting_accuracy"] is None


def test_one_laboratory_is_not_told_apart() -> None:
    assert "laboratories" not in measure_fields(make_answers().pick([0]))


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
