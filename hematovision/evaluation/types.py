"""What a report says of types of white cells: confusion, recall, the differential, the immature.

A crop takes part where its type was annotated. Its answer is a type, "untyped" where the model
says a white cell and no type, or "no white cell".
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from hematovision.archive.contents import Split
from hematovision.cells.taxonomy import IMMATURE, find_parent
from hematovision.networks.differential import wilson

UNTYPED, NO_WHITE_CELL = "untyped", "no white cell"


def measure_types(
    y: np.ndarray, predicted: np.ndarray, classes: Sequence[str], split: Split
) -> dict[str, Any] | None:
    """The figures of the crops whose type was annotated; None where there is none.

    `y`, `predicted` (n,): index of the annotated class and of the class given.
    """
    parent = [find_parent(name, classes) for name in classes]
    types = [name for name, above in zip(classes, parent, strict=True) if above is not None]
    is_type = np.array([name in types for name in classes])
    chosen = np.flatnonzero(is_type[y]) if len(y) else np.empty(0, int)
    if len(chosen) == 0:
        return None
    answers = [*types, UNTYPED, NO_WHITE_CELL]
    column = [
        answers.index(name if name in types else UNTYPED if name in parent else NO_WHITE_CELL)
        for name in classes
    ]
    truth = np.array([answers.index(classes[k]) for k in y[chosen]])
    given = np.array(column)[predicted[chosen]]
    labs = split.lab[chosen]
    matrix = np.zeros((len(types), len(answers)), int)
    np.add.at(matrix, (truth, given), 1)
    return {
        "types": types,
        "answers": answers,
        "confusion_matrix": matrix.tolist(),
        **measure_recall(truth, given, types),
        "differential": compare_differentials(matrix, types),
        "immature": measure_immature(truth, given, answers),
        "laboratories": {
            lab: measure_recall(truth[labs == lab], given[labs == lab], types)
            for lab in np.unique(labs).tolist()
        },
    }


def measure_recall(truth: np.ndarray, given: np.ndarray, types: Sequence[str]) -> dict[str, Any]:
    """Recall of each type, their mean, and the share of white cells left without a type.

    `truth`, `given` (n,): index into the types; what is given may lie beyond: untyped, no white
    cell.
    """
    recall = {
        name: float((given[truth == k] == k).mean()) if (truth == k).any() else None
        for k, name in enumerate(types)
    }
    known = [value for value in recall.values() if value is not None]
    return {
        "crops": len(truth),
        "recall": recall,
        "balanced_accuracy": float(np.mean(known)),
        "untyped_share": float((given == len(types)).mean()),
    }


def compare_differentials(matrix: np.ndarray, types: Sequence[str]) -> dict[str, dict[str, Any]]:
    """The share of each type among the typed cells, as annotated and as found with its interval."""
    annotated, found = matrix.sum(axis=1), matrix[:, : len(types)].sum(axis=0)
    return {
        name: {
            "annotated": int(annotated[k]),
            "annotated_share": annotated[k] / annotated.sum(),
            "found": int(found[k]),
            "found_share": found[k] / found.sum() if found.sum() else None,
            "ci95": list(wilson(int(found[k]), int(found.sum()))),
        }
        for k, name in enumerate(types)
    }


def measure_immature(
    truth: np.ndarray, given: np.ndarray, answers: Sequence[str]
) -> dict[str, Any] | None:
    """How many of the cells that a technician must not miss are called so, any of them, and how
    many of the rest are not, with 95 % intervals; None where one of the two is absent."""
    among = np.array([name in IMMATURE for name in answers])
    immature, called = among[truth], among[given]
    if immature.all() or not immature.any():
        return None
    hits, rest = int((immature & called).sum()), int((~immature & ~called).sum())
    return {
        "cells": int(immature.sum()),
        "sensitivity": hits / immature.sum(),
        "sensitivity_ci95": list(wilson(hits, int(immature.sum()))),
        "specificity": rest / (~immature).sum(),
        "specificity_ci95": list(wilson(rest, int((~immature).sum()))),
    }
