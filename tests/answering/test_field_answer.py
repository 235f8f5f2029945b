"""A field's answer: what it counts, and its JSON there and back."""

from __future__ import annotations

import json

import numpy as np
import pytest
from conftest import EXAMPLES, PRETRAINED
from field_answers import ANSWER

from hematovision.answering.counting import FieldCounter, HowToCount
from hematovision.answering.field_answer import FieldAnswer


def test_its_json_leads_back_to_it() -> None:
    told = json.loads(json.dumps(ANSWER.describe()))
    assert FieldAnswer.read(told) == ANSWER
    assert [cell.get("type", "none asked") for cell in told["cells"]] == [
        "none asked", "none asked", "Neutrophil", None,
    ]  # fmt: skip
    assert told["cells"][1]["seen"] is True and "seen" not in told["cells"][0]


def test_counted_is_what_counts() -> None:
    assert ANSWER.counts == {"Platelets": 0, "RBC": 1, "WBC": 2}
    assert [cell.name for cell in ANSWER.list_counted()] == ["RBC", "Neutrophil", "WBC"]
    assert ANSWER.list_types() == ["Neutrophil", None]
    assert ANSWER.seen == 1


@pytest.fixture(scope="module")
def found() -> dict[str, FieldAnswer]:
    """The bundled field, by each rule for what the border cuts."""
    path, answers = EXAMPLES / "field.jpg", {}
    for border in ("all", "half", "whole"):
        counter = FieldCounter.load(PRETRAINED, HowToCount(border=border), 2)
        answers[border] = counter.count(path, counter.read(path)).answer
    return answers


def test_the_rule_for_the_border_says_what_of_the_sure_cells_counts(
    found: dict[str, FieldAnswer],
) -> None:
    """Every sure cell is listed whatever the rule; half: those at the left and the top count."""
    everything = found["all"]
    boxes = np.array([cell.box for cell in everything.cells])
    assert any(cell.cut for cell in everything.cells)
    assert all(cell.counted for cell in everything.cells)
    for rule, answer in found.items():
        assert [cell.box for cell in answer.cells] == [cell.box for cell in everything.cells]
        assert sum(answer.counts.values()) == sum(cell.counted for cell in answer.cells)
        if rule == "whole":
            assert all(cell.counted != cell.cut for cell in answer.cells)
    at_right = (boxes[:, 2] >= everything.width - 2) | (boxes[:, 3] >= everything.height - 2)
    assert [not cell.counted for cell in found["half"].cells] == at_right.tolist()
    counts = [sum(found[rule].counts.values()) for rule in ("whole", "half", "all")]
    assert counts == sorted(counts) and counts[0] < counts[2]
