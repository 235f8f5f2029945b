"""Folds: how few fields are used for training and for testing both, each in its turn.

    list_folds(names, metadata.folds)  # -1 where the archive is split as usual

Too few fields to set some apart for good are dealt out to folds. For each fold a model is trained
on the others and answers for its fields; the model that is kept learns from all.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

FOLDS = 3  # each costs another training
MOST = 5  # different pictures that `auto` deals to folds rather than splits
FOLDER = "fold_"  # with its number, holds the model of a fold
LEAST = 3  # different pictures, below which nothing can be held out


def deal_folds(groups: Sequence[int], seed: int) -> list[int]:
    """The fold of each field, 0 up, as even as can be: fields of one group are in one fold."""
    names = np.unique(groups)
    order = np.random.default_rng([seed, 8]).permutation(len(names))
    fold = dict(zip(names[order].tolist(), (np.arange(len(names)) % FOLDS).tolist(), strict=True))
    return [fold[group] for group in groups]


def list_folds(names: np.ndarray, folds: dict[str, int]) -> np.ndarray:
    """The fold (n,) of each field name (n,); -1 where it has none."""
    return np.array([folds.get(name, -1) for name in names.tolist()], int)
