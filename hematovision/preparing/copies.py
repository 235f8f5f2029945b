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
from itertools import combinations
from typing import NamedTuple

import numpy as np

from hematovision.cells.cells import sides, touches
from hematovision.datasets.field import Field
from hematovision.pictures.frame import QUARTER

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
    """Cells with three neighbours each, of all fields."""

    field: np.ndarray  # (m,) the field's place
    traits: np.ndarray  # (m, 4): ratios of distances, as logarithms, and angles, in radians
    label: np.ndarray  # (m,) of the four cells, as one number
    start: np.ndarray  # (m,) complex: the cell's centre
    arm: np.ndarray  # (m,) complex: from there to the farthest of its neighbours
    side: np.ndarray  # (m,) the cell's, in pixels
    mirrored: np.ndarray  # (m,) bool: its neighbours run the other way round


def find_copies(fields: Sequence[Field]) -> list[tuple[int, int]]:
    """Pairs i < j of fields in which the same cells lie alike; of those that are the same file with
    the same boxes, the first stands for all."""
    places, lies = describe(fields)
    found = set()
    for i, j, way in propose(gather_shapes(lies)):
        if (i, j) not in found and coincide(lies[i], lies[j], way):
            found.add((i, j))
    return sorted((places[i], places[j]) for i, j in found)


def describe(fields: Sequence[Field]) -> tuple[list[int], list[Lie]]:
    """How the cells of fields of LEAST of them or more lie, and the fields' places."""
    number: dict[str, int] = {}
    known: set[tuple[str, bytes]] = set()
    places, lies = [], []
    for place, field in enumerate(fields):
        if len(field.segments) < LEAST:
            continue
        labels, boxes = zip(*field.segments, strict=True)
        box = np.array(boxes, float)
        label = np.array([number.setdefault(k, len(number)) for k in labels], int)
        key = field.digest, hashlib.sha256(box.tobytes() + label.tobytes()).digest()
        if field.digest and key in known:
            continue
        known.add(key)
        centre = (box[:, 0] + box[:, 2]) / 2 + 1j * (box[:, 1] + box[:, 3]) / 2
        height, width = field.free.shape
        size = complex(width, height) * QUARTER
        cut = touches(box, size.real, size.imag, QUARTER).any(axis=1)
        places.append(place)
        lies.append(Lie(centre, np.maximum(sides(box), 1), label, np.logical_not(cut), size))
    return places, lies


def gather_shapes(lies: Sequence[Lie]) -> Shapes:
    """The shapes of all fields."""
    parts = [part for i, lie in enumerate(lies) for part in shapes_of(i, lie)]
    none = np.zeros(0, int)
    if not parts:
        return Shapes(none, np.zeros((0, 4)), none, none + 0j, none + 0j, none, none > 0)
    return Shapes(*(np.concatenate(column) for column in zip(*parts, strict=True)))


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


def propose(shapes: Shapes) -> Iterator[tuple[int, int, Way]]:
    """Pairs i < j of fields that share two shapes or more, and how the one would have to be laid
    over the other."""
    pairs = np.concatenate([np.zeros((0, 2), int), *map(list_alike, split_kinds(shapes))])
    first, second = np.where(
        shapes.field[pairs[:, :1]] < shapes.field[pairs[:, 1:]], pairs, pairs[:, ::-1]
    ).T
    flip = shapes.mirrored[first] != shapes.mirrored[second]
    arm = np.where(flip, shapes.arm[first].conj(), shapes.arm[first])
    start = np.where(flip, shapes.start[first].conj(), shapes.start[first])
    scale = shapes.arm[second] / arm
    shift = shapes.start[second] - scale * start
    fit = np.abs(np.log(np.abs(scale) * shapes.side[first] / shapes.side[second])) < LIKE_SIZE
    fit &= shapes.field[first] != shapes.field[second]
    # Ways that are nearly one are one: in steps of a fifth of a size, and of as many radians.
    step = np.log(scale[fit]) * 5
    key = np.column_stack([
        shapes.field[first[fit]], shapes.field[second[fit]], flip[fit],
        np.rint(step.real), np.rint(step.imag),
    ])  # fmt: skip
    _, place, votes = np.unique(key, axis=0, return_index=True, return_counts=True)
    for k in place[votes >= LEAST_VOTES].tolist():
        i, j, mirrored = (int(v) for v in key[k, :3])
        yield i, j, Way(complex(scale[fit][k]), complex(shift[fit][k]), bool(mirrored))


def split_kinds(shapes: Shapes) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The numbers (m,) and the traits (m, 4) of the shapes of each kind."""
    order = np.argsort(shapes.label, kind="stable")
    cuts = np.flatnonzero(np.diff(shapes.label[order])) + 1
    return ((rows, shapes.traits[rows]) for rows in np.split(order, cuts))


def list_alike(kind: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """Pairs (m, 2) of the numbers of shapes of one kind that look alike."""
    from scipy.spatial import cKDTree

    rows, traits = kind
    return rows[cKDTree(traits).query_pairs(NEAR, np.inf, output_type="ndarray")]


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
