"""Copies: fields in which the same cells lie alike, turned, mirrored, zoomed, relit or recoloured.

    find_copies(fields)    # pairs of places i < j

Tools that make more of few pictures (Roboflow, Albumentations, Keras) move the boxes with the
picture, so the cells' centres stay what they were but for one turn, shift and zoom, whatever became
of the pixels. Each cell with three of its nearest neighbours is a shape that none of these changes
(geometric hashing: Lamdan and Wolfson, 1988); fields that share shapes are laid over each other,
and are copies where their cells then coincide. Fields of fewer cells are left to `twins`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from itertools import chain, combinations, islice
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from hematovision.cells.cells import sides, touches
from hematovision.datasets.field import Field
from hematovision.datasets.store import Store
from hematovision.pictures.frame import QUARTER

if TYPE_CHECKING:
    from scipy.spatial import cKDTree

LEAST = 6  # cells of a field
NEAREST = 4  # neighbours of a cell, of which any three make a shape with it
# How far shapes of one place may differ: logarithms of distances' ratios, and radians. Boxes are
# drawn in whole pixels.
NEAR = 0.05
# Boxes around what was turned are larger than around what stands upright: so much, as a logarithm.
LIKE_SIZE = 0.45
LEAST_VOTES = 2  # shapes that want one field laid over the other in the same way
# Cells coincide where their centres are as near as that, in parts of their side: the nearer, the
# better the way is known. So many of a field, such a share of all its cells and of those that the
# other's picture shows whole make it a copy.
REACHES = (0.4, 0.25, 0.15)
LEAST_SAME, LEAST_OF_ALL, LEAST_SHARE = 5, 0.1, 0.7
MOST_ZOOM = 2.0
BLOCK = 400  # fields whose shapes are held at a time, 11 KB each, twice


class Lie(NamedTuple):
    """How the cells of a field lie."""

    centre: np.ndarray  # (n,) complex: x + iy in pixels
    side: np.ndarray  # (n,) pixels
    label: np.ndarray  # (n,) numbers, the same for the same label in all fields
    whole: np.ndarray  # (n,) bool: the border doesn't cut it, so that its centre is its box's
    size: complex  # of the picture: width + i height


class Way(NamedTuple):
    """How a field is laid over another: x becomes scale * x + shift, of its mirror image or not."""

    scale: complex
    shift: complex
    mirrored: bool


class Shapes(NamedTuple):
    """Cells with three neighbours each, of some fields."""

    field: np.ndarray  # (m,) the field's place among all
    traits: np.ndarray  # (m, 4): ratios of distances, as logarithms, and angles, in radians
    label: np.ndarray  # (m,) of the four cells, as one number
    start: np.ndarray  # (m,) complex: the cell's centre
    arm: np.ndarray  # (m,) complex: from there to the farthest of its neighbours
    side: np.ndarray  # (m,) the cell's, in pixels
    mirrored: np.ndarray  # (m,) bool: its neighbours run the other way round


Trees = dict[int, "tuple[np.ndarray, cKDTree]"]  # of each kind of shapes their numbers and traits


class Block(NamedTuple):
    """Fields that are held in memory together."""

    lies: dict[int, Lie]  # by the field's place among all
    shapes: Shapes


def find_copies(fields: Sequence[Field]) -> list[tuple[int, int]]:
    """Pairs i < j of fields in which the same cells lie alike; of those that are the same file with
    the same boxes, the first stands for all.

    Block is held against block, so that memory doesn't grow with the fields; time does with their
    square.
    """
    store, found = Store(), set()
    blocks = [store.keep(block) for block in cut_blocks(describe(fields))]
    for n, kept in enumerate(blocks):
        one = kept.load()
        trees = grow_trees(one.shapes)
        for other in chain([one], (later.load() for later in blocks[n + 1 :])):
            alike = list_alike(trees, trees if other is one else grow_trees(other.shapes))
            for i, j, way in propose(one.shapes, other.shapes, alike):
                if (i, j) not in found and coincide(one.lies[i], other.lies[j], way):
                    found.add((i, j))
    return sorted(found)


def describe(fields: Sequence[Field]) -> Iterator[tuple[int, Lie]]:
    """The places of fields of LEAST cells or more, and how these lie."""
    number: dict[str, int] = {}
    known: set[bytes] = set()
    for place, field in enumerate(fields):
        if len(field.segments) < LEAST:
            continue
        labels, boxes = zip(*field.segments, strict=True)
        box = np.array(boxes, float)
        label = np.array([number.setdefault(k, len(number)) for k in labels], int)
        of_file = hashlib.sha256(field.digest.encode() + box.tobytes() + label.tobytes())
        if field.digest and of_file.digest() in known:
            continue
        known.add(of_file.digest())
        centre = (box[:, 0] + box[:, 2]) / 2 + 1j * (box[:, 1] + box[:, 3]) / 2
        height, width = field.free.shape
        size = complex(width, height) * QUARTER
        cut = touches(box, size.real, size.imag, QUARTER).any(axis=1)
        yield place, Lie(centre, np.maximum(sides(box), 1), label, np.logical_not(cut), size)


def cut_blocks(described: Iterator[tuple[int, Lie]]) -> Iterator[Block]:
    """BLOCK fields at a time, with their shapes."""
    while some := list(islice(described, BLOCK)):
        parts = [part for place, lie in some for part in shapes_of(place, lie)]
        shapes = Shapes(*(np.concatenate(column) for column in zip(*parts, strict=True)))
        yield Block(dict(some), shapes)


def shapes_of(place: int, lie: Lie) -> Iterator[Shapes]:
    """The shapes of one field: of each cell with any three of its nearest neighbours."""
    apart = np.abs(lie.centre[:, None] - lie.centre[None])
    order = np.argsort(apart, axis=1, kind="stable")[:, 1 : NEAREST + 1]
    for chosen in combinations(range(NEAREST), 3):
        near = order[:, chosen]  # (n, 3), the nearest first
        arm = lie.centre[near] - lie.centre[:, None]
        usable = np.abs(arm).min(axis=1) > 1e-6
        with np.errstate(divide="ignore", invalid="ignore"):
            turn = arm[:, :2] / arm[:, 2:]  # as complex numbers: neither size nor direction is left
            logs = np.log(turn)
        mirrored = logs[:, 0].imag < 0
        angles = np.where(mirrored[:, None], -logs.imag, logs.imag)
        kinds = np.column_stack([lie.label, lie.label[near]]) @ 1000 ** np.arange(4)
        yield Shapes(
            np.full(usable.sum(), place), np.column_stack([logs.real, angles])[usable],
            kinds[usable], lie.centre[usable], arm[usable, 2], lie.side[usable], mirrored[usable],
        )  # fmt: skip


def propose(one: Shapes, other: Shapes, alike: np.ndarray) -> Iterator[tuple[int, int, Way]]:
    """Pairs i < j of a field of one block and one of the `other`, or the same, that share two
    shapes or more of those `alike` (m, 2), and how the first would have to be laid over the
    second."""
    first, second = alike[one.field[alike[:, 0]] < other.field[alike[:, 1]]].T
    flip = one.mirrored[first] != other.mirrored[second]
    arm = np.where(flip, one.arm[first].conj(), one.arm[first])
    start = np.where(flip, one.start[first].conj(), one.start[first])
    scale = other.arm[second] / arm
    shift = other.start[second] - scale * start
    fit = np.abs(np.log(np.abs(scale) * one.side[first] / other.side[second])) < LIKE_SIZE
    # Ways that are nearly one are one: in steps of a fifth of a size, and of as many radians.
    step = np.log(scale[fit]) * 5
    key = np.column_stack([
        one.field[first[fit]], other.field[second[fit]], flip[fit],
        np.rint(step.real), np.rint(step.imag),
    ])  # fmt: skip
    _, place, votes = np.unique(key, axis=0, return_index=True, return_counts=True)
    for k in place[votes >= LEAST_VOTES].tolist():
        i, j, mirrored = (int(v) for v in key[k, :3])
        yield i, j, Way(complex(scale[fit][k]), complex(shift[fit][k]), bool(mirrored))


def grow_trees(shapes: Shapes) -> Trees:
    """Of each kind of shapes their numbers (m,), and their traits, to be searched."""
    from scipy.spatial import cKDTree

    order = np.argsort(shapes.label, kind="stable")
    cuts = np.flatnonzero(np.diff(shapes.label[order])) + 1
    kinds = [rows for rows in np.split(order, cuts) if len(rows)]
    return {int(shapes.label[rows[0]]): (rows, cKDTree(shapes.traits[rows])) for rows in kinds}


def list_alike(trees: Trees, others: Trees) -> np.ndarray:
    """Pairs (m, 2) of the numbers of shapes of one kind that look alike."""
    pairs = [np.zeros((0, 2), int)]
    for kind in trees.keys() & others.keys():
        (rows, tree), (of_others, other) = trees[kind], others[kind]
        near = tree.sparse_distance_matrix(other, NEAR, np.inf, output_type="ndarray")
        pairs.append(np.column_stack([rows[near["i"]], of_others[near["j"]]]))
    return np.concatenate(pairs)


def coincide(first: Lie, second: Lie, way: Way) -> bool:
    """Whether cells of two fields coincide where the first is laid over the second."""
    for reach in REACHES:
        pairs = pair_cells(first, second, way, reach)
        if len(pairs) < max(LEAST_SAME, LEAST_OF_ALL * min(len(first.side), len(second.side))):
            return False
        way = fit_way(first.centre[pairs[:, 0]], second.centre[pairs[:, 1]], way.mirrored)
    if abs(np.log(abs(way.scale))) > np.log(MOST_ZOOM):
        return False
    back = (second.centre - way.shift) / way.scale
    back = back.conj() if way.mirrored else back
    return all(
        len(pairs) >= LEAST_SHARE * (lie.whole & is_inside(centre, side, size)).sum()
        for lie, centre, side, size in (
            (first, move(first.centre, way), first.side * abs(way.scale), second.size),
            (second, back, second.side / abs(way.scale), first.size),
        )
    )


def move(centre: np.ndarray, way: Way) -> np.ndarray:
    """Points (n,) complex laid over another field."""
    return (centre.conj() if way.mirrored else centre) * way.scale + way.shift


def pair_cells(first: Lie, second: Lie, way: Way, reach: float) -> np.ndarray:
    """Cells (m, 2) of two fields that coincide within `reach` of their sides, each once."""
    side = first.side * abs(way.scale)
    apart = np.abs(move(first.centre, way)[:, None] - second.centre[None])
    like = np.abs(np.log(side[:, None] / second.side[None])) < LIKE_SIZE
    like &= first.label[:, None] == second.label[None]
    like &= first.whole[:, None] & second.whole[None]
    apart = np.where(like, apart / np.minimum(side[:, None], second.side[None]), np.inf)
    nearest = apart.argmin(axis=1)
    mine = np.arange(len(nearest))
    mutual = (apart.argmin(axis=0)[nearest] == mine) & (apart[mine, nearest] <= reach)
    return np.column_stack([mine, nearest])[mutual]


def fit_way(start: np.ndarray, end: np.ndarray, mirrored: bool) -> Way:
    """The way that takes points (n,) complex to others with the least squares (Umeyama, 1991)."""
    start = start.conj() if mirrored else start
    here, there = start - start.mean(), end - end.mean()
    scale = complex(np.vdot(here, there) / np.vdot(here, here).real)
    return Way(scale, complex(end.mean() - scale * start.mean()), mirrored)


def is_inside(centre: np.ndarray, side: np.ndarray, size: complex) -> np.ndarray:
    """Which cells a picture of that size, width + i height, shows whole: (n,) bool."""
    x, y, half = centre.real, centre.imag, side / 2
    return (x >= half) & (y >= half) & (x <= size.real - half) & (y <= size.imag - half)
