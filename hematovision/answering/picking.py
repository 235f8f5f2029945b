"""Picking: which fields of many would teach a model most, since labelling is what costs.

A field teaches where its cells are in doubt, where it shows what the others picked don't, and,
until types are confirmed in the user's own stain, by its white cells: those whose type is least
sure, and of types that the others picked show least of.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import cv2
import numpy as np

from hematovision.cells.cells import Cells, sides
from hematovision.networks.differential import CHECKED, Typed
from hematovision.pictures.light import DENSITY

if TYPE_CHECKING:
    from hematovision.answering.counting import FieldCounter

FROM = 0.1  # probability from which what was found is asked whether it is in doubt
TINY = 96  # pixels along the longer side of the picture that its colours are taken from
# What a white cell teaches whose type is sure, beside 1 for one whose type can't be told: in a
# stain that the model doesn't know it is often sure of a wrong one.
SURE = 0.5
UNTYPED = "of no type sure enough"


class Candidate(NamedTuple):
    """What a field shows of itself, as far as picking goes."""

    doubt: float  # mean of its cells, 0: all sure, 1: all on their threshold
    cells: int  # found, from FROM up
    traits: np.ndarray  # (d,) what it looks like
    white: tuple[Typed, ...] = ()  # its white cells that are counted; of confirmed types none

    def teach_types(self, shown: Mapping[str, float]) -> float:
        """What its white cells would teach beside those that were `shown` already, so many of each
        type: each counts the more, the less its type is sure, and the less, the more were shown."""
        taught = 0.0
        for cell in self.white:
            share = share_out_types(cell)
            unsure = 1 - max(share.values(), default=0.0)
            new = sum(p / (1 + shown.get(name, 0.0)) for name, p in share.items())
            taught += (SURE + unsure * (1 - SURE)) * new
        return taught

    def tell_types(self) -> str:
        """What its white cells are taken for, in words."""
        count = Counter(cell.type or UNTYPED for cell in self.white)
        return ", ".join(f"{n} {name}" for name, n in count.most_common())


def share_out_types(cell: Typed) -> dict[str, float]:
    """The probability of each type of a white cell, which together make 1."""
    total = sum(cell.type_probabilities.values())
    return {name: p / total for name, p in cell.type_probabilities.items()} if total > 0 else {}


def measure_doubt(probability: np.ndarray, threshold: np.ndarray) -> np.ndarray:
    """How near cells (n,) lie to where they would just be counted: 1 at their threshold (n,), down
    to 0 where a probability can be no surer."""
    reach = np.where(probability >= threshold, 1 - threshold, threshold)
    return 1 - np.abs(probability - threshold) / np.maximum(reach, 1e-6)


def describe_candidate(
    image: np.ndarray, cells: Cells, thresholds: np.ndarray, cell_px: float,
    white: Sequence[Typed] = (),
) -> Candidate:  # fmt: skip
    """A field (h, w, 3) uint8 by what was found in it: `thresholds` (k,) of the labels, `cell_px`
    pixels across a red cell, `white` its white cells whose types aren't confirmed.

    Its traits: colour and contrast, how large its cells are, how many of each label it shows.
    """
    scale = TINY / max(image.shape[:2])
    small = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    density = DENSITY[small.reshape(-1, 3)]
    counted = cells.probability >= thresholds[cells.label]
    counts = np.bincount(cells.label[counted], minlength=len(thresholds))
    spread = np.log(np.maximum(sides(cells.box[counted]), 1)).std() if counted.any() else 0.0
    doubt = measure_doubt(cells.probability, thresholds[cells.label])
    traits = [*density.mean(axis=0), *density.std(axis=0), np.log(cell_px), spread,
              *np.log1p(counts)]  # fmt: skip
    # A field in which nothing was found is in doubt as a whole.
    mean = float(doubt.mean()) if len(doubt) else 1.0
    return Candidate(mean, len(doubt), np.array(traits), tuple(white))


def look_at(counter: FieldCounter, image: np.ndarray) -> Candidate:
    """What a field (h, w, 3) uint8 shows of itself to a model."""
    detector = counter.detector
    found = detector.search(image, FROM, counter.how.cell_px)
    white: list[Typed] = []
    if sum(counter.confirmed.values()) < CHECKED:
        counted = found.cells.pick(detector.is_counted(found.cells))
        white = [cell for cell in counter.type_cells(image, counted) if cell]
    cell_px = found.scale.cell_px
    return describe_candidate(image, found.cells, detector.thresholds, cell_px, white)


def pick_fields(candidates: Sequence[Candidate], count: int) -> list[tuple[int, str]]:
    """The `count` fields that would teach most, the most telling first: index, and why in words.

    One after the other: of those left, that whose doubt times its distance to the nearest one
    picked is largest, the larger by what its white cells teach of types. Traits are compared in
    standard deviations of the candidates.
    """
    if not candidates:
        return []
    traits = np.stack([c.traits for c in candidates])
    traits = (traits - traits.mean(axis=0)) / np.maximum(traits.std(axis=0), 1e-6)
    doubt = np.array([c.doubt for c in candidates])
    distance = np.full(len(candidates), np.sqrt(traits.shape[1]))
    left = np.ones(len(candidates), bool)
    shown: dict[str, float] = {}
    picked: list[tuple[int, str]] = []
    for _ in range(min(count, len(candidates))):
        of_types = np.array([1 + c.teach_types(shown) for c in candidates])
        worth = np.where(left, (doubt + 0.01) * (distance + 0.01) * of_types, -1.0)
        best = int(np.argmax(worth))
        alike = None if not picked else distance[best]
        picked.append((best, tell_why(candidates[best], alike)))
        left[best] = False
        distance = np.minimum(distance, np.linalg.norm(traits - traits[best], axis=1))
        for cell in candidates[best].white:
            for name, p in share_out_types(cell).items():
                shown[name] = shown.get(name, 0.0) + p
    return picked


def tell_why(field: Candidate, distance: float | None) -> str:
    """Why a field is picked, in words; `distance` to the nearest one picked before."""
    words = [f"doubt {field.doubt:.2f} over {field.cells} cells (0: all sure, 1: none)"]
    if distance is not None:
        words.append(f"{distance:.1f} from the nearest of those before (0: looks the same)")
    if field.white:
        words.append(f"white cells, type to be checked: {field.tell_types()}")
    return "; ".join(words)
