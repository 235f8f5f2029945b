"""Examples: the crops of an archive as the network is fitted on them, and what each may show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from hematovision.archive.contents import Archive, Split
from hematovision.cells.labels import is_rbc
from hematovision.cells.taxonomy import find_leaves, list_members

MOST_VALIDATED = 12_000


@dataclass(frozen=True)
class Examples:
    """Crops to learn from, crops to judge by."""

    leaves: list[str]
    train: Split  # of several workers, this one's
    members: np.ndarray  # (n, leaves) bool, which leaves each may show
    unshown: np.ndarray  # (leaves,) bool, which of them no training crop surely shows
    count: int  # training crops of all workers
    val: Split
    val_members: np.ndarray
    classes: list[str]  # what is answered, and
    task: str  # how the leaves make it up

    def select(self, train: np.ndarray, val: np.ndarray) -> Examples:
        """Only those crops of train and val where a mask (n,) is true."""
        return replace(
            self,
            train=self.train.pick(train),
            members=self.members[train],
            unshown=find_unshown(self.members[train]),
            count=int(train.sum()),
            val=self.val.pick(val),
            val_members=self.val_members[val],
        )

    def keep(self, own: np.ndarray) -> Examples:
        """Of the training crops only this worker's own, where a mask (n,) is true."""
        return replace(self, train=self.train.pick(own), members=self.members[own])


def pack_examples(archive: Archive, known: Sequence[str] = ()) -> Examples:
    """The crops of an archive, with the leaves `known` to a model beside those annotated.

    Of the validation crops no more than MOST_VALIDATED, at random: their answers are all held.
    """
    train, val = archive.splits["train"], archive.splits["val"]
    if len(val.y) > MOST_VALIDATED:
        chosen = np.random.default_rng(0).permutation(len(val.y))[:MOST_VALIDATED]
        val = val.pick(np.sort(chosen))
    leaves, members, val_members = encode_annotated(train, val, known)
    task = archive.metadata.task
    return Examples(
        leaves, train, members, find_unshown(members), len(train.y), val, val_members,
        archive.classes, task,
    )  # fmt: skip


def find_unshown(members: np.ndarray) -> np.ndarray:
    """Which leaves no crop surely shows, of crops that may show some of them, (n, leaves) bool."""
    return ~members[members.sum(axis=1) == 1].any(axis=0)


def encode_annotated(
    train: Split, val: Split, known: Sequence[str] = ()
) -> tuple[list[str], np.ndarray, np.ndarray]:
    """The leaves among all annotated labels, whatever the task, and those `known` before; and for
    both splits which of them each crop may show: (n, leaves) bool.

    "RBC or not" is easier to see for a network that knows what a white cell is. A label that
    training never saw, nor a kind of it, may be any that isn't red.
    """
    leaves = find_leaves(sorted({*np.unique(train.label).tolist(), *known}))
    others = [not is_rbc(leaf) for leaf in leaves]

    def encode(split: Split) -> np.ndarray:
        labels, code = np.unique(split.label, return_inverse=True)
        members = list_members(labels.tolist(), leaves)
        members[~members.any(axis=1)] = others
        return members[code]

    return leaves, encode(train), encode(val)
