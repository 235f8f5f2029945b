"""The tables: a row a cell, a field, a type."""

from __future__ import annotations

from decimal import Decimal

from field_answers import ANSWER

from hematovision.answering.cell_tables import COLUMNS, Totals, add_up, list_rows, list_types
from hematovision.networks.differential import count_types


def test_a_row_of_a_cell_says_what_the_json_says() -> None:
    rows = list(list_rows(ANSWER))
    assert all(tuple(row) == COLUMNS for row in rows)
    assert rows[0] == {
        "image": "a.jpg", "label": "RBC", "probability": Decimal("0.9000"), "xmin": 0, "ymin": 4,
        "xmax": 30, "ymax": 40, "area_px": 30 * 36, "counted": True, "type": "", "cut": True,
        "look": False,
    }  # fmt: skip
    assert [row["type"] for row in rows] == ["", "", "Neutrophil", ""]


def test_totals_are_sums() -> None:
    totals = Totals()
    for _ in range(3):
        totals.add(ANSWER)
    assert add_up(totals.counts, totals.fields) == {
        "image": "all 3 fields", "Platelets": 0, "RBC": 3, "WBC": 6,
    }  # fmt: skip
    assert totals.named == {"Neutrophil": 3, None: 3}


def test_a_differential_has_intervals_once_it_is_checked() -> None:
    named = ["Neutrophil"] * 3 + ["Lymphocyte", None, "Erythroblast"]
    for confirmed in (0, 100):
        found = count_types(named, ["Lymphocyte", "Neutrophil"], {"Neutrophil": confirmed})
        rows = {row["type"]: row for row in list_types(found)}
        assert rows["Neutrophil"]["share"] == Decimal("0.7500")
        assert ("ci95_low" in rows["Neutrophil"]) == (confirmed == 100)
        assert rows["Neutrophil"]["confirmed"] == confirmed
        assert (rows["untyped"]["count"], rows["erythroblasts"]["count"]) == (1, 1)
