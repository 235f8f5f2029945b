"""Reliance: whether a network's counts of a label may be relied on, by how it counted elsewhere."""

from __future__ import annotations

# F1 below which a label isn't found to speak of, where so many cells were annotated or counted that
# this can be told.
LEAST_F1, TELLING = 0.5, 8


def is_found(annotated: float, counted: float, both: float) -> bool:
    """Whether cells are found to speak of: so many were annotated, so many counted, and so many are
    both (IoU 0.5). Of too few cells, or none annotated, nothing is said against it."""
    together = annotated + counted
    return not annotated or together < TELLING or 2 * both >= LEAST_F1 * together
