"""What predict.py --field prints."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from field_answers import ANSWER

from hematovision.answering.count_table import AnswerPrinter, CountTable

LABELS = ["Platelets", "RBC", "WBC"]
COUNTER: Any = SimpleNamespace(types=["Erythroblast", "Neutrophil"], confirmed={})


def printed(capsys: pytest.CaptureFixture[str], names: list[str], as_json: bool) -> list[str]:
    table = CountTable(LABELS, map(Path, names))
    printer = AnswerPrinter(as_json, table, COUNTER, kept=False)
    for name in names:
        printer.add(replace(ANSWER, image=name))
    printer.close()
    return capsys.readouterr().out.splitlines()


def test_rows_sums_and_what_was_seen_twice(capsys: pytest.CaptureFixture[str]) -> None:
    lines = printed(capsys, ["a.jpg", "b.jpg"], as_json=False)
    assert [line.split() for line in lines[:4]] == [
        ["field", *LABELS], ["a.jpg", "0", "1", "2"], ["b.jpg", "0", "1", "2"],
        ["all", "0", "2", "4"],
    ]  # fmt: skip
    assert lines[4] == "of 2 fields, 2 cells seen twice"
    assert lines[-1].endswith("of: a.jpg (1), b.jpg (1)")


def test_no_name_is_taken_for_a_command_of_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    lines = printed(capsys, ["\x1b[31mred\r.jpg", "two\nlines.jpg"], as_json=False)
    assert all(line.isprintable() for line in lines)
    assert any("two\\nlines.jpg" in line for line in lines)


def test_json_is_a_line_a_field(capsys: pytest.CaptureFixture[str]) -> None:
    lines = printed(capsys, ["a.jpg", "two\nlines.jpg"], as_json=True)
    assert [json.loads(line)["image"] for line in lines] == ["a.jpg", "two\nlines.jpg"]
