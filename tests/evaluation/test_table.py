"""The report's figures as a table on the screen."""

from __future__ import annotations

from typing import Any

from hematovision.evaluation.scores import HEADLINE
from hematovision.evaluation.table import format_laboratories, format_table


def make_metrics(**more: Any) -> dict[str, Any]:
    figures: dict[str, Any] = dict.fromkeys(HEADLINE, 0.5) | {"roc_auc": None}
    intervals: dict[str, Any] = {name: [0.4, 0.6] for name in HEADLINE} | {"ece": None}
    none = {"comparison": None, "types": None, "whole_fields": None, "laboratories": {"": {}}}
    return {**figures, "ci95": intervals, **none, **more}


def test_a_line_for_each_figure_and_each_label() -> None:
    row = {"ap50": 0.9, "ap50_95": None, "counted": 28, "annotated": 4, "fields": 6,
           "counting_accuracy": None, "boxed_completely": True, "found": False}  # fmt: skip
    lines = format_table(make_metrics(whole_fields={"labels": {"WBC": row}}))
    told = {line.split()[0]: line.split()[1:] for line in lines}
    assert told["accuracy"] == ["0.5000", "0.4000", "to", "0.6000"]
    assert told["roc_auc"][0] == "-" and told["ece"][1:] == ["too", "few", "examples"]
    assert told["WBC"][:4] == ["0.9000", "-", "28", "4"]
    assert "not found to speak of" in " ".join(told["WBC"])


def test_laboratories_are_told_apart_where_there_are_several() -> None:
    row = {"rbc_balanced_accuracy": 0.9, "cells_uncertain": None}
    fields = {"laboratories": {"a": {"labels": {"RBC": {"boxed_completely": True, "ap50": 0.8,
                                                       "counting_accuracy": 0.7}}}}}  # fmt: skip
    metrics = make_metrics(laboratories={"a": row, "b": row}, whole_fields=fields)
    head, first, second = format_laboratories(metrics)
    assert head.startswith("laboratory")
    assert first.split() == ["a", "0.9000", "-", "0.8000", "0.7000"]
    assert second.split() == ["b", "0.9000", "-", "-", "-"]
    assert format_laboratories(make_metrics()) == []
