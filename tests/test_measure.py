"""What a report says of crops: groups, curves and counts that agree, a second model beside."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from hematovision.evaluation.measure import Answers, compare
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
