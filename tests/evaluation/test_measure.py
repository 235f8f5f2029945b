"""What a report says of crops: groups, curves and counts that agree, a second model beside."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from hematovision.archive.contents import Split
from hematovision.evaluation.comparing import compare
from hematovision.evaluation.measure import Answers, at_detail, measure, measure_laboratories
from hematovision.evaluation.scores import Bootstrap


def test_comparison_of_two_models_by_hand() -> None:
    y = np.tile([0, 1], 20)
    source = np.repeat([f"field{i}" for i in range(10)], 4)

    def answer(wrong: list[int]) -> Answers:
        predicted = y.copy()
        predicted[wrong] = 1 - predicted[wrong]
        return Answers(np.eye(2)[predicted], predicted, np.zeros(40, bool))

    found = compare(y, answer([0, 1, 2]), answer([0]), source, Bootstrap(200, 42))
    assert found["accuracy"] == pytest.approx(39 / 40)
    assert found["difference"]["accuracy"] == pytest.approx(2 / 40)
    low, high = found["difference_ci95"]["accuracy"]
    assert 0 <= low < 2 / 40 < high
    assert found["mcnemar"] == {"only_first_right": 0, "only_second_right": 2, "p": 0.5}


def two_laboratories() -> tuple[np.ndarray, Answers, list[str], Split]:
    """Six crops of "here", four of "there"; there one red cell of two is taken for a white one,
    and one of two pictures of the ground is called uncertain."""
    classes = ["Background", "RBC", "WBC"]
    y = np.array([1, 1, 1, 1, 2, 2, 1, 1, 0, 0])
    predicted = np.array([1, 1, 1, 1, 2, 2, 2, 1, 0, 0])
    uncertain = np.array([1, 0, 0, 0, 0, 0, 0, 0, 1, 0], bool)
    split = Split(
        X=np.zeros((10, 2, 2, 3), np.uint8),
        y=y,
        label=np.array(classes)[y],
        source=np.repeat(["a", "b", "c", "d", "e"], 2),
        box=np.tile([0, 0, 9, 9], (10, 1)),
        lab=np.array(["here"] * 6 + ["there"] * 4),
    )
    return y, Answers(np.eye(3)[predicted], predicted, uncertain), classes, split


def test_laboratories_by_hand() -> None:
    y, answers, classes, split = two_laboratories()
    found = measure_laboratories(y, answers.predicted, answers.uncertain, classes, split)
    assert list(found) == ["here", "there"]
    assert found["here"] == {
        "crops": 6,
        "fields": 3,
        "accuracy": 1,
        "balanced_accuracy": 1,
        "rbc_balanced_accuracy": 1,
        "cells_uncertain": pytest.approx(1 / 6),
        "no_cell_uncertain": None,
    }
    there = found["there"]
    assert there["accuracy"] == there["balanced_accuracy"] == 0.75  # RBC 1/2, Background 1
    assert there["rbc_balanced_accuracy"] == 0.75
    assert (there["cells_uncertain"], there["no_cell_uncertain"]) == (0, 0.5)


def test_a_whole_report_has_its_laboratories_as_groups_and_counts_only_cells_as_uncertain() -> None:
    y, answers, classes, split = two_laboratories()
    metrics = measure(y, answers, classes, split, Bootstrap(0, 42))
    groups = {row["name"]: row["right"] for row in metrics["accuracy_by"]["laboratory"]}
    assert groups == {"here": 6, "there": 3}
    assert metrics["uncertain_share"] == pytest.approx(1 / 8)
    alone = measure(
        y, answers, classes, split._replace(lab=np.repeat("here", 10)), Bootstrap(0, 42)
    )
    assert "laboratory" not in alone["accuracy_by"]


def test_answers_are_judged_at_the_detail_that_was_annotated() -> None:
    classes = ["Neutrophil", "RBC", "WBC"]
    proba = np.array([[0.9, 0.1, 0.9], [0.9, 0.1, 0.9], [0.1, 0.9, 0.1]], np.float32)
    answers = Answers(proba, np.array([0, 0, 1]), np.zeros(3, bool))
    found = at_detail(answers, np.array([2, 0, 2]), classes)
    assert found.predicted.tolist() == [2, 0, 1]
    assert np.allclose(found.proba.sum(axis=1), 1)
    assert found.proba[0].tolist() == pytest.approx([0, 0.1, 0.9])


def test_metrics_hold_the_numbers_behind_the_pictures(report: Path) -> None:
    metrics = json.loads((report / "metrics.json").read_text())
    n = metrics["crops"]
    for kind in ("class", "annotated label", "cell size"):
        assert sum(row["crops"] for row in metrics["accuracy_by"][kind]) == n
    assert sum(f["crops"] for f in metrics["accuracy_by_field"]["fields"].values()) == n
    assert sum(b["crops"] for b in metrics["reliability"]) == n
    assert sum(sum(c) for c in metrics["score_histograms"]["RBC"].values()) == n
    for curve in (metrics["curves"][kind]["RBC"] for kind in ("roc", "pr")):
        assert len(curve["height"]) == len(metrics["curves"]["at"])
        low, height, high = (np.array(curve[k]) for k in ("low", "height", "high"))
        assert (low <= high).all()
        assert ((low <= height + 1e-6) & (height <= high + 1e-6)).mean() > 0.9
    assert [row["epoch"] for row in metrics["history"]] == [0, 1]
    assert metrics["split"]["fields"]["test"] == metrics["fields"]


def test_a_model_doesnt_differ_from_itself(report: Path) -> None:
    other = json.loads((report / "metrics.json").read_text())["comparison"]
    assert set(other["difference"].values()) == {0}
    assert other["mcnemar"] == {"only_first_right": 0, "only_second_right": 0, "p": 1}
    assert "Beside a second model" in (report / "report.html").read_text()
