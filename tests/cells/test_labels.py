"""Labels: one name for a kind of cell, however it was spelt; renames; class numbers."""

from __future__ import annotations

import pytest

from hematovision.cells.labels import (
    clean_label,
    find_name,
    is_rbc,
    parse_renames,
    tell_counts,
    tell_merges,
    unify_labels,
)
from hematovision.program.console import UserError


@pytest.mark.parametrize(
    "name, spellings",
    [
        ("RBC", "rbc, RBCs, R.B.C., Red Blood Cell, red_blood_cells, Red-Blood-Cell, ERYTHROCYTES, "
                "Érythrocyte, 红细胞, эритроциты"),
        ("WBC", "wbc, White Blood Cells, leukocyte, Leucocytes, 白细胞"),
        ("Platelets", "platelet, PLATELETS, Thrombocyte, plt, 血小板"),
        ("Neutrophil", "NEUTROPHIL, neutrophils, Segmented Neutrophil, band neutrophil, PMN"),
        ("Immature granulocyte", "IG, myelocyte, Metamyelocytes, promyelocyte"),
        ("Immature white cell", "immature WBC, Immature Leukocytes"),
        ("Blast", "Blasts, blast cell, leukaemic blasts, myeloblast"),
        ("Erythroblast", "nRBC, Nucleated Red Blood Cell, normoblast"),
    ],
)  # fmt: skip
def test_spellings_are_one_label(name: str, spellings: str) -> None:
    assert {find_name(way) for way in spellings.split(", ")} == {name}


@pytest.mark.parametrize("label", ["parasite", "malaria", "RBC?x", "", "cell", "other"])
def test_what_the_table_does_not_know_is_nothing_else(label: str) -> None:
    assert find_name(label) is None
    assert not is_rbc(label)


def test_a_nucleated_red_cell_is_no_red_cell() -> None:
    assert not is_rbc("nucleated RBC")
    assert is_rbc("red blood cells")


def test_unknown_labels_keep_their_most_frequent_spelling() -> None:
    counts = {"Smudge Cell": 3, "smudge cells": 9, "SMUDGE_CELL": 1, "rbc": 2}
    found = unify_labels(counts, {})
    assert found == {
        "Smudge Cell": "smudge cells",
        "smudge cells": "smudge cells",
        "SMUDGE_CELL": "smudge cells",
        "rbc": "RBC",
    }
    told = tell_merges(found, counts)
    assert told == [
        "label RBC: also spelt rbc (2)",
        "label smudge cells: also spelt Smudge Cell (3), SMUDGE_CELL (1)",
    ]


def test_the_order_of_labels_makes_no_difference() -> None:
    counts = {"Burr": 4, "burr": 4, "BURR": 4}
    backwards = dict(reversed(counts.items()))
    assert unify_labels(counts, {}) == unify_labels(backwards, {})


def test_renames_come_first_and_drop() -> None:
    renames = parse_renames("0=RBC, 1=white cell,debris=")
    found = unify_labels({"0": 5, "1": 2, "Debris": 1}, renames)
    assert found == {"0": "RBC", "1": "WBC", "Debris": None}


def test_an_exact_rename_wins_over_one_that_is_alike() -> None:
    found = unify_labels({"a": 1, "A": 1}, parse_renames("a=RBC"))
    assert found["a"] == "RBC" and found["A"] != "RBC"


@pytest.mark.parametrize(
    "counts, renames, said",
    [
        ({"0": 7, "1": 2}, "", "class numbers without names: 0 (7), 1 (2)"),
        ({"0": 7, "1": 2}, "0=RBC", "1=NAME"),
        ({"RBC": 3, "WBC": 1}, "platelet=", "labels found: RBC (3), WBC (1)"),
    ],
)
def test_what_cannot_be_named_is_asked_for(counts: dict, renames: str, said: str) -> None:
    with pytest.raises(UserError) as error:
        unify_labels(counts, parse_renames(renames))
    assert said in str(error.value)


@pytest.mark.parametrize("text", ["RBC", "=RBC", "a=" + "x" * 101])
def test_renames_that_are_none(text: str) -> None:
    with pytest.raises(UserError, match="--labels"):
        parse_renames(text)


def test_nothing_to_rename() -> None:
    assert parse_renames(None) == parse_renames(" , ") == {}


def test_a_label_is_shown_without_what_a_terminal_would_obey() -> None:
    assert clean_label("  RBC\n\x1b[2J\u202e  old ") == "RBC [2J old"


def test_counts_are_told_most_frequent_first_and_not_without_end() -> None:
    assert tell_counts({"b": 1, "a": 1, "c": 9}) == "c (9), a (1), b (1)"
    assert tell_counts({str(i): 1 for i in range(25)}).endswith("and 5 more")
    assert tell_counts({}) == "none"
