"""Tiles: a field looked at in parts of the size that the network takes, and what it sees there.

    find_cells(run, image, cell_px, min_probability)     # a field whose scale is known -> its cells

The network says, for every fourth pixel, how likely it is the centre of a cell of each label, and
how far away the sides of its box are (CenterNet, Zhou et al., 2019; targets after TTFNet, Liu et
al., 2020).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from hematovision.cells.cells import Cells
from hematovision.pictures.frame import QUARTER
from hematovision.pictures.images import resize
from hematovision.program.console import UserError

CELL = 80  # pixels across a red cell, as the network sees it
# The same in wide views, whose red cells have fewer than so many pixels: to blow them up further
# would cost time and show nothing more.
CELL_WIDE, WIDE = 40, 30
TILE = 768  # pixels of the network's input: larger fields are looked at in tiles
OVERLAP = 3.6  # of tiles, in red cells: no white cell is wider
MOST_TILES = 5000
SAME_CELL = 0.6  # intersection over union from which two boxes of a label are one cell

# Maps a picture (h, w, 3) uint8, multiples of 32, to heat (h / 4, w / 4, k) and reach
# (h / 4, w / 4, 4).
Run = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]


def network_size(length: float) -> int:
    """The multiple of 32, the network's coarsest step, nearest to a length in pixels."""
    return max(64, round(length / 32) * 32)


def decode(
    heat: np.ndarray, reach: np.ndarray, size: tuple[int, int], min_probability: float
) -> Cells:
    """Cells from the network's answer: heat (h, w, k) in [0, 1], distances (h, w, 4) in quarters.

    A cell's centre is a place more likely than its neighbours; of boxes of one label that overlap
    by more than SAME_CELL the most likely stays. `size`: width and height of what was looked at.
    """
    peak = np.stack([cv2.dilate(np.ascontiguousarray(h), np.ones((3, 3))) for h in heat.T], axis=-1)
    y, x, label = np.nonzero((heat >= peak.transpose(1, 0, 2)) & (heat >= min_probability))
    probability = heat[y, x, label]
    centre = np.stack([x, y, x, y], axis=1) + 0.5
    box = (centre + reach[y, x] * (-1, -1, 1, 1)) * QUARTER
    box = np.clip(box, 0, [*size, *size])
    if len(box) == 0:
        return Cells(box.reshape(-1, 4), label, probability)
    corners = np.concatenate([box[:, :2], box[:, 2:] - box[:, :2]], axis=1)
    kept = cv2.dnn.NMSBoxesBatched(
        corners.tolist(), probability.tolist(), label.tolist(), 0.0, SAME_CELL
    )
    return Cells(box, label, probability).pick(np.asarray(kept, int).ravel())


def choose_seen(cell_px: float) -> int:
    """How many pixels across the network sees a red cell of `cell_px` in the field."""
    return CELL_WIDE if cell_px < WIDE else CELL


def find_cells(
    run: Run,
    image: np.ndarray,
    cell_px: float,
    min_probability: float,
    seen: int | None = None,
) -> Cells:
    """Every cell of a field whose red cells are `cell_px` across, from `min_probability` up.

    `seen`: how many pixels across the network is to see them, where not as `choose_seen` has it.

    A field that is large in cells is looked at in overlapping tiles, a cell being the tile's that
    its centre is nearest to the middle of; so memory doesn't grow with the field.
    """
    height, width = image.shape[:2]
    seen = choose_seen(cell_px) if seen is None else seen
    scale, shared = seen / cell_px, OVERLAP * seen
    found = []
    columns, rows = (spread_tiles(length, scale, shared) for length in (width, height))
    for (left, right), (x0, x1) in columns:
        for (top, bottom), (y0, y1) in rows:
            tile = image[top:bottom, left:right]
            size = network_size((right - left) * scale), network_size((bottom - top) * scale)
            cells = decode(*run(resize(tile, *size)), size, min_probability)
            stretch = np.tile([(right - left) / size[0], (bottom - top) / size[1]], 2)
            box = cells.box * stretch + (left, top, left, top)
            centre = (box[:, :2] + box[:, 2:]) / 2
            own = ((centre >= (x0, y0)) & (centre < (x1, y1))).all(axis=1)
            found.append(cells._replace(box=box).pick(own))
    cells = Cells(*map(np.concatenate, zip(*found, strict=True)))
    return cells.pick(np.argsort(-cells.probability, kind="stable"))


def check_tiles(path: Path, image: np.ndarray, cell_px: float) -> None:
    """UserError where a field (h, w, 3) would be looked at in more than MOST_TILES tiles: hours."""
    seen = choose_seen(cell_px)
    rows, columns = (
        len(spread_tiles(length, seen / cell_px, OVERLAP * seen)) for length in image.shape[:2]
    )
    if rows * columns > MOST_TILES:
        raise UserError(
            f"{path}: {image.shape[1]} x {image.shape[0]} pixels with red cells of {cell_px:g}: "
            f"{rows * columns:,} tiles to look at, over {MOST_TILES:,}; cut the picture into parts"
        )


def spread_tiles(
    length: int, scale: float, shared: float
) -> list[tuple[tuple[int, int], tuple[float, float]]]:
    """Tiles along one side of a field: where each begins and ends, and what it answers for.

    `shared`: pixels of the network's input by which they overlap.
    """
    count = 1
    if length * scale > TILE:
        count = int(np.ceil((length * scale - shared) / (TILE - shared)))
    span = min(length, int(np.ceil(TILE / scale))) if count > 1 else length
    starts = np.linspace(0, length - span, count).round().astype(int)
    seams = [-np.inf, *((starts[1:] + starts[:-1] + span) / 2), np.inf]
    return [((int(s), int(s) + span), (seams[i], seams[i + 1])) for i, s in enumerate(starts)]
