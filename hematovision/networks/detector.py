"""Detector: a field in, its cells out.

    Detector.load(folder, card).find(image)     # field -> boxes, labels, probabilities

A field is brought to the scale at which its red cells are CELL pixels across, which is found by
looking at it (scale.py); so neither a field's size nor its magnification matters. Then MobileNetV2
with a feature pyramid (Lin et al., 2017) finds its cells, in tiles where it is large (tiles.py),
and what was found twice, under two labels or where tiles meet, becomes one cell.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from hematovision.cells.cells import LARGE, SMALL, Cells, sides
from hematovision.cells.labels import is_rbc
from hematovision.networks.card import Card, FieldCard, check_seal
from hematovision.networks.doubts import DARK_FIELD, Doubt, find_doubts, measure_brightness
from hematovision.networks.litert import Network
from hematovision.networks.looks import find_bounds
from hematovision.networks.population import recall_many
from hematovision.networks.scale import (
    Scale,
    measure_cell_px,
    measure_seen,
    pick_telling,
)
from hematovision.networks.tiles import CELL, SAME_CELL, Run, find_cells
from hematovision.pictures.frame import QUARTER, find_frame, trim
from hematovision.pictures.light import is_dark_field, level_light
from hematovision.program.console import UserError
from hematovision.program.files import read_file

NAME = "hematovision_fields"
BLANK_SPREAD = 1.5  # grey levels up to which a picture is blank, whatever a network sees in it
# From which overlap two boxes are one cell: of two labels, in parts of both; of a white cell and
# what lies within it, a red cell for one, in parts of the smaller; of two white cells, likewise: a
# large one is seen again in its nucleus and its halves.
SAME_PLACE, WITHIN, WITHIN_ALIKE = 0.5, 0.8, 0.5
MOST_UNSURE = 2_000_000  # pixels that a field is brought to where no scale explains it, at most
OFF = 0.22  # |log| of found to supposed size from which a field is looked at again
# A picture of so many cells, and of so many pixels along its sides, looks like a whole field.
FIELD_CELLS, FIELD_SIDES = 4, (160, 240)


class Found(NamedTuple):
    """What a field shows."""

    cells: Cells  # the most probable first
    scale: Scale
    doubts: tuple[Doubt, ...] = ()  # why its counts may be wrong


def find_in_field(run: Run, levelled: np.ndarray, lowest: np.ndarray, cell_px: float) -> Cells:
    """The cells of a field (height, width, 3) uint8 whose light is level, the most probable first.

    `lowest` (k,): probability from which those of each label are listed; `cell_px`: pixels across a
    red cell.
    """
    cells = find_cells(run, levelled, cell_px, float(lowest.min()))
    return cells.pick(cells.probability >= lowest[cells.label])


def bound_unsure(scale: Scale, pixels: int) -> Scale:
    """A scale that explains nothing isn't worth minutes: noise looks like cells of a few pixels.

    `pixels`: of the field.
    """
    if scale.certain:
        return scale
    return scale._replace(cell_px=max(scale.cell_px, CELL * float(np.sqrt(pixels / MOST_UNSURE))))


def lies_in_frame(box: np.ndarray, frame: np.ndarray) -> np.ndarray:
    """Whether boxes (n, 4) have their middle in a frame, (h / 4, w / 4) bool: (n,) bool."""
    middle = ((box[:, :2] + box[:, 2:]) / 2 / QUARTER).astype(int)
    column, row = np.minimum(middle, np.array(frame.shape[::-1]) - 1).T
    return frame[row, column]


def find_doubles(
    cells: Cells, certainty: np.ndarray, typical: np.ndarray, red: np.ndarray
) -> np.ndarray:
    """Which cells (n,) bool are another, more certain one once more.

    Red cells may overlap much, so two of them are one only where their boxes nearly agree; a white
    cell or platelet is one with what it largely contains or is contained in. A red cell isn't
    found within a white one, while a platelet may lie on either. `certainty` (n,).
    """
    double = np.zeros(len(cells.label), bool)
    order = np.argsort(-certainty, kind="stable")
    box, label = cells.box[order], cells.label[order]
    corners = np.concatenate([box[:, :2], box[:, 2:] - box[:, :2]], axis=1).astype(np.float64)
    kept = np.zeros(len(order), bool)
    if len(order):
        single = cv2.dnn.NMSBoxesBatched(
            corners.tolist(), certainty[order].tolist(), label.tolist(), 0.0, SAME_CELL
        )
        kept[np.asarray(single, int).ravel()] = True
    area, large = sides(box) ** 2, typical[label] > LARGE
    for i in np.flatnonzero(~red[label]):  # few: the red cells have been told apart
        if not kept[i]:
            continue
        width = np.minimum(box[i, 2:], box[:, 2:]) - np.maximum(box[i, :2], box[:, :2])
        shared = np.prod(np.maximum(width, 0), axis=1)
        alike = label == label[i]
        smaller = np.minimum(area, area[i])
        within = shared >= WITHIN * smaller
        same = np.where(
            alike,
            shared >= (WITHIN_ALIKE if large[i] else WITHIN) * smaller,
            (shared >= SAME_PLACE * (area + area[i] - shared)) | (within & red[label] & large[i]),
        )
        same &= kept & (shared > 0)
        same[i] = False
        if same[:i].any():
            kept[i] = False
        else:
            kept[i:] &= ~same[i:]
    double[order] = ~kept
    return double


def leave_doubles_out(
    cells: Cells, thresholds: np.ndarray, typical: np.ndarray, red: np.ndarray
) -> Cells:
    """The cells without those that would be counted twice; the uncounted ones stay."""
    counted = np.flatnonzero(cells.probability >= thresholds[cells.label])
    certain = cells.pick(counted)
    certainty = certain.probability / thresholds[certain.label]
    kept = np.ones(len(cells.label), bool)
    kept[counted] = ~find_doubles(certain, certainty, typical, red)
    return cells.pick(kept)


class Detector:
    """The exported network and its card: a field in, its cells out, without TensorFlow."""

    def __init__(self, model: bytes, card: FieldCard, threads: int = 1) -> None:
        self.labels = card.labels
        self.thresholds = np.array([card.thresholds[label] for label in self.labels])
        self.typical = np.array([card.typical_side[label] for label in self.labels])
        self.bounds = find_bounds(card)
        red = np.array([is_rbc(label) for label in self.labels])
        self.red = red if red.any() else self.typical > SMALL
        check_seal(model, self.labels, card.seal)
        self._network = Network(model, threads)
        if self._network.output_shapes[0][-1] != len(self.labels) + 4:
            raise ValueError("network and card belong to different models")

    @classmethod
    def load(cls, folder: Path, card: Card, threads: int = 1) -> Detector:
        """Read the network from `folder`; UserError where it is missing or damaged."""
        path = folder / f"{NAME}.tflite"
        hint = "train with train_model.py and --field-epochs above 0, or use the bundled model"
        if card.fields is None or not path.is_file():
            raise UserError(f"{folder}: this model can't find cells in whole fields; {hint}")
        try:
            return cls(read_file(path, "model"), card.fields, threads)
        except (ValueError, LookupError, TypeError, RuntimeError) as error:
            raise UserError(f"{path}: not a network for fields ({error}); {hint}") from None

    def find(
        self,
        image: np.ndarray,
        min_probability: float | None = None,
        cell_px: float | None = None,
    ) -> Cells:
        """The cells of a field, as `search`."""
        return self.search(image, min_probability, cell_px).cells

    def search(
        self,
        image: np.ndarray,
        min_probability: float | None = None,
        cell_px: float | None = None,
    ) -> Found:
        """The cells of a field (height, width, 3) uint8 RGB, and the scale they were found at.

        Those from their label's threshold up, and the less certain ones from `min_probability` up.
        `cell_px`: how many pixels a red cell is across, where that is known.
        """
        frame = find_frame(image)
        rows, columns = trim(frame, image)
        frame = frame[rows.start // QUARTER :, columns.start // QUARTER :]
        image = image[rows, columns]
        levelled = level_light(image, frame)
        if cv2.meanStdDev(levelled if frame.any() else image)[1].max() < BLANK_SPREAD:
            nothing = Cells(np.empty((0, 4)), np.empty(0, int), np.empty(0))
            return Found(nothing, Scale(cell_px or max(image.shape[:2]), True))
        lowest = self.thresholds
        if min_probability is not None:
            lowest = np.minimum(lowest, min_probability)
        scale = Scale(cell_px or 0.0, True)
        if not cell_px:
            scale = measure_cell_px(self.run, levelled, self.typical, self.red)
            scale = bound_unsure(scale, image.shape[0] * image.shape[1])
        cells = find_in_field(self.run, levelled, lowest, scale.cell_px)
        seen = None if cell_px else self._measure_seen(cells, image)
        if seen and abs(np.log(seen / scale.cell_px)) > OFF:
            scale = bound_unsure(Scale(seen, scale.certain), image.shape[0] * image.shape[1])
            cells = find_in_field(self.run, levelled, lowest, scale.cell_px)
            seen = self._measure_seen(cells, image)
            if seen and abs(np.log(seen / scale.cell_px)) > OFF:
                scale = scale._replace(certain=False)
        if seen:  # by all cells of the field, where the search has seen a few
            scale = scale._replace(cell_px=seen)
        cells = cells.pick(~lies_in_frame(cells.box, frame)) if frame.any() else cells
        cells, recalled = self._recall_many(cells, levelled)
        counted = cells.pick(self.is_counted(cells))
        brightness = measure_brightness(image)
        doubts = find_doubts(counted, levelled, recalled, brightness, self.typical, self.red)
        if is_dark_field(image, frame):
            doubts = (DARK_FIELD, *doubts)
        cells = cells._replace(box=cells.box + [columns.start, rows.start] * 2)
        return Found(cells, scale, doubts)

    def _recall_many(self, cells: Cells, levelled: np.ndarray) -> tuple[Cells, int]:
        """The cells of a field, each once, those called red that are of the many; and how many of
        the counted ones were called white before."""
        sure = self.is_counted(cells)
        cells, recalled = recall_many(cells, levelled, sure, self.typical, self.red)
        single = leave_doubles_out(cells, self.thresholds, self.typical, self.red)
        return single, int((recalled & sure).sum())

    def _measure_seen(self, cells: Cells, image: np.ndarray) -> float | None:
        """How large a red cell is by those counted, in pixels; None where they are too few."""
        telling = cells.pick(self.is_counted(cells))
        telling = pick_telling(telling, image.shape[1], image.shape[0], self.typical, self.red)
        if len(telling.label) < 3:
            return None
        return measure_seen(telling, self.typical)

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
