"""Types of white cells in a report, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from hematovision.archive.contents import Split
from hematovision.evaluation.types import measure_types

CLASSES = ["Erythroblast", "Lymphocyte", "Neutrophil", "RBC", "WBC"]


def split_of(y: np.ndarray, lab: np.ndarray) -> Split:
    n = len(y)
    empty = np.zeros((n, 2, 2, 3), np.uint8)
    label, box = np.array(CLASSES)[y], np.tile([0, 0, 9, 9], (n, 1))
    return Split(X=empty, y=y, label=label, source=np.repeat("a", n), box=box, lab=lab)


def test_types_by_hand() -> None:
    # Erythroblast, 2 lymphocytes, 3 neutrophils; a red cell and an untyped white one don't count.
    y = np.array([0, 1, 1, 2, 2, 2, 3, 4])
    predicted = np.array([0, 1, 0, 2, 4, 3, 3, 2])
    lab = np.array(["a", "a", "b", "a", "b", "b", "a", "a"])
    found = measure_types(y, predicted, CLASSES, split_of(y, lab))
    assert found is not None
    assert found["answers"] == [*CLASSES[:3], "untyped", "no white cell"]
    assert found["confusion_matrix"] == [[1, 0, 0, 0, 0], [1, 1, 0, 0, 0], [0, 0, 1, 1, 1]]
    assert found["recall"] == pytest.approx(
        {"Erythroblast": 1, "Lymphocyte": 0.5, "Neutrophil": 1 / 3}
    )
    assert found["balanced_accuracy"] == pytest.approx((1 + 0.5 + 1 / 3) / 3)
    assert found["untyped_share"] == pytest.approx(1 / 6)
    assert found["immature"]["sensitivity"] == 1
    assert found["immature"]["specificity"] == pytest.approx(4 / 5)
    row = found["differential"]["Neutrophil"]
    assert (row["annotated_share"], row["found_share"]) == (0.5, 0.25)
    assert row["ci95"][0] < 0.25 < row["ci95"][1]
    assert found["laboratories"]["b"]["recall"] == {
        "Erythroblast": None, "Lymphocyte": 0, "Neutrophil": 0,
    }  # fmt: skip


def test_without_annotated_types_there_is_nothing_to_say() -> None:
    y = np.array([3, 4])
    assert measure_types(y, y, CLASSES, split_of(y, np.array(["a", "a"]))) is None


def test_without_mature_cells_no_specificity_is_claimed() -> None:
    y = np.array([0, 0])
    found = measure_types(y, y, CLASSES, split_of(y, np.array(["a", "a"])))
    assert found is not None and found["immature"] is None
