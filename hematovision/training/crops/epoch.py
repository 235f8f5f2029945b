"""What an epoch of crops is made of: views of crops drawn evenly, pictures of no cell, and some of
what a model was taught before."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np

from hematovision.archive.loading import Split
from hematovision.cells.cells import BACKGROUND
from hematovision.program.console import run_ahead
from hematovision.training.crops.network import CropNetwork
from hematovision.training.crops.strangers import draw_strangers
from hematovision.training.views import draw_views

STRANGERS = 0.25  # pictures of no cell for each crop
REHEARSED = 0.25  # crops kept with a model that is gone on from, for each crop
PLAIN = 0.15  # share of the crops that are shown as they are
MOST_DRAWN = 8192  # crops whose activations are held at a time


def draw_evenly(split: Split, count: int, rng: np.random.Generator) -> np.ndarray:
    """As many crops (count,) at random: each laboratory as often as any other, and in it a label
    by the square root of its frequency.

    That is between its frequency, which neglects the rare, and none, which lets few examples shout.
    """
    labs = np.unique(split.lab)
    chosen = []
    for lab, share in zip(labs, np.array_split(np.arange(count), len(labs)), strict=True):
        crops = np.flatnonzero(split.lab == lab)
        _, code, frequency = np.unique(split.label[crops], return_inverse=True, return_counts=True)
        weight = 1 / np.sqrt(frequency)[code]
        chosen.append(rng.choice(crops, len(share), p=weight / weight.sum()))
    return rng.permutation(np.concatenate(chosen))


class Kept(NamedTuple):
    """What a model that is gone on from was taught, as its frozen blocks see it."""

    maps: np.ndarray  # (n, h, w, c) float16
    members: np.ndarray  # (n, leaves) bool, which leaves each may show
    is_cell: np.ndarray  # (n,) float32, 0 for background


class Part(NamedTuple):
    """What is learnt from between two looks at the disk: `inputs` of the trainer, `targets` of both
    heads, and the `weights` of each in the loss of either."""

    inputs: np.ndarray
    targets: dict[str, np.ndarray]
    weights: dict[str, np.ndarray]


def draw_epoch(
    network: CropNetwork, split: Split, members: np.ndarray, count: int, seed: Sequence[int],
    kept: Kept | None = None,
) -> Iterator[Part]:  # fmt: skip
    """What one epoch learns from, MOST_DRAWN of `count` crops at a time, so that memory doesn't
    grow with their number: drawn evenly, in new views, with strangers between them, and some of
    what is `kept`.

    While one part is learnt from, the next is drawn.
    """
    chosen = draw_evenly(split, count, np.random.default_rng([*seed, 0]))

    def draw(number: int) -> Part:
        part = chosen[number * MOST_DRAWN : (number + 1) * MOST_DRAWN]
        of_part = [*seed, *([number] if number else [])]
        return draw_part(network, split, members, part, of_part, kept)

    pool = ThreadPoolExecutor(1)
    try:
        yield from run_ahead(pool, draw, range(-(-count // MOST_DRAWN)), 1)
    finally:  # who is interrupted doesn't wait for what is being drawn
        pool.shutdown(wait=False, cancel_futures=True)


def draw_part(
    network: CropNetwork,
    split: Split,
    members: np.ndarray,
    chosen: np.ndarray,
    seed: Sequence[int],
    kept: Kept | None = None,
) -> Part:
    """Activations of the chosen crops, in new views, of strangers, and some of those `kept`.

    Background is neither cell nor stranger: an empty ground differs from a blank page by its dust.
    """
    count = int(len(chosen) * STRANGERS)
    plain = np.random.default_rng([*seed, 7]).random(len(chosen)) < PLAIN
    parts, start = [], 0
    for views in draw_views(split, chosen, [*seed, 1]):
        as_is = plain[start : start + len(views)]
        views[as_is] = split.X[chosen[start : start + len(views)][as_is]]
        parts.append(network.frozen(views))
        start += len(views)
    parts += [network.frozen(x) for x in draw_strangers(count, split.X, [*seed, 2])]
    is_strange = np.repeat(np.float32([0, 1]), (len(chosen), count))
    is_cell = split.label[chosen] != BACKGROUND
    any_leaf = np.ones((count, members.shape[1]), bool)
    targets = {
        "logits": np.concatenate([members[chosen], any_leaf]).astype(np.float32),
        "novelty": is_strange[:, np.newaxis],
    }
    weights = {
        "logits": 1 - is_strange,
        "novelty": np.concatenate([is_cell, np.ones(count)]).astype(np.float32),
    }
    drawn = Part(np.concatenate(parts), targets, weights)
    return drawn if kept is None else add_kept(drawn, kept, int(len(chosen) * REHEARSED), seed)


def add_kept(part: Part, kept: Kept, count: int, seed: Sequence[int]) -> Part:
    """A part with as many of the crops `kept` beside, each leaf as often as any other."""
    rng = np.random.default_rng([*seed, 3])
    leaf = kept.members.argmax(axis=1)
    each = np.unique(leaf)
    rows = [rng.choice(np.flatnonzero(leaf == k)) for k in rng.permutation(np.resize(each, count))]
    members = kept.members[rows].astype(np.float32)
    plain = np.zeros((len(rows), 1), np.float32)
    return Part(
        np.concatenate([part.inputs, kept.maps[rows]]),
        {
            "logits": np.concatenate([part.targets["logits"], members]),
            "novelty": np.concatenate([part.targets["novelty"], plain]),
        },
        {
            "logits": np.concatenate([part.weights["logits"], 1 - plain[:, 0]]),
            "novelty": np.concatenate([part.weights["novelty"], kept.is_cell[rows]]),
        },
    )
