"""Shrinkage: what was known before and what few examples say, weighed against each other.

A threshold moves from the known one towards the one that fits best here by n / (n + so many) of the
way; the weights of a network stop at a share of the way that training took them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

# Examples that move a threshold half of the way from the known one to the one that fits best.
HALF_WAY = 50
# Share of the way from the weights known before to those fitted here (Wortsman et al., 2022:
# WiSE-FT). What was known at home survives between the two, and what was learnt here largely does.
SHARE = 0.7


def shrink(found: Any, known: Any, examples: Any, half_way: float = HALF_WAY) -> Any:
    """Between `known` and `found`, the nearer to the latter the more examples; numbers or (k,)."""
    weight = np.asarray(examples) / (np.asarray(examples) + half_way)
    return known + (np.asarray(found) - known) * weight


def read_values(variables: Sequence[Any]) -> list[np.ndarray]:
    """The values of Keras variables, to return to."""
    return [np.array(v) for v in variables]


def restore(variables: Sequence[Any], values: Sequence[np.ndarray]) -> None:
    """Set variables to values of before."""
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)


def average_weights(
    variables: Sequence[Any], before: Sequence[np.ndarray], share: float = SHARE
) -> None:
    """Set variables to `share` of the way from values of before to what they are, in half
    precision."""
    for variable, value in zip(variables, before, strict=True):
        mixed = value + share * (np.array(variable) - value)
        variable.assign(mixed.astype(np.float16).astype(np.float32))
