"""Scale: how many pixels a red cell of a field is across, and whether what is found there agrees.

    measure_cell_px(run, image, typical, red)     # -> Scale(cell_px, certain)

A field comes without its magnification. The network is sure of cells only where they are about as
large as those it has learnt, within an octave either way, and sees their size rightly there; at any
other scale, what it takes for cells explains little of what is darker than the ground. So a field
is looked at from coarse to fine until cells explain most of the dark.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np

from hematovision.cells.cells import SMALL, Cells, sides, touches
from hematovision.networks.tiles import Run, find_cells
from hematovision.pictures.frame import QUARTER

LOOK = 192  # pixels of the network's input that a look is wide and high, at most
SEEN = 40  # pixels across a red cell in a look at the right scale: half of what it is found at
STEP = 2.2  # from one scale looked at to the next: an octave either way is seen rightly
MIN_CELL_PX = 9  # pixels of a field across which a red cell can't be told from noise
MIN_PROBABILITY = 0.3  # of what is seen in a look
CONVINCING, DOUBTFUL = 0.45, 0.35  # shares of the dark: more is explained at the right scale; less
SURE = 0.42  # median probability of the cells of a convincing look
# The same of so many cells, whose size is as supposed: in a crowd each is less sure.
CROWD, SURE_IN_CROWD = 8, 0.35
LEAST = 3  # cells that a look's size rests on: one box over all the dark explains it, too
NEAR = 0.4  # |log| of seen to supposed size, up to which a scale needs no further look
PLACES = 9  # a look's place is one of 9 x 9
OVERVIEW = 512  # pixels of the longer side at which ground and places are measured
EMPTY = 0.001  # share of dark up to which a field shows nothing that a cell should explain
FAINT = 8  # grey levels under the ground that are no cell yet


class Scale(NamedTuple):
    """How large a red cell of a field is, and whether the field's look agrees with that."""

    cell_px: float  # pixels of the field across
    certain: bool


@dataclass(frozen=True)
class Look:
    """What was seen in one part of a field at one scale."""

    supposed: float  # pixels of the field across a red cell
    seen: float  # the same, by the cells found
    explained: float  # share of the dark in [0, 1], see `explain_dark`
    count: int  # cells that tell the size
    probability: float  # their median

    def weigh(self) -> float:
        """How much a look explains, the less its cells are fewer than LEAST."""
        return self.explained * min(self.count, LEAST) / LEAST

    def is_sure(self) -> bool:
        """Whether its cells are as probable as those of a field at about the right scale."""
        as_supposed = abs(float(np.log(self.seen / self.supposed))) < NEAR
        crowd = self.count >= CROWD and as_supposed
        return self.probability >= (SURE_IN_CROWD if crowd else SURE)

    def convinces(self, min_count: int = LEAST) -> bool:
        """Whether this is how a field looks at about the right scale."""
        return self.count >= min_count and self.explained >= CONVINCING and self.is_sure()


def measure_ground(image: np.ndarray) -> tuple[np.ndarray, float, float]:
    """Green light (h, w) of a field in overview, the ground's brightness, and where dark begins.

    Every stain absorbs green. Otsu's threshold (1979) tells cells from ground; where there is only
    ground, what little it separates is too faint to be dark.
    """
    height, width = image.shape[:2]
    shrink = max(height, width, OVERVIEW) / OVERVIEW
    size = max(1, round(width / shrink)), max(1, round(height / shrink))
    green = cv2.resize(cv2.extractChannel(image, 1), size, interpolation=cv2.INTER_AREA)
    otsu, _ = cv2.threshold(green.reshape(-1, 1), 0, 255, cv2.THRESH_OTSU)
    pale = green > otsu
    bright = float(np.median(green[pale])) if pale.any() else float(green.max())
    dim = float(np.median(green[~pale])) if not pale.all() else bright
    return green, bright, min(bright - 0.35 * (bright - dim), bright - FAINT)


def explain_dark(image: np.ndarray, cells: Cells, dark_from: float, scale: float) -> float:
    """Share in [0, 1] of what is darker than `dark_from` that lies in boxes, each counted by its
    probability; drawn at `scale` in parts of the image's resolution."""
    height, width = image.shape[:2]
    size = max(1, round(width * scale)), max(1, round(height * scale))
    green = cv2.resize(cv2.extractChannel(image, 1), size, interpolation=cv2.INTER_AREA)
    dark = green < dark_from
    if dark.mean() < 0.002:
        return 0.0
    explained = np.zeros(dark.shape, np.float32)
    for (x0, y0, x1, y1), p in zip(cells.box * scale, cells.probability, strict=True):
        part = explained[int(y0) : int(np.ceil(y1)), int(x0) : int(np.ceil(x1))]
        np.maximum(part, p, out=part)
    return float(explained[dark].mean())


def pick_telling(
    cells: Cells, width: float, height: float, typical: np.ndarray, red: np.ndarray
) -> Cells:
    """The cells that tell the size of a red one: whole red cells; where there are fewer than three,
    large ones of any label, else all whole ones, else all.

    `typical` (k,): side of a cell of each label in parts of a red cell's; `red` (k,) bool.
    """
    whole = np.asarray(~touches(cells.box, width, height).any(axis=1))
    for chosen in (whole & red[cells.label], whole & (typical[cells.label] > SMALL)):
        if chosen.sum() >= 3:
            return cells.pick(chosen)
    return cells.pick(whole) if whole.any() else cells


