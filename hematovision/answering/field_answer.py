"""The answer to a whole field: what was found in it, and the JSON that is promised of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from hematovision.cells.cells import Cells
from hematovision.networks.detector import Detector
from hematovision.networks.differential import Differential, Typed


@dataclass(frozen=True)
class FoundCell:
    """One cell of a field."""

    label: str
    probability: float
    box: tuple[int, int, int, int]  # xmin, ymin inside, xmax, ymax just outside, in pixels
    counted: bool
    typed: Typed | None = None  # of those counted whose label has types

    @property
    def name(self) -> str:
        """Its type where one is sure enough, else its label."""
        return (self.typed and self.typed.type) or self.label

    def describe(self) -> dict[str, Any]:
        """As the JSON of predict.py promises."""
        told = {
            "label": self.label,
            "probability": self.probability,
            "box": list(self.box),
            "counted": self.counted,
        }
        return told if self.typed is None else told | asdict(self.typed)

    @classmethod
    def read(cls, told: Mapping[str, Any]) -> FoundCell:
        """Back from its JSON; KeyError, TypeError or ValueError where it isn't one."""
        typed = Typed(told["type"], told["type_probabilities"]) if "type" in told else None
        x0, y0, x1, y1 = told["box"]
        return cls(told["label"], told["probability"], (x0, y0, x1, y1), told["counted"], typed)


@dataclass(frozen=True)
class FieldAnswer:
    """What a field shows."""

    image: str
    width: int
    height: int
    counts: dict[str, int]  # counted cells by label
    cells: tuple[FoundCell, ...]
    differential: Differential | None = None  # of a model that names types

    def describe(self) -> dict[str, Any]:
        """As the JSON of predict.py promises."""
        told: dict[str, Any] = {
            "image": self.image,
            "width": self.width,
            "height": self.height,
            "counts": self.counts,
            "cells": [cell.describe() for cell in self.cells],
        }
        if self.differential:
            told["differential"] = self.differential.describe()
        return told

    @classmethod
    def read(cls, told: Mapping[str, Any]) -> FieldAnswer:
        """Back from its JSON; KeyError, TypeError or ValueError where it isn't one."""
        differential = told.get("differential")
        return cls(
            told["image"],
            told["width"],
            told["height"],
            told["counts"],
            tuple(map(FoundCell.read, told["cells"])),
            Differential.read(differential) if differential else None,
        )

    def list_counted(self) -> list[FoundCell]:
        return [cell for cell in self.cells if cell.counted]

    def list_types(self) -> list[str | None]:
        """The type of each counted white cell, None for the untyped."""
        return [cell.typed.type for cell in self.cells if cell.counted and cell.typed]


def list_found(
    cells: Cells, detector: Detector, typed: Sequence[Typed | None]
) -> tuple[FoundCell, ...]:
    """The cells of a field in whole pixels; `typed`: what kind each of the counted ones is."""
    kinds = iter(typed)
    low, high = np.floor(cells.box[:, :2]), np.ceil(cells.box[:, 2:])
    boxes = np.concatenate([low, high], axis=1).astype(int).tolist()
    counted = detector.is_counted(cells).tolist()
    return tuple(
        FoundCell(detector.labels[k], float(p), tuple(box), sure, next(kinds) if sure else None)
        for k, p, box, sure in zip(cells.label, cells.probability, boxes, counted, strict=True)
    )


def count_labels(cells: Sequence[FoundCell], labels: Sequence[str]) -> dict[str, int]:
    """How many cells of each label are counted."""
    count = Counter(cell.label for cell in cells if cell.counted)
    return {label: count[label] for label in labels}
