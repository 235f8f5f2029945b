"""The course of the network for fields: how long is learnt from how many fields."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from hematovision.training.checkpoint import Checkpoint
from hematovision.training.fields.course import (
    EPOCH_STEPS,
    EPOCHS,
    KNOWN_EPOCHS,
    KNOWN_RATE,
    KNOWN_STEPS,
    RATE,
    plan_fields,
)
from hematovision.training.fields.fit import BATCH
from hematovision.training.plan import Plan

FINDS: Any = SimpleNamespace(fields={"heat": ()})
FINDS_NOTHING: Any = SimpleNamespace(fields={})


@pytest.fixture
def common(tmp_path: Path) -> Plan:
    return Plan(7, Checkpoint(tmp_path, {}, False), {})


def test_a_model_that_finds_nothing_is_no_start_for_fields(common: Plan) -> None:
    for model in (None, FINDS_NOTHING):
        plan = plan_fields(None, 30, model, common)
        assert (plan.epochs, plan.shown, plan.rate) == (EPOCHS, 30, RATE)


def test_few_fields_are_shown_until_there_are_steps_enough(common: Plan) -> None:
    few, many = (plan_fields(None, count, FINDS, common) for count in (5, 4000))
    steps = few.epochs * -(-few.shown // BATCH)
    assert few.shown == EPOCH_STEPS * BATCH and steps >= KNOWN_STEPS
    assert (many.epochs, many.shown) == (KNOWN_EPOCHS, 4000)
    assert few.rate == KNOWN_RATE
    assert plan_fields(1, 5, FINDS, common).shown == 5
