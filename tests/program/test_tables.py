"""Tables: what a cell says is what a spreadsheet shows."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from hematovision.program.tables import csv_table, guard, write_csv


@pytest.mark.parametrize(
    "text", ["=1+1", "+a", "-x.png", "@SUM(A1)", "\tx", "\rx", "=", "-1+1", "+1e", '=cmd|"/c x"!A1']
)
def test_what_looks_like_a_formula_is_text(text: str, tmp_path: Path) -> None:
    write_csv(tmp_path / "a.csv", [{"image": text, "n": 1}])
    with open(tmp_path / "a.csv", newline="", encoding="utf-8") as file:
        (row,) = csv.DictReader(file)
    assert row == {"image": f"'{text}", "n": "1"}


@pytest.mark.parametrize(
    "value", ["", "a=b", "0.9876", "-0.25", "+3", "1e-5", -2, -0.5, True, None]
)
def test_numbers_and_plain_text_stay_what_they_are(value: object) -> None:
    assert guard(value) == value


def test_a_column_too_many_is_an_error_and_one_that_lacks_stays_empty(tmp_path: Path) -> None:
    with pytest.raises(KeyError), csv_table(tmp_path / "a.csv", ["a"]) as table:
        table.writerow({"b": 1})
    with csv_table(tmp_path / "a.csv", ["a", "b"]) as table:
        table.writerow({"b": 1})
    assert (tmp_path / "a.csv").read_text() == "a,b\n,1\n"
