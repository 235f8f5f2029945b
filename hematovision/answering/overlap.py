"""Overlap: which part of a field was in an earlier one already, and which cells were counted there.

    shift = find_shift(make_small(earlier), make_small(later))     # None: they share nothing
    find_again(earlier_cells, later_cells, shift)                  # pairs of cells that are one

A stage that is moved by hand shows some of a smear twice. Phase correlation (Kuglin and Hines,
1975) says where one field may lie in another, and the pictures themselves whether it does: that
lamps flicker and light falls askew changes neither.
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np

from hematovision.cells.cells import Cells
from hematovision.pictures.frame import find_frame
from hematovision.pictures.light import level_light

SIDE = 512  # pixels of the longer side at which fields are held against each other
COARSE = 4  # times smaller they are where a shift is sought
BLUR = 9  # pixels there over which light is even
PADDED = 256  # pixels there with the nothing around: twice a field's side, so that no shift is two
PEAKS = 5  # likeliest shifts that are held against the pictures
REFINED = 4  # pixels of SIDE either way in which a shift is sought again
LEAST_SHARED = 0.05  # share of a field that tells an overlap
ALIKE = 0.6  # Pearson's r of what two fields share from which it is the same
WORTH = 0.3  # of that, from which a coarse shift is worth another look
TWICE = 0.5  # of the smaller of two boxes that is shared where both are one cell
MOST_COMPARED = 60  # fields before one that it is held against: a row of the stage and back


class Small(NamedTuple):
    """A field in small: how much more or less green light than around passes, where stain shows
    most."""

    size: tuple[int, int]  # width and height of the field
    fine: np.ndarray  # (h, w) float64, grey levels
    coarse: np.ndarray  # the same, COARSE times smaller
    spectrum: np.ndarray  # (PADDED, PADDED // 2 + 1) complex128: of `coarse`, with nothing around


class Shift(NamedTuple):
    """Where a field's upper left corner lies in an earlier one, in pixels of the field, and what
    share of it the two have in common."""

    x: float
    y: float
    share: float


def make_small(image: np.ndarray) -> Small:
    """A field (height, width, 3) uint8 RGB in small, its frame left out: an eyepiece stays where it
    is while the stage moves."""
    height, width = image.shape[:2]
    shrink = max(1.0, max(width, height) / SIDE)
    size = max(COARSE, round(width / shrink)), max(COARSE, round(height / shrink))
    green = cv2.extractChannel(level_light(image, find_frame(image)), 1)
    fine = cv2.resize(green, size, interpolation=cv2.INTER_AREA)
    small = size[0] // COARSE, size[1] // COARSE
    coarse = cv2.resize(fine, small, interpolation=cv2.INTER_AREA)
    sharp = sharpen(coarse, BLUR)
    spectrum = np.fft.rfft2(sharp, (PADDED, PADDED))
    return Small((width, height), sharpen(fine, COARSE * BLUR | 1), sharp, spectrum)


def sharpen(plane: np.ndarray, across: int) -> np.ndarray:
    """A plane (h, w) uint8 less the mean of so many pixels around: light that falls askew goes."""
    plane = plane.astype(np.float64)
    return plane - cv2.blur(plane, (across, across), borderType=cv2.BORDER_REFLECT)


def correlate(earlier: np.ndarray, later: np.ndarray) -> list[tuple[int, int]]:
    """The PEAKS likeliest shifts x, y of one small field in another by their spectra, the likeliest
    first."""
    cross = earlier * np.conj(later)
    peaks = np.fft.irfft2(cross / np.maximum(np.abs(cross), 1e-12), (PADDED, PADDED))
    shifts = []
    for _ in range(PEAKS):
        y, x = map(int, np.unravel_index(np.argmax(peaks), peaks.shape))
        shifts.append(tuple(n if n < PADDED // 2 else n - PADDED for n in (x, y)))
        around = np.ix_(np.arange(y - 1, y + 2) % PADDED, np.arange(x - 1, x + 2) % PADDED)
        peaks[around] = -np.inf
    return shifts  # type: ignore[return-value]  # a generator's length isn't known


def measure_likeness(earlier: np.ndarray, later: np.ndarray, x: int, y: int) -> float:
    """Pearson's r of two small fields (h, w) where the later one lies at x, y; -1 where they share
    too little to tell."""
    height, width = earlier.shape
    left, right = max(0, x), min(width, x + width)
    top, bottom = max(0, y), min(height, y + height)
    if max(0, right - left) * max(0, bottom - top) < LEAST_SHARED * width * height:
        return -1.0
    first = earlier[top:bottom, left:right]
    second = later[top - y : bottom - y, left - x : right - x]
    first, second = first - first.mean(), second - second.mean()
    spread = float(np.sqrt((first**2).sum() * (second**2).sum()))
    return float((first * second).sum()) / spread if spread > 0 else -1.0


def find_shift(earlier: Small, later: Small) -> Shift | None:
    """Where a field lies in an earlier one of the same size; None where they share nothing."""
    if earlier.size != later.size:
        return None
    shifts = correlate(earlier.spectrum, later.spectrum)
    alike = [measure_likeness(earlier.coarse, later.coarse, x, y) for x, y in shifts]
    x0, y0 = (COARSE * n for n in shifts[int(np.argmax(alike))])
    if max(alike) < WORTH * ALIKE:
        return None
    reach = range(-REFINED, REFINED + 1)
    near = [(x0 + u, y0 + v) for v in reach for u in reach]
    rated = [measure_likeness(earlier.fine, later.fine, x, y) for x, y in near]
    if max(rated) < ALIKE:
        return None
    x, y = near[int(np.argmax(rated))]
    height, width = earlier.fine.shape
    share = (1 - abs(x) / width) * (1 - abs(y) / height)
    return Shift(x * earlier.size[0] / width, y * earlier.size[1] / height, share)


def find_again(earlier: Cells, later: Cells, shift: Shift) -> list[tuple[int, int]]:
    """Which cells of a field are cells of an earlier one again: indices into both, those that share
    most first, each cell with one other at most.

    A cell that the border cuts in one field and that is whole in the other is the same where half
    of the smaller box, TWICE, is shared.
    """
    first, second = earlier.box, later.box + np.tile([shift.x, shift.y], 2)
    low = np.maximum(first[:, None, :2], second[None, :, :2])
    high = np.minimum(first[:, None, 2:], second[None, :, 2:])
    shared = np.prod(np.maximum(high - low, 0), axis=2)
    areas = [np.prod(box[:, 2:] - box[:, :2], axis=1) for box in (first, second)]
    part = shared / np.maximum(np.minimum(areas[0][:, None], areas[1][None]), 1e-9)
    part[earlier.label[:, None] != later.label[None]] = 0
    pairs: list[tuple[int, int]] = []
    for at in np.argsort(-part, axis=None, kind="stable"):
        i, j = divmod(int(at), part.shape[1])
        if part[i, j] < TWICE:
            break
        if all(i != a and j != b for a, b in pairs):
            pairs.append((i, j))
    return pairs
