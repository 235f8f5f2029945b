"""The course of the network for crops: how long is learnt from how many crops."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from hematovision.training.checkpoint import Checkpoint
from hematovision.training.crops.course import EPOCHS, KNOWN_RATE, RATE, plan_crops
from hematovision.training.crops.epoch import BATCH, STRANGERS
from hematovision.training.plan import Plan

MODEL: Any = SimpleNamespace()


@pytest.fixture
def common(tmp_path: Path) -> Plan:
    return Plan(7, Checkpoint(tmp_path, {}, False), {})


def test_from_imagenet_each_crop_is_shown_once_in_an_epoch(common: Plan) -> None:
    plan = plan_crops(None, 500, None, common)
    assert (plan.epochs, plan.shown, plan.rate) == (EPOCHS, 500, RATE)
    assert plan_crops(0, 500, None, common).epochs == 0


def test_few_crops_are_shown_again_to_a_model_that_is_gone_on_from(common: Plan) -> None:
    few, many = (plan_crops(None, count, MODEL, common) for count in (40, 100_000))
    assert few.epochs == many.epochs == 1
    assert few.shown % 40 == 0 and few.shown * (1 + STRANGERS) >= 59 * BATCH
    assert many.shown == 100_000
    assert KNOWN_RATE <= few.rate < many.rate < RATE
    assert plan_crops(3, 40, MODEL, common).shown == 40
