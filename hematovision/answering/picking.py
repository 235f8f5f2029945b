"""Picking: which fields of many would teach a model most, since labelling is what costs.

A field teaches where its cells are in doubt, and where it shows what the others picked don't.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np

from hematovision.cells.cells import Cells, sides
from hematovision.networks.detector import Detector
from hematovision.pictures.light import DENSITY

FROM = 0.1  # probability from which what was found is asked whether it is in doubt
TINY = 96  # pixels along the longer side of the picture that its colours are taken from


class Candidate(NamedTuple):
    """What a field shows of itself, as far as picking goes."""

    doubt: float  # mean of its cells, 0: all sure, 1: all on their threshold
    cells: int  # found, from FROM up
    traits: np.ndarray  # (d,) what it looks like


def measure_doubt(probability: np.ndarray, threshold: np.ndarray) -> np.ndarray:
    """How near cells (n,) lie to where they would just be counted: 1 at their threshold (n,), down
    to 0 where a probability can be no surer."""
    reach = np.where(probability >= threshold, 1 - threshold, threshold)
    return 1 - np.abs(probability - threshold) / np.maximum(reach, 1e-6)


def describe_candidate(
    image: np.ndarray, cells: Cells, thresholds: np.ndarray, cell_px: float
) -> Candidate:
    """A field (h, w, 3) uint8 by what was found in it: `thresholds` (k,) of the labels, `cell_px`
    pixels across a red cell.

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
    return Candidate(float(doubt.mean()) if len(doubt) else 1.0, len(doubt), np.array(traits))


def look_at(detector: Detector, image: np.ndarray, cell_px: float | None) -> Candidate:
    """What a field (h, w, 3) uint8 shows of itself to a model; `cell_px` where it is known."""
    found = detector.search(image, FROM, cell_px)
    return describe_candidate(image, found.cells, detector.thresholds, found.scale.cell_px)


def pick_fields(candidates: Sequence[Candidate], count: int) -> list[tuple[int, str]]:
    """The `count` fields that would teach most, the most telling first: index, and why in words.

    One after the other: of those left, that whose doubt times its distance to the nearest one
    picked is largest. Traits are compared in standard deviations of the candidates.
    """
    if not candidates:
        return []
    traits = np.stack([c.traits for c in candidates])
    traits = (traits - traits.mean(axis=0)) / np.maximum(traits.std(axis=0), 1e-6)
    doubt = np.array([c.doubt for c in candidates])
    distance = np.full(len(candidates), np.sqrt(traits.shape[1]))
    left = np.ones(len(candidates), bool)
    picked: list[tuple[int, str]] = []
    for _ in range(min(count, len(candidates))):
        worth = np.where(left, (doubt + 0.01) * (distance + 0.01), -1.0)
        best = int(np.argmax(worth))
        alike = "" if not picked else f", {distance[best]:.1f} from the nearest one picked"
        of = f"doubt {doubt[best]:.2f} over {candidates[best].cells} cells"
        picked.append((best, of + alike))
        left[best] = False
        distance = np.minimum(distance, np.linalg.norm(traits - traits[best], axis=1))
    return picked
