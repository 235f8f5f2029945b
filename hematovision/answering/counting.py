"""Counting: a field's picture and a model -> the cells found, named, typed and counted.

counter = FieldCounter.load(folder, HowToCount(), threads=2)
counter.count(path, counter.read(path)).answer       # -> FieldAnswer
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from hematovision.answering.field_answer import FieldAnswer, count_labels, list_found
from hematovision.cells.cells import Cells
from hematovision.networks.card import read_card
from hematovision.networks.classifier import Classifier
from hematovision.networks.detector import Detector
from hematovision.networks.differential import count_types, list_types, type_cells
from hematovision.networks.scale import Scale
from hematovision.networks.tiles import check_tiles
from hematovision.pictures.images import read_image
from hematovision.program.console import say, say_once

SMALL, JPEG = 32, (".jpg", ".jpeg", ".jfif")  # pixels across a cell that JPEG does harm to


@dataclass(frozen=True)
class HowToCount:
    """What a user says of how fields are to be counted."""

    min_probability: float | None = None  # from which cells are listed, uncounted
    cell_px: float | None = None  # pixels across a red cell, where that is known


class CountedField(NamedTuple):
    """A field, and what was found in it."""

    path: Path
    image: np.ndarray  # (height, width, 3) uint8 RGB
    cells: Cells
    answer: FieldAnswer


class FieldCounter:
    """A model that finds the cells of fields, and the types of white cells where it names any."""

    def __init__(self, detector: Detector, classifier: Classifier | None, how: HowToCount) -> None:
        self.detector, self.how = detector, how
        self.labels = detector.labels
        self.types = list_types(classifier.classes, detector.labels) if classifier else []
        self._classifier = classifier

    @classmethod
    def load(cls, folder: Path, how: HowToCount, threads: int) -> FieldCounter:
        """Read the networks from `folder`; UserError where one is missing or damaged."""
        card = read_card(folder)
        detector = Detector.load(folder, card, threads)
        types = list_types(card.classes, detector.labels)
        return cls(detector, Classifier.load(folder) if types else None, how)

    def read(self, path: Path) -> np.ndarray:
        """A field (height, width, 3) uint8; UserError where it can't be read, or wants hours."""
        image = read_image(path)
        if self.how.cell_px:
            check_tiles(path, image, self.how.cell_px)
        return image

    def count(self, path: Path, image: np.ndarray) -> CountedField:
        """What a field (height, width, 3) uint8 shows; what to doubt about it is said."""
        cells, scale = self.detector.search(image, self.how.min_probability, self.how.cell_px)
        tell_scale(path, scale)
        counted = cells.pick(self.detector.is_counted(cells))
        if self._classifier:
            typed = type_cells(self._classifier, image, counted, self.labels)
        else:
            typed = [None] * len(counted.label)
        found = list_found(cells, self.detector, typed)
        differential = None
        if self._classifier:
            differential = count_types([t.type for t in typed if t], self.types)
        answer = FieldAnswer(
            str(path),
            image.shape[1],
            image.shape[0],
            count_labels(found, self.labels),
            found,
            differential,
        )
        return CountedField(path, image, cells, answer)


def tell_scale(path: Path, scale: Scale) -> None:
    """Say where a field's counts may be off for the size of its cells."""
    if not scale.certain:
        say(
            f"warning: {path}: no size of red cells explains this field, the best is "
            f"{scale.cell_px:.0f} pixels across: counts may be far off; state it with "
            "--cell-size PX"
        )
    elif scale.cell_px < SMALL and path.suffix.lower() in JPEG:
        say_once(
            f"notice: {path}: red cells are {scale.cell_px:.0f} pixels across; in a JPEG "
            "of so small cells some are missed (1 in 20 to 1 in 5): photograph closer, or "
            "save as PNG",
            "small cells",
        )
