"""Rehearsal: some crops of every kind that a model has learnt, kept beside it for training that
goes on from it where these aren't shown (Rebuffi et al., 2017: iCaRL).

    kept = keep_crops(network.frozen, examples, before, seed)
    write_rehearsal(folder, kept)
    shown = read_rehearsal(folder)          # None, where a model has none

Not pictures are kept but what the frozen blocks of the network see of them, 5 KB each.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from hematovision.archive.schema import read_arrays
from hematovision.cells.taxonomy import list_members
from hematovision.networks.card import NAME
from hematovision.program.files import read_file, written_whole
from hematovision.training.crops.examples import Examples
from hematovision.training.views import draw_views

FILE = f"{NAME}_rehearsal.npz"
EACH = 24  # crops of each leaf
MOST_KEPT = 100_000  # crops in a file that is read


class Rehearsal(NamedTuple):
    """Crops as the frozen blocks see them."""

    maps: np.ndarray  # (n, h, w, c) float16
    label: np.ndarray  # (n,) text, the leaf that each shows

    def encode(self, leaves: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """Which crops (m,) show any of `leaves`, by index, and which of them: (m, leaves) bool."""
        labels, code = np.unique(self.label, return_inverse=True)
        members = list_members(labels.tolist(), leaves)[code]
        shown = np.flatnonzero(members.any(axis=1))
        return shown, members[shown]


def keep_crops(
    see: Callable[[np.ndarray], np.ndarray], examples: Examples, before: Rehearsal | None, seed: int
) -> Rehearsal | None:
    """EACH of every leaf, at random, in a view each: half of them, or all where there are no new
    ones, of what was kept `before` of crops of this size; None, where no crop is surely of one
    leaf. `see`: crops to maps.
    """
    train, members = examples.train, examples.members
    rng = np.random.default_rng([seed, 9])
    if before and before.maps.shape[1:] != see(train.X[:1]).shape[1:]:
        before = None
    maps, labels = [], []
    sure = members.sum(axis=1) == 1
    for k, leaf in enumerate(examples.leaves):
        new = rng.permutation(np.flatnonzero(sure & members[:, k]))
        old = rng.permutation(np.flatnonzero(before.label == leaf) if before else [])
        new = np.sort(new[: EACH - min(len(old), EACH // 2)])
        old = np.sort(old[: EACH - len(new)]).astype(int)
        maps += [see(views) for views in draw_views(train, new, [seed, 10, k])]
        maps += [before.maps[old]] if before and len(old) else []
        labels += [leaf] * (len(new) + len(old))
    return Rehearsal(np.concatenate(maps), np.array(labels)) if maps else None


def write_rehearsal(folder: Path, kept: Rehearsal | None) -> None:
    """Write FILE, whole or not at all; that of an earlier run goes."""
    if kept is None:
        (folder / FILE).unlink(missing_ok=True)
        return
    with written_whole(folder / FILE) as temporary, open(temporary, "wb") as file:
        np.savez_compressed(file, **kept._asdict())


def read_rehearsal(folder: Path) -> Rehearsal | None:
    """What is kept beside a model; None where nothing is. ValueError where it is damaged."""
    if not os.path.lexists(folder / FILE):
        return None
    arrays = read_arrays(io.BytesIO(read_file(folder / FILE, "rehearsal")))
    if arrays.keys() != set(Rehearsal._fields):
        raise ValueError(f"{FILE} holds other arrays than maps and their labels")
    maps, label = arrays["maps"], arrays["label"]
    if maps.ndim != 4 or maps.dtype != np.float16 or not 0 < len(maps) <= MOST_KEPT:
        raise ValueError(f"{FILE} holds no maps")
    if label.shape != (len(maps),) or label.dtype.kind != "U" or not np.isfinite(maps).all():
        raise ValueError(f"{FILE} doesn't tell what its maps show")
    return Rehearsal(maps, label)
