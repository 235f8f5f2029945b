"""Red cells without a box: believed only as far as the model before counted."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from drawing import RED, make_training_field

from hematovision.training.fields.fields import TrainingField
from hematovision.training.fields.unboxed import doubt_finds


def find(red: int, counted: int, lab: str = "") -> TrainingField:
    """A field of ten boxed red cells in which so many more are found now, and so many were counted
    by the model before."""
    box = np.tile([0, 0, 9, 9.0], (10 + red, 1))
    return replace(
        make_training_field(), box=box, label=np.ones(10 + red, int), annotated=10, lab=lab,
        counted=counted, dismissed=np.ones((1, 4)),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("found", "counted", "kept"),
    [
        (2, 10, True),  # a fifth more
        (3, 10, False),
        (20, 28, True),  # boxes that the model before misses too: BCCD's
        (20, 12, False),
        (20, 0, True),  # from ImageNet's weights nothing is known of them
    ],
)
def test_finds_that_raise_the_count_too_far_are_not_believed(
    found: int, counted: int, kept: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    fields = [find(found, counted), find(found, counted)]
    for before, after in zip(fields, doubt_finds(fields, RED), strict=True):
        assert len(after.box) == len(after.label) == (10 + found if kept else 10)
        assert len(after.dismissed) == (len(before.dismissed) if kept else 0)
    assert ("not believed" in capsys.readouterr().err) != kept


def test_each_laboratory_is_judged_by_itself(capsys: pytest.CaptureFixture[str]) -> None:
    one, other = doubt_finds([find(20, 30, "bccd"), find(20, 10, "mine")], RED)
    assert (len(one.box), len(other.box)) == (30, 10)
    assert capsys.readouterr().err.startswith("warning: mine: ")
