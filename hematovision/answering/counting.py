"""Counting: a field's picture and a model -> the cells found, named, typed and counted.

counter = FieldCounter.load(folder, HowToCount(), threads=2)
counter.count(path, counter.read(path)).answer       # -> FieldAnswer
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from hematovision.answering.field_answer import FieldAnswer, FoundCell, count_labels
from hematovision.answering.given import read_given
from hematovision.cells.border import belongs, is_cut
from hematovision.cells.cells import Cells
from hematovision.networks.card import read_card
from hematovision.networks.classifier import Classifier
from hematovision.networks.detector import Detector, Found
from hematovision.networks.differential import (
    Typed,
    count_confirmed,
    count_types,
    list_types,
    type_cells,
)
from hematovision.networks.looks import wants_look, wants_type
from hematovision.networks.tiles import check_tiles
from hematovision.program.console import say, say_once

SMALL, JPEG = 32, (".jpg", ".jpeg", ".jfif")  # pixels across a cell that JPEG does harm to


@dataclass(frozen=True)
class HowToCount:
    """What a user says of how fields are to be counted."""

    min_probability: float | None = None  # from which cells are listed, uncounted
    cell_px: float | None = None  # pixels across a red cell, where that is known
    border: str = "all"  # which of the cells that the border cuts are counted


class CountedField(NamedTuple):
    """A field, and what was found in it."""

    path: Path
    image: np.ndarray  # (height, width, 3) uint8 RGB
    cells: Cells
    answer: FieldAnswer


class FieldCounter:
    """A model that finds the cells of fields, and the types of white cells where it names any."""

    def __init__(
        self,
        detector: Detector,
        classifier: Classifier | None,
        how: HowToCount,
        confirmed: Mapping[str, int] | None = None,
    ) -> None:
        """`confirmed`: cells of each type that a person named in the user's own stain."""
        self.detector, self.how = detector, how
        self.labels = detector.labels
        self.types = list_types(classifier.classes, detector.labels) if classifier else []
        self.confirmed = confirmed or {}
        self._classifier = classifier

    @classmethod
    def load(cls, folder: Path, how: HowToCount, threads: int) -> FieldCounter:
        """Read the networks from `folder`; UserError where one is missing or damaged."""
        card = read_card(folder)
        detector = Detector.load(folder, card, threads)
        types = list_types(card.classes, detector.labels)
        classifier = Classifier.load(folder) if types else None
        return cls(detector, classifier, how, count_confirmed(card, types))

    def read(self, path: Path) -> np.ndarray:
        """A field (height, width, 3) uint8; UserError where it can't be read, or wants hours."""
        image = read_given(path)
        if self.how.cell_px:
            check_tiles(path, image, self.how.cell_px)
        return image

    def type_cells(self, image: np.ndarray, cells: Cells) -> list[Typed | None]:
        """The types of the cells (n) of a field (height, width, 3) uint8; None of those that have
        none, and all where the model names none."""
        if self._classifier is None:
            return [None] * len(cells.label)
        return type_cells(self._classifier, image, cells, self.labels)

    def count(self, path: Path, image: np.ndarray) -> CountedField:
        """What a field (height, width, 3) uint8 shows; what to doubt about it is said."""
        found = self.detector.search(image, self.how.min_probability, self.how.cell_px)
        tell_doubts(path, found)
        cells, (height, width) = found.cells, image.shape[:2]
        sure = self.detector.is_counted(cells)
        belonging = belongs(cells.box, width, height, self.how.border)
        counted = sure & belonging
        typed = np.full(len(sure), None)
        typed[sure] = self.type_cells(image, cells.pick(sure))
        looks = belonging & wants_look(cells, sure, self.detector.bounds)
        for i in np.flatnonzero(counted & ~looks):
            looks[i] = typed[i] is not None and wants_type(
                typed[i].type, typed[i].type_probabilities
            )
        low, high = np.floor(cells.box[:, :2]), np.ceil(cells.box[:, 2:])
        boxes = np.concatenate([low, high], axis=1).astype(int).tolist()
        columns = boxes, counted.tolist(), is_cut(cells.box, width, height).tolist(), typed
        of_field = tuple(
            FoundCell(self.labels[k], float(p), tuple(box), is_in, cut, named, look=look)
            for k, p, look, box, is_in, cut, named in zip(
                cells.label, cells.probability, looks.tolist(), *columns, strict=True
            )
        )
        doubts = tuple(doubt.words for doubt in found.doubts)
        answer = FieldAnswer(str(path), width, height, {}, of_field, doubts=doubts)
        return CountedField(path, image, cells, self.sum_up(answer))

    def sum_up(self, answer: FieldAnswer) -> FieldAnswer:
        """An answer with the counts and the differential of its cells."""
        differential = None
        if self._classifier:
            differential = count_types(answer.list_types(), self.types, self.confirmed)
        counts = count_labels(answer.cells, self.labels)
        return replace(answer, counts=counts, differential=differential)


def tell_doubts(path: Path, found: Found) -> None:
    """Say where a field's counts may be wrong, and where the size of its cells makes them so."""
    for doubt in found.doubts:
        say(f"warning: {path}: {doubt.words}")
    scale = found.scale
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
