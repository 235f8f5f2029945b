"""What an epoch of crops is made of: views of crops drawn evenly, pictures of no cell, and some of
what a model was taught before; batch after batch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np

from hematovision.archive.contents import Split
from hematovision.program.console import run_ahead
from hematovision.training.crops.examples import Examples
from hematovision.training.crops.network import CropNetwork
from hematovision.training.crops.strangers import draw_strangers
from hematovision.training.crops.styles import Styles, collect_styles
from hematovision.training.views import draw_views

BATCH = 32
STRANGERS = 0.25  # pictures of no cell for each crop
REHEARSED = 0.25  # crops kept with a model that is gone on from, for each crop
PLAIN = 0.15  # share of the crops that are shown as they are
MOST_DRAWN = 8192  # crops whose activations are held at a time
HEAD_CROPS = 4096  # that the heads are fitted on, before anything is fine-tuned


def draw_crops(split: Split, count: int, rng: np.random.Generator) -> np.ndarray:
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


class Chunk(NamedTuple):
    """What is learnt from while the next is drawn; or a batch of it, rows of every array."""

    inputs: np.ndarray  # (n, h, w, c) float16, activations of the frozen blocks
    members: np.ndarray  # (n, leaves) float32, which leaves each may show, 0 or 1; -1: not asked
    strange: np.ndarray  # (n, 1) float32, 1 of a picture of no cell
    of_leaves: np.ndarray  # (n,) float32, how much each counts in the loss of the leaves
    of_novelty: np.ndarray  # (n,) float32, and in that of novelty

    def pick(self, rows: np.ndarray, weight: np.ndarray) -> Chunk:
        """Some of the rows (b,), by index, each counted `weight` (b,) times."""
        inputs, members, strange, of_leaves, of_novelty = (column[rows] for column in self)
        return Chunk(
            inputs.astype(np.float32), members, strange, of_leaves * weight, of_novelty * weight
        )


class Shares(NamedTuple):
    """The order in which one worker learns from a chunk: `rows` (steps, b), which of its rows in
    each step, and how much each counts, `weight` (steps, b): nothing, where it fills up."""

    rows: np.ndarray
    weight: np.ndarray


def share_out(count: int, size: int, seed: Sequence[int]) -> Shares:
    """A worker's share, `size` rows, of all batches: its `count` rows in random order.

    The last share is filled up with rows that count nothing, and what is in it counts the more: the
    mean over shares of equally many rows is the mean over the batch.
    """
    order = np.random.default_rng(seed).permutation(count)
    steps = -(-count // size)
    rows, weight = np.zeros((steps, size), int), np.zeros((steps, size), np.float32)
    for step in range(steps):
        mine = order[step * size : (step + 1) * size]
        rows[step] = mine[0]
        rows[step, : len(mine)] = mine
        weight[step, : len(mine)] = size / len(mine)
    return Shares(rows, weight)


def count_steps(count: int, kept: Kept | None) -> int:
    """Batches of an epoch that shows so many crops."""
    beside = int(count * STRANGERS) + (int(count * REHEARSED) if kept else 0)
    return -(-(count + beside) // BATCH)


def draw_batches(
    network: CropNetwork, examples: Examples, kept: Kept | None, shares: tuple[int, int],
    seed: Sequence[int],
) -> Iterator[Chunk]:  # fmt: skip
    """The batches of one epoch. `shares`: how many crops one worker shows in it, and its rows of
    each batch; all workers draw as many, each of its own."""
    count, rows = shares
    for number, chunk in enumerate(draw_epoch(network, examples, kept, count, seed)):
        for of_step, weight in zip(
            *share_out(len(chunk.inputs), rows, [*seed, number, 8]), strict=True
        ):
            yield chunk.pick(of_step, weight)


def draw_epoch(
    network: CropNetwork, examples: Examples, kept: Kept | None, count: int, seed: Sequence[int]
) -> Iterator[Chunk]:
    """What one epoch learns from, MOST_DRAWN of `count` crops at a time, so that memory doesn't
    grow with their number: drawn evenly, in new views, with strangers between them, and some of
    what is `kept`.

    While one chunk is learnt from, the next is drawn.
    """
    chosen = draw_crops(examples.train, count, np.random.default_rng([*seed, 0]))
    styles = collect_styles(examples.train, [*seed, 5])

    def draw(number: int) -> Chunk:
        some = chosen[number * MOST_DRAWN : (number + 1) * MOST_DRAWN]
        of_chunk = [*seed, *([number] if number else [])]
        drawn = draw_chunk(network, examples, styles, some, of_chunk)
        return drawn if kept is None else add_kept(drawn, kept, len(some), of_chunk)

    pool = ThreadPoolExecutor(1)
    try:
        yield from run_ahead(pool, draw, range(-(-count // MOST_DRAWN)), 1)
    finally:  # who is interrupted doesn't wait for what is being drawn
        pool.shutdown(wait=False, cancel_futures=True)


def draw_chunk(
    network: CropNetwork, examples: Examples, styles: Styles, chosen: np.ndarray,
    seed: Sequence[int],
) -> Chunk:  # fmt: skip
    """Activations of the chosen crops, in new views, and of strangers.

    The plain ground of a smear is no stranger: its noise and dust tell it from a blank page. What
    no crop shows isn't asked about: else some cells of four types would teach a model that no cell
    of theirs is of a fifth (Caccia et al., 2022).
    """
    split, members = examples.train, examples.members[chosen]
    count = int(len(chosen) * STRANGERS)
    plain = np.random.default_rng([*seed, 7]).random(len(chosen)) < PLAIN
    seen, start = [], 0
    for views in draw_views(split, chosen, [*seed, 1], styles.restyle):
        as_is = plain[start : start + len(views)]
        views[as_is] = split.X[chosen[start : start + len(views)][as_is]]
        seen.append(network.frozen(views))
        start += len(views)
    seen += [network.frozen(x) for x in draw_strangers(count, split.X, [*seed, 2])]
    is_strange = np.repeat(np.array([0, 1], np.float32), (len(chosen), count))
    asked = np.where(examples.unshown & ~members, -1, members)
    any_leaf = np.ones((count, members.shape[1]), bool)
    return Chunk(
        np.concatenate(seen),
        np.concatenate([asked, any_leaf]).astype(np.float32),
        is_strange[:, np.newaxis],
        1 - is_strange,
        np.ones(len(is_strange), np.float32),
    )


def add_kept(chunk: Chunk, kept: Kept, crops: int, seed: Sequence[int]) -> Chunk:
    """A chunk of so many crops with a share REHEARSED of those `kept` beside, each leaf as often as
    any other."""
    rng, count = np.random.default_rng([*seed, 3]), int(crops * REHEARSED)
    leaf = kept.members.argmax(axis=1)
    each = np.unique(leaf)
    rows = [rng.choice(np.flatnonzero(leaf == k)) for k in rng.permutation(np.resize(each, count))]
    beside = (
        kept.maps[rows],
        kept.members[rows].astype(np.float32),
        np.zeros((len(rows), 1), np.float32),
        np.ones(len(rows), np.float32),
        np.ones(len(rows), np.float32),
    )
    return Chunk(*(np.concatenate(pair) for pair in zip(chunk, beside, strict=True)))
