"""The plan of a training: of a network, of a fold, in words."""

from __future__ import annotations

from pathlib import Path

import pytest

from hematovision.training.checkpoint import Checkpoint
from hematovision.training.plan import Plan, format_duration, say_row, tell_plan


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    folds = {"a.jpg": 1, "b.jpg": 0, "c.jpg": 1}
    return Plan(7, Checkpoint(tmp_path, {}, False), folds).of("crops", 4, 90, 1e-3)


def test_the_plan_of_a_fold_is_kept_under_a_name_of_its_own(plan: Plan) -> None:
    assert plan.list_folds() == [0, 1]
    fold = plan.of_fold(1, 60)
    assert (fold.phase, fold.shown, fold.folds) == ("crops_1", 60, {})
    assert (fold.seed, fold.epochs, fold.rate) == (plan.seed, plan.epochs, plan.rate)


def test_a_plan_is_told_in_words(plan: Plan) -> None:
    assert tell_plan(plan, "cells") == "3 times (for each fold, then on all) 4 passes over 90 cells"
    assert tell_plan(plan.of_fold(0, 1).of("fields", 1, 8, 1), "fields") == "1 pass over 8 fields"


def test_a_pass_says_how_long_the_rest_may_take(
    plan: Plan, capsys: pytest.CaptureFixture[str]
) -> None:
    say_row({"phase": "head", "epoch": 0, "val_accuracy": 0.5}, plan)
    say_row({"phase": "fine-tune", "epoch": 1, "loss": 0.25, "val_accuracy": 0.98}, plan, 100)
    say_row({"phase": "fine-tune", "epoch": 4, "loss": 0.2}, plan, 100)
    first, second, last = capsys.readouterr().err.splitlines()
    assert first == "crops: before the first pass, right on 50.0 % of held-out cells"
    assert "pass 1 of 4, right on 98.0 % of held-out cells, loss 0.2500" in second
    assert second.endswith("about 5 min to go") and "to go" not in last


def test_guesses_are_as_exact_as_they_may_be() -> None:
    told = [format_duration(seconds) for seconds in (3, 44, 100, 3000, 7200)]
    assert told == ["10 s", "40 s", "2 min", "50 min", "2.0 h"]
