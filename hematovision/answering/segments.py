"""Segments: pictures of single cells and a model -> a label and a probability each.

What looks like a whole field is told, and where wanted a picture is drawn of what in a segment
spoke for its answer.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from hematovision.answering.given import read_given
from hematovision.networks.card import read_card
from hematovision.networks.classifier import Classifier, SegmentAnswer


class NamedSegment(NamedTuple):
    """A segment, and what it shows."""

    path: Path
    picture: np.ndarray | None  # (height, width, 3) uint8 RGB, where it is still wanted
    answer: SegmentAnswer


class SegmentNamer:
    """A model that names the cell of a segment."""

    def __init__(self, folder: Path, kept: Iterable[Path]) -> None:
        """`kept`: the segments whose pictures are still wanted when they are answered."""
        self.classifier = Classifier.load(folder)
        self._folder, self._kept = folder, set(kept)

    def name(self, path: Path) -> NamedSegment:
        """What a segment shows; UserError where it can't be read."""
        picture = read_given(path)
        answer = self.classifier.answer(self.classifier.crop(picture))
        return NamedSegment(path, picture if path in self._kept else None, answer)

    def count_large(self, picture: np.ndarray) -> int:
        """How many cells a picture shows, if these are as many as of a whole field; else 0."""
        from hematovision.networks.detector import FIELD_CELLS, FIELD_SIDES, Detector

        card = read_card(self._folder)
        large = (np.sort(picture.shape[:2]) >= FIELD_SIDES).all()
        if not large or card.fields is None:
            return 0
        found = Detector.load(self._folder, card).search(picture)
        cells = len(found.cells.label)
        return cells if cells >= FIELD_CELLS and found.scale.certain else 0

    def explain(self, segment: NamedSegment, target: Path, workers: int) -> None:
        """Write a picture of what in a segment spoke for its answer, and what against it."""
        from hematovision.networks.explain import occlude, plot_explanation
        from hematovision.program.figures import save_figure

        assert segment.picture is not None
        answer, crop = segment.answer, self.classifier.crop(segment.picture)
        label = self.classifier.classes.index(answer.label)
        fall, lowest = occlude(self.classifier, crop, label, workers)
        title = (
            f"{answer.label}: probability {answer.probability:.3f}, "
            f"{lowest:.3f} with the most telling patch covered"
        )
        save_figure(plot_explanation(crop, fall, title), target)


def format_json(segment: NamedSegment) -> str:
    """One answer as a line of JSON."""
    told: dict[str, Any] = {"image": str(segment.path), **segment.answer.describe()}
    return json.dumps(told)


def format_line(segment: NamedSegment) -> str:
    """One answer for a person to read."""
    answer = segment.answer
    doubt = ", uncertain: unlike any cell the model has learnt" if answer.uncertain else ""
    return f"{segment.path}: {answer.label} (probability {answer.probability:.3f}{doubt})"