def measure_seen(cells: Cells, typical: np.ndarray) -> float:
    """How large a red cell is by the median of `cells`, in pixels."""
    return float(np.median(sides(cells.box) / typical[cells.label]))


class Search:
    """Looks at a field (height, width, 3) uint8 with its light levelled."""

    def __init__(self, run: Run, image: np.ndarray, typical: np.ndarray, red: np.ndarray) -> None:
        self.run, self.image, self.typical, self.red = run, image, typical, red
        green, bright, self.dark_from = measure_ground(image)
        self.is_empty = bool((green < self.dark_from).mean() < EMPTY)
        self.shade = np.maximum(bright - green.astype(np.float32), 0)

    def places(self, cell_px: float) -> Iterator[tuple[int, int, int, int]]:
        """Parts of the field (top, left, height, width) to look at: first one that is as full as
        most that aren't empty, then those far from the ones before."""
        height, width = self.image.shape[:2]
        high, wide = (min(n, max(1, round(LOOK * cell_px / SEEN))) for n in (height, width))
        if (high, wide) == (height, width):
            yield 0, 0, high, wide
            return
        shrink = height / self.shade.shape[0]
        tops, lefts = (np.linspace(0, n - m, PLACES) for n, m in ((height, high), (width, wide)))
        box = max(1, round(wide / shrink)), max(1, round(high / shrink))
        full = cv2.blur(self.shade, box, borderType=cv2.BORDER_REFLECT)
        rows = ((tops + high / 2) / shrink).astype(int).clip(0, full.shape[0] - 1)
        columns = ((lefts + wide / 2) / shrink).astype(int).clip(0, full.shape[1] - 1)
        full = full[np.ix_(rows, columns)].ravel() + 1
        usual = np.percentile(full[full > full.max() / 4], 60)
        odd = 0.7 * np.abs(np.log(full / usual))
        y, x = (n.ravel() for n in np.mgrid[-1 : 1 : PLACES * 1j, -1 : 1 : PLACES * 1j])
        best = int(np.argmin(odd + 0.1 * np.hypot(y, x)))
        far = np.full(len(full), np.inf)
        for _ in range(PLACES):
            yield int(tops[best // PLACES]), int(lefts[best % PLACES]), high, wide
            far = np.minimum(far, np.hypot(y - y[best], x - x[best]))
            best = int(np.argmax(far - odd))

    def look(self, cell_px: float, place: tuple[int, int, int, int]) -> Look:
        """What is seen at a place where a red cell is supposed to be `cell_px` across."""
        top, left, high, wide = place
        part = self.image[top : top + high, left : left + wide]
        cells = find_cells(self.run, part, cell_px, MIN_PROBABILITY, SEEN)
        if len(cells.label) == 0:
            return Look(cell_px, cell_px, 0.0, 0, 0.0)
        explained = explain_dark(part, cells, self.dark_from, SEEN / cell_px / QUARTER)
        cells = pick_telling(cells, wide, high, self.typical, self.red)
        seen, probability = measure_seen(cells, self.typical), float(np.median(cells.probability))
        return Look(cell_px, seen, explained, len(cells.label), probability)

    def refine(self, look: Look) -> Look:
        """Look again at the scale that was seen, until it is the one supposed."""
        for _ in range(3):
            if look.count == 0 or abs(np.log(look.seen / look.supposed)) < NEAR:
                break
            again = self.look(look.seen, next(self.places(look.seen)))
            if again.explained < 0.7 * look.explained:
                break
            look = again
        return look


def measure_cell_px(run: Run, image: np.ndarray, typical: np.ndarray, red: np.ndarray) -> Scale:
    """How many pixels across a red cell of a field (height, width, 3) uint8, levelled, is.

    The first look takes in the whole field; each further one, a part in which cells STEP times
    smaller would be as large as the network knows them. The first that convinces is right, as a
    rule the first or second of all; where none does, the best is taken, and called uncertain
    unless several places agree. `typical` (k,): side of a cell of each label in parts of a red
    cell's; `red` (k,) bool.
    """
    search = Search(run, image, typical, red)
    looks: list[Look] = []
    cell_px = SEEN * max(image.shape[:2]) / LOOK
    while not looks or cell_px >= MIN_CELL_PX:
        for place, _ in zip(search.places(cell_px), range(2), strict=False):
            looks.append(search.look(cell_px, place))
            if looks[-1].convinces(5 if len(looks) > 1 else LEAST):
                look = search.refine(looks[-1])
                if look.convinces():
                    return Scale(look.seen, True)
                looks.append(look)
            if looks[-1].explained > 0.4:
                break
        cell_px /= STEP
    best = search.refine(max(looks, key=Look.weigh))
    elsewhere = [
        search.look(best.seen, place)
        for place, _ in zip(search.places(best.seen), range(3), strict=False)
    ]
    agreeing = [look for look in (best, *elsewhere) if look.explained > 0.5 * best.explained]
    counts = [max(look.count, 1) for look in agreeing] or None
    size = np.exp(np.average([np.log(look.seen) for look in agreeing or [best]], weights=counts))
    certain = search.is_empty or (best.weigh() >= DOUBTFUL and best.is_sure())
    return Scale(float(size), certain)
