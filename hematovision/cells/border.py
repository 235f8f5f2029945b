"""Border: which cells it cuts, and which of these a count takes.

Half of the cells that the border cuts belong to the field, as at the edges of a counting chamber:
those at two of its four sides are counted, those at the other two aren't.
"""

from __future__ import annotations

import numpy as np

from hematovision.cells.cells import touches

RULES = ("all", "half", "whole")
REACH = 2  # pixels from the border up to which a box touches it


def is_cut(box: np.ndarray, width: float, height: float) -> np.ndarray:
    """Whether the border of a field of `width` and `height` cuts the cells in boxes (n, 4)."""
    return np.asarray(touches(box, width, height, REACH).any(axis=1))


def belongs(box: np.ndarray, width: float, height: float, rule: str) -> np.ndarray:
    """Whether cells in boxes (n, 4) are counted by a rule: (n,) bool.

    `all`: every cell. `half`: whole ones, and those that touch the left or the top border but
    neither the right nor the bottom one. `whole`: whole ones alone.
    """
    if rule == "all":
        return np.ones(len(box), bool)
    if rule == "whole":
        return ~is_cut(box, width, height)
    return np.asarray((box[:, 2:] < np.array([width, height]) - REACH).all(axis=1))
