"""Validation of fields: how a network counts in fields that it hasn't learnt from, and whether it
may."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from drawing import LABELS, make_training_field

from hematovision.cells.cells import Cells
from hematovision.training.fields.known import tell_jumps
from hematovision.training.fields.validation import (
    is_fit,
    list_failures,
    score_held_out,
    tell_failures,
    tell_scores,
)


def score(annotated: int, counted: int, both: int) -> dict[str, float]:
    return {"fields": 6, "annotated": annotated, "counted": counted, "both": both}


def test_cells_are_counted_from_their_thresholds_up() -> None:
    field = replace(make_training_field(), complete=np.ones(3, bool))
    box = np.concatenate([field.box, field.box + 100])
    label = np.tile(field.label, 2)
    sure = np.where(np.arange(len(box)) < len(field.box), 0.9, 0.4)
    thresholds = dict(zip(LABELS, (0.5, 0.3, 0.95), strict=True))
    found = score_held_out([Cells(box, label, sure)], [field], thresholds)
    true = {name: int((field.label == k).sum()) for k, name in enumerate(LABELS)}
    assert [found[name]["annotated"] for name in LABELS] == [true[name] for name in LABELS]
    assert found["RBC"]["counted"] == 2 * true["RBC"] and found["RBC"]["both"] == true["RBC"]
    assert found["Platelets"]["counted"] == found["Platelets"]["both"] == true["Platelets"]
    assert found["WBC"]["counted"] == 0


@pytest.mark.parametrize(
    ("scores", "failed", "fit"),
    [
        ((score(66, 70, 60), score(90, 92, 85), score(30, 31, 29)), [], True),
        # Thirty fields from ImageNet's weights, as they were counted.
        ((score(12, 9, 2), score(90, 110, 75), score(4, 28, 0)), ["Platelets", "WBC"], False),
        ((score(12, 9, 2), score(90, 92, 85), score(30, 31, 29)), ["Platelets"], True),
        ((score(66, 70, 60), score(90, 20, 10), score(30, 31, 29)), ["RBC"], False),
        ((score(66, 70, 60), score(90, 92, 85), score(2, 1, 0)), [], True),  # too few to tell
        ((score(0, 40, 0), score(90, 92, 85), score(0, 0, 0)), [], True),  # none annotated
    ],
)
def test_a_network_that_fails_on_held_out_fields_may_not_count(
    scores: tuple[dict[str, float], ...], failed: list[str], fit: bool
) -> None:
    found = dict(zip(LABELS, scores, strict=True))
    assert (list_failures(found), is_fit(found)) == (failed, fit)
    assert [line.split(":")[0].split()[-1] for line in tell_failures(found)] == failed


def test_counts_are_told_of_what_was_annotated() -> None:
    told = tell_scores({"RBC": score(90, 92, 85), "WBC": score(0, 3, 0)})
    assert told == "RBC 92 for 90 annotated (85 in their place)"


def test_a_jump_of_the_counts_is_told() -> None:
    counts = {"RBC": (2292, 2951), "WBC": (60, 66), "Platelets": (3, 9), "Parasite": (40, 20)}
    more, fewer = tell_jumps(counts, 5)
    assert "2951 RBC" in more and "before it 2292" in more
    assert "20 Parasite" in fewer
