"""The tree of labels: kinds, parents, leaves, whatever the labels and their order."""

from __future__ import annotations

import numpy as np
import pytest

from hematovision.cells.taxonomy import (
    IMMATURE,
    PARENT,
    find_leaves,
    find_parent,
    is_a,
    lift,
    lift_probabilities,
    lineage,
    list_members,
)

LABELS = ["Background", "Basophil", "Neutrophil", "RBC", "WBC"]


def test_every_line_of_the_table_ends_in_a_root() -> None:
    for label in PARENT:
        assert list(lineage(label))[-1] not in PARENT
    assert set(IMMATURE) <= PARENT.keys()


@pytest.mark.parametrize("label", ["Neutrophil", "neutrophil", "WBC", "wbc", "Erythroblast"])
def test_a_kind_of_white_cell_is_one(label: str) -> None:
    assert is_a(label, "WBC")
    assert not is_a(label, "RBC")


def test_a_white_cell_is_no_neutrophil_and_an_unknown_label_only_itself() -> None:
    assert not is_a("WBC", "Neutrophil")
    assert is_a("Trypanosome", "trypanosome")
    assert list(lineage("Trypanosome")) == ["Trypanosome"]


def test_a_blast_is_an_immature_white_cell_whether_or_not_that_is_a_label() -> None:
    assert find_parent("Blast", [*LABELS, "Blast"]) == "WBC"
    assert find_parent("Blast", [*LABELS, "Immature white cell"]) == "Immature white cell"
    assert is_a("Immature granulocyte", "Immature white cell")
    assert not is_a("Erythroblast", "Immature white cell")


def test_parents_and_leaves_are_among_the_labels_at_hand() -> None:
    assert find_parent("Neutrophil", LABELS) == "WBC"
    assert find_parent("Neutrophil", ["Neutrophil", "RBC"]) is None
    assert find_parent("WBC", LABELS) is None
    assert find_leaves(LABELS) == ["Background", "Basophil", "Neutrophil", "RBC"]
    assert find_leaves(["RBC", "WBC"]) == ["RBC", "WBC"]


def test_a_parent_may_be_any_of_its_kinds() -> None:
    members = list_members(["WBC", "Neutrophil", "RBC", "Monocyte"], find_leaves(LABELS))
    assert members.tolist() == [
        [False, True, True, False],
        [False, False, True, False],
        [False, False, False, True],
        [False, False, False, False],
    ]
    assert list_members([], LABELS).shape == (0, 5)


def test_answers_are_lifted_to_what_was_annotated() -> None:
    code = {name: i for i, name in enumerate(LABELS)}
    told = [("Neutrophil", "WBC"), ("WBC", "Neutrophil"), ("RBC", "WBC"), ("RBC", "RBC")]
    predicted, annotated = (np.array([code[pair[k]] for pair in told]) for k in (0, 1))
    expected = ["WBC", "WBC", "RBC", "RBC"]
    assert [LABELS[k] for k in lift(predicted, annotated, LABELS)] == expected


def test_probabilities_of_kinds_and_parents_sum_to_one() -> None:
    labels = ["Lymphocyte", "Neutrophil", "RBC", "WBC"]
    proba = np.array([[0.2, 0.5, 0.3, 0.7]] * 3)
    found = lift_probabilities(proba, np.array([1, 3, 2]), labels)
    assert found.tolist() == [[0.2, 0.5, 0.3, 0], [0, 0, 0.3, 0.7], [0.2, 0.5, 0.3, 0]]
    flat = np.array([[0.4, 0.6]])
    assert (lift_probabilities(flat, np.array([0]), ["RBC", "WBC"]) == flat).all()
