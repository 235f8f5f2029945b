"""Doubts: why the counts of a field may be wrong, in words."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np

from hematovision.cells.cells import LARGE, SMALL, Cells, sides
from hematovision.networks.population import find_many, measure_density

WHITE_SHARE = 0.1  # white cells for each red one, from which they have to be told apart
APART = 4.0  # deviations from the many, beyond which a white cell is told apart from them
FEW_RED = 3  # red cells that are next to none
LEAST = 5  # cells from which most of them may be doubtful
DOUBTFUL = 0.5  # probability below which a cell is
DARK = 50  # grey level of the ground's green light below which it is dark


class Doubt(NamedTuple):
    """A reason, and what it is called where no words are wanted."""

    kind: str
    words: str


DARK_FIELD = Doubt(
    "dark field",
    "its ground is dark, as in fluorescence, dark field or a negative: what was learnt is stained "
    "smears in bright field, so its counts may be far off",
)


def measure_brightness(image: np.ndarray) -> float:
    """Median green light of what is paler than Otsu's threshold (1979) in a field (h, w, 3)
    uint8 as it was photographed: the ground's, in grey levels."""
    green = cv2.extractChannel(image, 1)[::4, ::4]
    otsu, _ = cv2.threshold(np.ascontiguousarray(green).reshape(-1, 1), 0, 255, cv2.THRESH_OTSU)
    pale = green[green > otsu]
    return float(np.median(pale if pale.size else green))


def find_doubts(
    cells: Cells, levelled: np.ndarray, recalled: int, brightness: float, typical: np.ndarray,
    red: np.ndarray,
) -> tuple[Doubt, ...]:  # fmt: skip
    """Why the counts of a field may be wrong, in the order of weight; nothing where they needn't.

    `cells`: the counted ones; `levelled`: the field, its light level; `recalled`: how many of them
    were called white, but are of the many; `brightness`: of its ground; `typical` (k,): side of a
    cell of each label in parts of a red cell's; `red` (k,) bool.
    """
    doubts = []
    is_red = red[cells.label]
    white = ~is_red & (typical[cells.label] > LARGE)
    reds, whites = int(is_red.sum()), int(white.sum())
    if reds < FEW_RED and (whites or reds or len(cells.label)):
        words = "next to no red cells" if reds else "no red cells"
        doubts.append(Doubt("few red", f"{words}: the others can't be held against them"))
    elif (
        whites + recalled > WHITE_SHARE * reds
        and count_apart(cells, white, levelled, typical, red) < (whites + recalled) / 2
    ):
        doubts.append(Doubt(
            "white like red",
            f"{whites + recalled} cells look white beside {reds} red ones, and size and colour "
            "don't tell them apart: red cells of an unknown stain may be among the white",
        ))  # fmt: skip
    large = cells.pick(typical[cells.label] > SMALL)
    if len(large.label) >= LEAST and float(np.median(large.probability)) < DOUBTFUL:
        doubts.append(Doubt("unsure", "most cells are doubtful"))
    if brightness < DARK:
        doubts.append(Doubt("dark", "the ground is dark: thick smear, or too little light"))
    return tuple(doubts)


def count_apart(
    cells: Cells, white: np.ndarray, levelled: np.ndarray, typical: np.ndarray, red: np.ndarray
) -> int:
    """How many of the white cells, (n,) bool, are told apart from the many by size or density."""
    many = find_many(cells, levelled, np.ones(len(cells.label), bool), typical, red)
    if many is None:
        return int(white.sum())
    size = np.log(np.maximum(sides(cells.box[white]), 1))
    return int((~many.holds(size, measure_density(levelled, cells.box[white]), APART)).sum())
