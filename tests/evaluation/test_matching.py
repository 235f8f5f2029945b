"""Matching: classes of an archive and of a model that weren't made for each other."""

from __future__ import annotations

import numpy as np
import pytest

from hematovision.evaluation.matching import match_classes, merge

FOUR = ["Background", "Platelets", "RBC", "WBC"]
TYPED = ["Background", "Lymphocyte", "Neutrophil", "Platelets", "RBC", "WBC"]


class Known:
    """A classifier of given classes that always gives the same probabilities."""

    threshold, kind_threshold = 0.3, 0.5

    def __init__(self, classes: list[str], proba: list[float]) -> None:
        self.classes, self.proba = classes, np.array([proba])
        self.card, self.image_size = {}, 64

    def predict_proba(self, crops: np.ndarray, workers: int = 2) -> tuple[np.ndarray, np.ndarray]:
        return self.proba, np.zeros(1)


@pytest.mark.parametrize(
    ("archive", "model", "classes", "of_archive"),
    [
        (FOUR, FOUR, FOUR, [0, 1, 2, 3]),
        (["RBC", "WBC"], FOUR, FOUR, [2, 3]),  # what the archive lacks is no error
        (["rbc", "White blood cells"], FOUR, FOUR, [2, 3]),
        (["Other", "RBC"], FOUR, ["Other", "RBC"], [0, 1]),
        (FOUR, ["Other", "RBC"], ["Other", "RBC"], [0, 0, 1, 0]),
        (["Neutrophil", "RBC"], FOUR, FOUR, [3, 2]),  # a neutrophil is a white cell
        (["Diatom", "RBC"], FOUR, FOUR, [-1, 2]),
    ],
)
def test_classes_meet_where_both_know_them(
    archive: list[str], model: list[str], classes: list[str], of_archive: list[int]
) -> None:
    match = match_classes(archive, model)
    assert (match.classes, match.of_archive) == (classes, of_archive)


def test_probabilities_of_merged_classes_are_sums() -> None:
    model = Known(FOUR, [0.1, 0.2, 0.3, 0.4])
    merged = merge(model, match_classes(["Other", "RBC"], FOUR))
    assert merged.classes == ["Other", "RBC"]
    assert merged.threshold is None
    proba, _ = merged.predict_proba(np.zeros((1, 64, 64, 3), np.uint8))
    assert proba[0] == pytest.approx([0.7, 0.3])
    assert merged.predict(proba).tolist() == [0]


def test_a_parent_that_is_a_sum_already_isnt_counted_twice() -> None:
    # WBC, 0.5, holds the 0.2 and 0.3 of its types.
    model = Known(TYPED, [0.1, 0.2, 0.3, 0.1, 0.3, 0.5])
    merged = merge(model, match_classes(["Other", "RBC"], TYPED))
    proba, _ = merged.predict_proba(np.zeros((1, 64, 64, 3), np.uint8))
    assert proba[0] == pytest.approx([0.7, 0.3])


@pytest.mark.parametrize(
    ("archive", "expected"),
    [
        (["Neutrophil", "RBC", "WBC"], ["Neutrophil", "WBC"]),
        (["Lymphocyte", "Neutrophil", "RBC", "WBC"], ["Neutrophil", "WBC"]),
        (["RBC", "WBC"], ["WBC", "WBC"]),
    ],
)
def test_white_cells_have_types_whatever_types_the_archive_knows(
    archive: list[str], expected: list[str]
) -> None:
    """A neutrophil; and a white cell, one of several types that the archive doesn't know apart."""
    model = Known(
        ["Basophil", "Eosinophil", "Lymphocyte", "Neutrophil", "RBC", "WBC"],
        [0.02, 0.03, 0.05, 0.8, 0.1, 0.9],
    )
    merged = merge(model, match_classes(archive, model.classes))
    for proba, name in (([0.02, 0.03, 0.05, 0.8, 0.1, 0.9], expected[0]),
                        ([0.4, 0.4, 0.05, 0.05, 0.1, 0.9], expected[1])):  # fmt: skip
        model.proba = np.array([proba])
        answer = merged.predict(merged.predict_proba(np.zeros((1, 64, 64, 3), np.uint8))[0])
        assert merged.classes[answer[0]] == name


def test_a_model_in_its_own_classes_is_itself() -> None:
    model = Known(FOUR, [0.1, 0.2, 0.3, 0.4])
    assert merge(model, match_classes(["RBC"], FOUR)) is model
