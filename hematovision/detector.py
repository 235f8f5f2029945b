"""Detector: a field in, its cells out.

    Detector.load(folder, card).find(image)     # field -> boxes, labels, probabilities

A field is brought to the scale at which its red cells are CELL pixels across, which the network
itself finds out in a first look; so neither a field's size nor its magnification matters. Then
MobileNetV2 with a feature pyramid (Lin et al., 2017) says, for every fourth pixel, how likely it is
the centre of a cell of each label, and how far away the sides of its box are (CenterNet, Zhou et
al., 2019; targets after TTFNet, Liu et al., 2020).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from hematovision.cells import Cells, is_sliver, sides, touches
from hematovision.console import UserError
from hematovision.frame import QUARTER, find_frame
from hematovision.images import level_light, resize
from hematovision.litert import Network

NAME = "hematovision_fields"
CELL = 80  # pixels across a red cell, as the network sees it
FIRST_LOOK = 352  # longer side in pixels at which a field of unknown scale is first looked at
MOST_LOOKS = 6
BLANK_SPREAD = 1.5  # grey levels up to which a picture is blank, whatever a network sees in it
MIN_CELL_PX = 10  # pixels of a field across which a red cell can't be told from noise
MIN_SHOWN = 0.25  # of a cell cut by the border; less isn't annotated, and not counted
TILE, OVERLAP = 768, 288  # pixels of the network's input: larger fields are looked at in tiles
# A picture of so many cells, and of so many pixels along its sides, looks like a whole field.
FIELD_CELLS, FIELD_SIDES = 4, (160, 240)
SAME_CELL = 0.6  # intersection over union from which two boxes of a label are one cell


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
        corners.astype(np.float64), probability.tolist(), label.tolist(), 0.0, SAME_CELL
    )
    return Cells(box, label, probability).pick(np.asarray(kept, int).ravel())


def find_cells(
    run: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]],
    image: np.ndarray,
    cell_px: float,
    min_probability: float,
) -> Cells:
    """Every cell of a field whose red cells are `cell_px` across, from `min_probability` up.

    `run` maps a picture (height, width, 3) uint8, multiples of 32, to heat and reach. A field that
    is large in cells is looked at in overlapping tiles, a cell being the tile's that its centre is
    nearest to the middle of; so memory doesn't grow with the field.
    """
    height, width = image.shape[:2]
    scale = CELL / cell_px
    found = []
    columns, rows = (spread_tiles(length, scale) for length in (width, height))
    for (left, right), (x0, x1) in columns:
        for (top, bottom), (y0, y1) in rows:
            tile = image[top:bottom, left:right]
            size = tuple(network_size(n * scale) for n in (right - left, bottom - top))
            cells = decode(*run(resize(tile, *size)), size, min_probability)
            stretch = np.tile([(right - left) / size[0], (bottom - top) / size[1]], 2)
            box = cells.box * stretch + (left, top, left, top)
            centre = (box[:, :2] + box[:, 2:]) / 2
            own = ((centre >= (x0, y0)) & (centre < (x1, y1))).all(axis=1)
            found.append(cells._replace(box=box).pick(own))
    cells = Cells(*map(np.concatenate, zip(*found, strict=True)))
    return cells.pick(np.argsort(-cells.probability, kind="stable"))


def spread_tiles(length: int, scale: float) -> list[tuple[tuple[int, int], tuple[float, float]]]:
    """Tiles along one side of a field: where each begins and ends, and what it answers for."""
    count = 1
    if length * scale > TILE:
        count = int(np.ceil((length * scale - OVERLAP) / (TILE - OVERLAP)))
    span = min(length, int(np.ceil(TILE / scale))) if count > 1 else length
    starts = np.linspace(0, length - span, count).round().astype(int)
    seams = [-np.inf, *((starts[1:] + starts[:-1] + span) / 2), np.inf]
    return [((int(s), int(s) + span), (seams[i], seams[i + 1])) for i, s in enumerate(starts)]


def estimate_cell_px(
    run: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]],
    image: np.ndarray,
    typical: np.ndarray,
) -> float:
    """How many pixels of the field a red cell is across, from a few looks at low resolution.

    The first look takes in the whole field; each further one, a part from its middle in which cells
    of the size last seen would be as large as the network knows them. That goes on until they are.
    `typical` (k,): side of a cell of each label in parts of a red cell's.
    """
    height, width = image.shape[:2]
    cell_px = guess = CELL * max(height, width) / FIRST_LOOK
    for _ in range(MOST_LOOKS):
        h, w = (min(n, max(1, round(FIRST_LOOK * guess / CELL))) for n in (height, width))
        top, left = (height - h) // 2, (width - w) // 2
        cells = find_cells(run, image[top : top + h, left : left + w], guess, 0.3)
        cut = touches(cells.box, w, h).any(axis=1)
        whole = cells.pick(~cut) if (~cut).sum() >= 3 else cells
        if len(whole.label) == 0:
            guess /= 2.5
            if guess < MIN_CELL_PX:
                break
            continue
        cell_px = float(np.median(sides(whole.box) / typical[whole.label]))
        change = abs(np.log(cell_px / guess))
        # What is seen at a wrong scale, a clump for a cell, is seen without conviction.
        if change < 0.1 or (change < 0.45 and np.median(whole.probability) >= 0.45):
            break
        guess = cell_px
    return cell_px


def find_in_field(
    run: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]],
    image: np.ndarray,
    typical: np.ndarray,
    lowest: np.ndarray,
    cell_px: float | None = None,
) -> Cells:
    """The cells of a field as it was photographed (height, width, 3), the most probable first.

    `typical` (k,): side of a cell of each label in parts of a red cell's; `lowest` (k,):
    probability from which those of each label are listed; `cell_px`: how many pixels a red cell is
    across, where that is known.
    """
    frame = find_frame(image)
    levelled = level_light(image, frame)
    if cv2.meanStdDev(levelled if frame.any() else image)[1].max() < BLANK_SPREAD:
        return Cells(np.empty((0, 4)), np.empty(0, int), np.empty(0))
    cell_px = cell_px or estimate_cell_px(run, levelled, typical)
    cells = find_cells(run, levelled, cell_px, float(lowest.min()))
    sliver = is_sliver(cells.box, image.shape[1], image.shape[0], 0.9 * MIN_SHOWN * cell_px)
    small = typical[cells.label] < 2 * MIN_SHOWN  # a platelet is no sliver
    wanted = (cells.probability >= lowest[cells.label]) & (small | ~sliver)
    if frame.any():
        centre = ((cells.box[:, :2] + cells.box[:, 2:]) / 2 / QUARTER).astype(int)
        column, row = np.minimum(centre, np.array(frame.shape[::-1]) - 1).T
        wanted &= ~frame[row, column]
    return cells.pick(wanted)


class Detector:
    """The exported network and its card: a field in, its cells out, without TensorFlow."""

    def __init__(self, model: bytes, card: dict[str, Any], threads: int = 1) -> None:
        self.labels: list[str] = card["labels"]
        self.thresholds = np.array([card["thresholds"][label] for label in self.labels])
        self.typical = np.array([card["typical_side"][label] for label in self.labels])
        self._network = Network(model, threads)
        if self._network.output_shapes[0][-1] != len(self.labels) + 4:
            raise ValueError("network and card belong to different models")

    @classmethod
    def load(cls, folder: Path, card: dict[str, Any], threads: int = 1) -> Detector:
        """Read the network from `folder`; UserError where it is missing or damaged."""
        path = folder / f"{NAME}.tflite"
        hint = "train with train_model.py and --field-epochs above 0, or use the bundled model"
        if "fields" not in card or not path.is_file():
            raise UserError(f"{folder}: this model can't find cells in whole fields; {hint}")
        try:
            return cls(path.read_bytes(), card["fields"], threads)
        except (ValueError, LookupError, TypeError, RuntimeError) as error:
            raise UserError(f"{path}: not a network for fields ({error}); {hint}") from None

    def find(
        self,
        image: np.ndarray,
        min_probability: float | None = None,
        cell_px: float | None = None,
    ) -> Cells:
        """The cells of a field (height, width, 3) uint8 RGB, the most probable first.

        Those from their label's threshold up, and the less certain ones from `min_probability` up.
        `cell_px`: how many pixels a red cell is across, where that is known.
        """
        lowest = self.thresholds
        if min_probability is not None:
            lowest = np.minimum(lowest, min_probability)
        return find_in_field(self.run, image, self.typical, lowest, cell_px)

    def is_counted(self, cells: Cells) -> np.ndarray:
        """Whether each cell is certain enough to be counted: (n,) bool."""
        return cells.probability >= self.thresholds[cells.label]

    def run(self, picture: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Heat (h / 4, w / 4, k) and reach (h / 4, w / 4, 4) of a picture (h, w, 3) uint8."""
        return run_network(self._network, picture)


def run_network(network: Network, picture: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What a network for fields answers to a picture (h, w, 3) uint8, as `Detector.run`."""
    (joined,) = network(picture[np.newaxis].astype(np.float32))
    return joined[0, ..., :-4], joined[0, ..., -4:]
