"""Population: the many of a field, and which cells are one of them whatever they were called.

    recalled = recall_many(cells, levelled, sure, typical, red)

In every smear red cells are the many, of one size and one colour, while a stain that training has
never seen makes white cells of some of them. So what was called white, and has the size and the
colour of the field's whole red cells, is one of them.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from hematovision.cells.cells import LARGE, SMALL, Cells, sides, touches
from hematovision.pictures.light import DENSITY

LEAST = 10  # whole cells from which there are many
DEVIATIONS = 2.0  # from the median, up to which a cell is one of the many
NARROWEST = 0.08  # least deviation, of log size and of density's: no crowd is so alike
MIDDLE = 0.15  # of a box's sides, left out on each: the corners are the ground's or a neighbour's


class Population(NamedTuple):
    """The many of a field: the median of their whole cells, and a standard deviation, both
    robust."""

    size: float  # log of the side in pixels
    size_spread: float
    density: np.ndarray  # (3,) mean optical density of red, green and blue light
    density_spread: np.ndarray  # (3,)

    def holds(self, size: np.ndarray, density: np.ndarray, deviations: float) -> np.ndarray:
        """Whether cells of these log sizes (n,) and densities (n, 3) are like the many, in each of
        the four: (n,) bool."""
        near = np.abs(density - self.density) <= deviations * self.density_spread
        return (np.abs(size - self.size) <= deviations * self.size_spread) & near.all(axis=1)


def measure_density(levelled: np.ndarray, box: np.ndarray) -> np.ndarray:
    """Mean optical density (n, 3) of the middle of boxes (n, 4) in a field (h, w, 3) uint8 whose
    light is level, of red, green and blue light: a nucleus takes the red that a red cell lets
    through."""
    height, width = levelled.shape[:2]
    margin = (box[:, 2:] - box[:, :2]) * MIDDLE
    low = np.clip(np.floor(box[:, :2] + margin), 0, [width - 1, height - 1]).astype(int)
    high = np.clip(np.ceil(box[:, 2:] - margin), 1, [width, height]).astype(int)
    high = np.maximum(high, low + 1)
    return np.array([
        DENSITY[levelled[y0:y1, x0:x1]].mean(axis=(0, 1))
        for (x0, y0), (x1, y1) in zip(low.tolist(), high.tolist(), strict=True)
    ]).reshape(-1, 3)  # fmt: skip


def measure_population(size: np.ndarray, density: np.ndarray) -> Population:
    """The population of cells of these log sizes (n,) and densities (n, 3): medians, and 1.4826
    times the median distance from them, which is a normal distribution's deviation."""
    middle, usual = float(np.median(size)), np.median(density, axis=0)
    size_spread = 1.4826 * float(np.median(np.abs(size - middle)))
    density_spread = 1.4826 * np.median(np.abs(density - usual), axis=0)
    return Population(
        middle, max(size_spread, NARROWEST), usual, np.maximum(density_spread, NARROWEST)
    )


def find_many(
    cells: Cells, levelled: np.ndarray, sure: np.ndarray, typical: np.ndarray, red: np.ndarray
) -> Population | None:
    """The many of a field, None where there are fewer than LEAST.

    They are all whole cells but small ones, where half of these or more were called red; where
    white cells are the many, as in leukaemia, the red ones alone. `sure` (n,) bool: the cells that
    count; `typical` (k,): side of a cell of each label in parts of a red cell's; `red` (k,) bool.
    """
    whole = sure & ~touches(cells.box, levelled.shape[1], levelled.shape[0]).any(axis=1)
    whole &= typical[cells.label] > SMALL
    reds = whole & red[cells.label]
    many = np.flatnonzero(whole if 2 * reds.sum() >= whole.sum() else reds)
    if len(many) < LEAST:
        return None
    return measure_population(
        np.log(np.maximum(sides(cells.box[many]), 1)), measure_density(levelled, cells.box[many])
    )


def recall_many(
    cells: Cells, levelled: np.ndarray, sure: np.ndarray, typical: np.ndarray, red: np.ndarray
) -> tuple[Cells, np.ndarray]:
    """The cells, those called red that were called white but are one of the many, and which these
    are: (n,) bool. Arguments as in `find_many`."""
    recalled = np.zeros(len(cells.label), bool)
    of_white = np.flatnonzero((typical[cells.label] > LARGE) & ~red[cells.label])
    many = find_many(cells, levelled, sure, typical, red) if len(of_white) else None
    if many is None or not red.any():
        return cells, recalled
    size = np.log(np.maximum(sides(cells.box[of_white]), 1))
    density = measure_density(levelled, cells.box[of_white])
    recalled[of_white] = many.holds(size, density, DEVIATIONS)
    return cells._replace(label=np.where(recalled, int(np.argmax(red)), cells.label)), recalled
