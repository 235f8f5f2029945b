"""The tree of labels: which label is a kind of which, as data.

A neutrophil is a white cell. A box that says "WBC" therefore says "one of its types", and an answer
that is sure of the white cell and of no type says "WBC". A label that isn't in the table is a root
of its own, so that any other labels work as they are.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

# Label -> what it is a kind of. Labels are compared regardless of case.
PARENT = {
    "Neutrophil": "WBC",
    "Lymphocyte": "WBC",
    "Monocyte": "WBC",
    "Eosinophil": "WBC",
    "Basophil": "WBC",
    "Immature white cell": "WBC",
    "Immature granulocyte": "Immature white cell",
    "Blast": "Immature white cell",
    "Erythroblast": "WBC",
    "Sickle cell": "RBC",
    "Target cell": "RBC",
    "Elliptocyte": "RBC",
    "Ovalocyte": "RBC",
    "Burr cell": "RBC",
    "Acanthocyte": "RBC",
    "Teardrop cell": "RBC",
    "Spherocyte": "RBC",
    "Stomatocyte": "RBC",
    "Schistocyte": "RBC",
    "Reticulocyte": "RBC",
    "Polychromatic cell": "RBC",
    "Macrocyte": "RBC",
    "Microcyte": "RBC",
    "Hypochromic cell": "RBC",
    "Bite cell": "RBC",
    "Knizocyte": "RBC",
    "Infected red cell": "RBC",
}
# A white cell is of one of the types; most red cells are of none of these kinds: who says "RBC"
# where others say "Sickle cell" means a plain one.
PLAIN = ("RBC",)
# Nucleated red cells, which are found as white ones are and counted apart from them.
NUCLEATED_RED = "Erythroblast"
# What a technician must not miss: cells that belong into the marrow.
IMMATURE = ("Immature white cell", "Immature granulocyte", "Blast", NUCLEATED_RED)
_PARENT = {label.casefold(): parent for label, parent in PARENT.items()}


def lineage(label: str) -> Iterator[str]:
    """The label itself, then what it is a kind of, up to the root."""
    yield label
    while (above := _PARENT.get(label.casefold())) is not None:
        yield (label := above)


def is_a(label: str, ancestor: str) -> bool:
    """Whether `label` is `ancestor` or a kind of it."""
    return ancestor.casefold() in (name.casefold() for name in lineage(label))


def find_parent(label: str, labels: Sequence[str]) -> str | None:
    """The nearest of `labels` that `label` is a kind of, or None."""
    by_name = {name.casefold(): name for name in labels}
    above = list(lineage(label))[1:]
    return next((by_name[n.casefold()] for n in above if n.casefold() in by_name), None)


def find_leaves(labels: Sequence[str]) -> list[str]:
    """The labels that none of the others is a kind of, or that are of no kind themselves, in their
    order."""
    parents = {find_parent(label, labels) for label in labels}
    return [label for label in labels if label not in parents or label in PLAIN]


def list_members(labels: Sequence[str], leaves: Sequence[str]) -> np.ndarray:
    """Which leaves each label that was annotated may stand for: (labels, leaves) bool.

    "WBC" stands for all its types, "RBC" and any leaf for itself.
    """
    rows = [
        [
            leaf == label if label in PLAIN and label in leaves else is_a(leaf, label)
            for leaf in leaves
        ]
        for label in labels
    ]
    return np.array(rows, bool).reshape(len(labels), len(leaves))


def sum_leaves(classes: Sequence[str], leaves: Sequence[str]) -> np.ndarray:
    """Of which leaves each class is the sum, its own kinds among them: (classes, leaves) bool."""
    rows = [[is_a(leaf, name) for leaf in leaves] for name in classes]
    return np.array(rows, bool).reshape(len(classes), len(leaves))


def lift(predicted: np.ndarray, annotated: np.ndarray, labels: Sequence[str]) -> np.ndarray:
    """Predicted codes (n,) at the level of detail that was annotated: where "Neutrophil" was
    answered and "WBC" annotated, that is "WBC"."""
    kinds = sum_leaves(labels, labels)  # [a, b]: b is a kind of a, or a itself
    return np.where(kinds[annotated, predicted], annotated, predicted)


def lift_probabilities(
    proba: np.ndarray, annotated: np.ndarray, labels: Sequence[str]
) -> np.ndarray:
    """Probabilities (n, k) that sum to one for labels of which some are kinds of others.

    Where "WBC" is annotated its kinds' share is in its own already and theirs goes; elsewhere its
    own goes, which is theirs once more.
    """
    parents = {find_parent(label, labels) for label in labels}
    is_parent = np.array([label in parents for label in labels])
    if not is_parent.any():
        return proba
    kinds = sum_leaves(labels, labels)  # [a, b]: b is a kind of a, or a itself
    below = kinds & ~np.eye(len(labels), dtype=bool)
    kept = np.ones(proba.shape, bool)
    kept[below[annotated]] = False
    above = is_parent[None] & (np.arange(len(labels))[None] != annotated[:, None])
    kept &= ~above
    return np.where(kept, proba, 0).astype(proba.dtype)
