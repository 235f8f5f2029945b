"""Splits of an archive for tests of training."""

from __future__ import annotations

import numpy as np

from hematovision.archive.contents import Split
from hematovision.training.crops.examples import Examples, encode_annotated, find_unshown


def make_split(label: list[str], lab: list[str] | None = None, size: int = 32) -> Split:
    """A split of noise with these labels, all of one laboratory unless said otherwise."""
    count = len(label)
    X = np.random.default_rng(0).integers(0, 256, (count, size, size, 3)).astype(np.uint8)
    box = np.tile([0, 0, size, size], (count, 1))
    labs = np.array([""] * count if lab is None else lab)
    return Split(X, np.zeros(count, int), np.array(label), np.full(count, "f.png"), box, labs)


def make_examples(split: Split, members: np.ndarray | None = None) -> Examples:
    """A split to learn from and to be judged by; `members`: of the labels, unless given."""
    leaves, of_labels, _ = encode_annotated(split, split)
    members = of_labels if members is None else members
    unshown, classes = find_unshown(members), ["Other", "RBC"]
    return Examples(leaves, split, members, unshown, len(split.y), split, members, classes, "")
