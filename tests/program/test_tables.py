"""Tables: what a cell says is what a spreadsheet shows."""

from __future__ import annotations

import codecs
import csv
from pathlib import Path

import pytest

from hematovision.program.tables import STYLES, csv_table, guard, round_to, write_csv


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


def test_utf_8_is_marked_where_a_spreadsheet_would_guess(tmp_path: Path) -> None:
    for name, marked in (("a.png", False), ("Präparat.png", True), ("血.png", True)):
        write_csv(tmp_path / "a.csv", [{"image": name}])
        data = (tmp_path / "a.csv").read_bytes()
        assert data.startswith(codecs.BOM_UTF8) == marked
        assert data.decode("utf-8-sig") == f"image\n{name}\n"


def test_excel_gets_semicolons_and_decimal_commas_in_numbers_alone(tmp_path: Path) -> None:
    rows = [{"image": "1.5;x", "p": round_to(0.98765, 4), "q": -0.5, "n": 3}]
    for style, wanted in (("plain", "1.5;x,0.9877,-0.5,3"), ("excel", '"1.5;x";0,9877;-0,5;3')):
        with csv_table(tmp_path / "a.csv", rows[0], STYLES[style]) as table:
            table.writerows(rows)
        text = (tmp_path / "a.csv").read_text("utf-8-sig")
        assert text.splitlines()[1] == wanted
    assert (tmp_path / "a.csv").read_bytes().startswith(codecs.BOM_UTF8)
