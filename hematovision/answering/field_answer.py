"""The answer to a whole field: what was found in it, and the JSON that is promised of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from hematovision.networks.differential import Differential, Typed


@dataclass(frozen=True)
class FoundCell:
    """One cell of a field."""

    label: str
    probability: float
    box: tuple[int, int, int, int]  # xmin, ymin inside, xmax, ymax just outside, in pixels
    counted: bool
    cut: bool = False  # by the border of the field
    typed: Typed | None = None  # of those sure enough to be counted whose label has types
    seen: bool = False  # in a field before, and counted there
    look: bool = False  # a person is to look at it again

    @property
    def name(self) -> str:
        """Its type where one is sure enough, else its label."""
        return (self.typed and self.typed.type) or self.label

    def describe(self) -> dict[str, Any]:
        """As the JSON of predict.py promises."""
        return {
            "label": self.label,
            "probability": self.probability,
            "box": list(self.box),
            "counted": self.counted,
            "cut": self.cut,
            "look": self.look,
            **(asdict(self.typed) if self.typed else {}),
            **({"seen": True} if self.seen else {}),
        }

    @classmethod
    def read(cls, told: Mapping[str, Any]) -> FoundCell:
        """Back from its JSON; KeyError, TypeError or ValueError where it isn't one."""
        typed = Typed(told["type"], told["type_probabilities"]) if "type" in told else None
        x0, y0, x1, y1 = told["box"]
        counted, cut, seen = told["counted"], told["cut"], told.get("seen", False)
        box, look = (x0, y0, x1, y1), told.get("look", False)
        return cls(told["label"], told["probability"], box, counted, cut, typed, seen, look)


@dataclass(frozen=True)
class Overlap:
    """A field that was taken before, and shows a part of this one."""

    image: str
    share: float  # of this field's area
    shift: tuple[int, int]  # where this field's corner lies in it: x, y in pixels


@dataclass(frozen=True)
class FieldAnswer:
    """What a field shows."""

    image: str
    width: int
    height: int
    counts: dict[str, int]  # counted cells by label
    cells: tuple[FoundCell, ...]
    differential: Differential | None = None  # of a model that names types
    doubts: tuple[str, ...] = ()  # why the counts may be wrong, in words
    overlaps: tuple[Overlap, ...] | None = None  # where these are looked for

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
        told["doubts"] = list(self.doubts)
        if self.overlaps is not None:
            told["overlaps"] = [asdict(overlap) for overlap in self.overlaps]
        return told

    @classmethod
    def read(cls, told: Mapping[str, Any]) -> FieldAnswer:
        """Back from its JSON; KeyError, TypeError or ValueError where it isn't one."""
        differential, overlaps = told.get("differential"), told.get("overlaps")
        return cls(
            told["image"],
            told["width"],
            told["height"],
            told["counts"],
            tuple(map(FoundCell.read, told["cells"])),
            Differential.read(differential) if differential else None,
            tuple(told["doubts"]),
            None
            if overlaps is None
            else tuple(Overlap(o["image"], o["share"], tuple(o["shift"])) for o in overlaps),
        )

    @property
    def seen(self) -> int:
        """How many of its cells were counted in fields before."""
        return sum(cell.seen for cell in self.cells)

    def list_counted(self) -> list[FoundCell]:
        return [cell for cell in self.cells if cell.counted]

    def list_types(self) -> list[str | None]:
        """The type of each counted white cell, None for the untyped."""
        return [cell.typed.type for cell in self.cells if cell.counted and cell.typed]


def count_labels(cells: Sequence[FoundCell], labels: Sequence[str]) -> dict[str, int]:
    """How many cells of each label are counted."""
    count = Counter(cell.label for cell in cells if cell.counted)
    return {label: count[label] for label in labels}
