"""What the network for fields is shown, and the answer wanted: windows, cells laid over, targets.

Many datasets leave cells without a box (BCCD over half of its red ones), so "no box" is not taken
for "no cell": where a label isn't boxed completely, ground that may show an unboxed cell doesn't
enter its loss, red cells that the network itself comes to find there are added to its labels, and
cells cut out of other fields are laid over each field, so that it also sees crowds in which every
cell is known.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np

from hematovision.cells.cells import LARGE, is_sliver, overlap, sides, touches
from hematovision.networks.tiles import CELL
from hematovision.pictures.frame import QUARTER
from hematovision.pictures.images import resize
from hematovision.pictures.light import GROUND, level_light
from hematovision.training.fields.fields import TrainingField
from hematovision.training.fields.shapes import crenate, misshape, soil
from hematovision.training.fields.stains import stain_anew
from hematovision.training.views import coarsen

# Height and width of training windows, the scales they are drawn at, and how often.
WINDOWS = (
    ((192, 256), (0.35, 0.75), 0.45),
    ((256, 320), (0.7, 1.3), 0.4),
    ((320, 416), (1.0, 1.8), 0.15),
)

MIN_SHOWN = 0.25  # of a cell cut by the border of a window; less isn't learnt as a cell
MOST_CUT = 400  # cells of a laboratory and label that are kept to be laid over fields
FEW_CUT = 8  # below so many, a field is laid over with another laboratory's
LARGEST = 2.0  # times that a white cell laid over is blown up, at most: blasts are so large


class View(NamedTuple):
    """A window of a field as the network is shown it, (height, width) pixels."""

    image: np.ndarray  # (height, width, 3) uint8
    box: np.ndarray  # (n, 4)
    label: np.ndarray  # (n,)
    unsure: np.ndarray  # (height / 4, width / 4) uint8


@dataclass(frozen=True)
class ViewInputs:
    """What the fields are shown by: all that `draw_view` needs but the field."""

    cells: dict[str, list[list[np.ndarray]]]  # by laboratory and label
    typical: np.ndarray  # (k,) side of a cell of each label in parts of a red cell's
    red: np.ndarray  # (k,) bool


def draw_view(
    source: TrainingField, inputs: ViewInputs, window: int, seed: Sequence[int]
) -> tuple[np.ndarray, ...]:
    """A new view of a field, and the answer to it."""
    rng = np.random.default_rng(seed)
    size, scales, _ = WINDOWS[window]
    view, zoom = cut_window(source, size, scales, rng)
    if rng.random() < 0.6:
        cells = choose_cells(inputs.cells, source.lab, rng)
        view = lay_over(view, zoom, cells, inputs.typical, inputs.red, rng)
    view = flip(view, rng)
    image, cell_px = view.image, CELL * zoom
    image = crenate(image, cell_px, rng) if rng.random() < 0.15 else image
    image = soil(image, cell_px, rng) if rng.random() < 0.2 else image
    image = coarsen(image, cell_px, rng) if rng.random() < 0.4 else image
    image = stain_anew(image, rng) if rng.random() < 0.85 else image
    return (level_light(image), *draw_target(view, source.complete))


def cut_window(
    source: TrainingField,
    size: tuple[int, int],
    scales: tuple[float, float],
    rng: np.random.Generator,
) -> tuple[View, float]:
    """A window of `size` (height, width) at a random scale, and that scale in parts of CELL."""
    image, (h, w) = source.image(), size
    height, width = image.shape[:2]
    scale = CELL / source.cell_px
    lowest = max(scales[0], h / (height * scale), w / (width * scale))
    zoom = np.exp(rng.uniform(np.log(lowest), np.log(max(scales[1], lowest))))
    stretch = np.exp(rng.uniform(-0.08, 0.08))
    wide, high = min(w / (zoom * scale * stretch), width), min(h * stretch / (zoom * scale), height)
    left, top = rng.uniform(0, width - wide + 1e-6), rng.uniform(0, height - high + 1e-6)
    sx, sy = w / wide, h / high

    def warp(picture: np.ndarray, shrunk: int, method: int) -> np.ndarray:
        matrix = np.array([[sx, 0, -left * sx / shrunk], [0, sy, -top * sy / shrunk]])
        return cv2.warpAffine(
            picture,
            matrix,
            (w // shrunk, h // shrunk),
            flags=method,
            borderMode=cv2.BORDER_REPLICATE,
        )

    full = (source.box - (left, top, left, top)) * (sx, sy, sx, sy)
    box = np.clip(full, 0, [w, h, w, h])
    shown = (sides(box) / np.maximum(sides(full), 1)) ** 2
    kept = (shown >= MIN_SHOWN) & (box[:, 2:] - box[:, :2] > 4).all(axis=1)
    kept &= ~is_sliver(box, w, h, MIN_SHOWN * CELL * zoom) | (sides(full) < CELL * zoom / 2)
    unsure = warp(source.unsure(), QUARTER, cv2.INTER_NEAREST)
    view = View(warp(image, 1, cv2.INTER_LINEAR), box[kept], source.label[kept], unsure)
    return view, float(zoom)


def cut_cells(
    fields: Sequence[TrainingField], labels: int, rng: np.random.Generator
) -> dict[str, list[list[np.ndarray]]]:
    """Annotated cells that no border cuts, CELL-scaled uint8, by laboratory and label: to lay over
    fields.

    Of each laboratory and label no more than MOST_CUT, at random.
    """
    cells: dict[str, list[list[np.ndarray]]] = {}
    count: Counter[tuple[str, int]] = Counter()
    for i in rng.permutation(len(fields)).tolist():
        source = fields[i]
        wanted = np.array([count[source.lab, k] < MOST_CUT for k in range(labels)])
        if not wanted[source.label].any():
            continue
        image = source.image()
        cut = touches(source.box, image.shape[1], image.shape[0]).any(axis=1)
        chosen = ~cut & wanted[source.label]
        for (x0, y0, x1, y1), label in zip(
            source.box[chosen].astype(int), source.label[chosen].tolist(), strict=True
        ):
            scale = CELL / source.cell_px
            size = max(4, round((x1 - x0) * scale)), max(4, round((y1 - y0) * scale))
            mine = cells.setdefault(source.lab, [[] for _ in range(labels)])
            mine[label].append(resize(image[y0:y1, x0:x1], *size))
            count[source.lab, label] += 1
    return cells


def choose_cells(
    cells: dict[str, list[list[np.ndarray]]], lab: str, rng: np.random.Generator
) -> list[list[np.ndarray]]:
    """By label, the cells that are laid over a field of `lab`: mostly its own, so that what is laid
    over doesn't stand out by its colour; where there are few, or else, those of another one."""
    if not cells:
        return []
    chosen = []
    for k in range(len(next(iter(cells.values())))):
        others = [name for name in sorted(cells) if cells[name][k]]
        own = lab in others and len(cells[lab][k]) >= FEW_CUT and rng.random() < 0.7
        name = lab if own or not others else others[rng.integers(len(others))]
        chosen.append(cells[name][k] if name in cells else [])
    return chosen


def lay_over(
    view: View,
    zoom: float,
    cells: Sequence[Sequence[np.ndarray]],
    typical: np.ndarray,
    red: np.ndarray,
    rng: np.random.Generator,
) -> View:
    """The view with some cells more, up to half of each outside or over another.

    Red cells multiply what lies under them by what they let through, as in the microscope; small
    cells show where they are darker; large ones hide what is under them.
    """
    picture, box, label = view.image.astype(np.float32), view.box, view.label
    unsure, (h, w) = view.unsure, view.image.shape[:2]
    kinds: list[int] = []
    for k in range(len(cells)):
        small, large = typical[k] < 0.6, typical[k] > 1.4
        count = int(rng.random() < 0.4) if large and not red[k] else rng.integers(0, 6 - small)
        kinds += [k] * count
    for k in sorted(kinds, key=lambda k: not red[k]):
        if not cells[k]:
            continue
        blown = typical[k] > LARGE and not red[k] and rng.random() < 0.4
        size = rng.uniform(1, LARGEST) if blown else 1.0
        patch, mask = turn_cell(cells[k][int(rng.integers(len(cells[k])))], zoom * size, rng)
        if red[k] and rng.random() < 0.2:
            patch, mask = misshape(patch, mask, rng)
        high, wide = mask.shape[:2]
        for _ in range(8):
            x = int(rng.integers(-int(wide * 0.65), max(w - int(wide * 0.35), 1)))
            y = int(rng.integers(-int(high * 0.65), max(h - int(high * 0.35), 1)))
            new = np.clip([[x, y, x + wide, y + high]], 0, [w, h, w, h]).astype(float)
            if not may_lie(new[0], wide * high, box, red[label], red[k], typical[label]):
                continue
            x0, y0, x1, y1 = new[0].astype(int)
            part, cover = (a[y0 - y : y1 - y, x0 - x : x1 - x] for a in (patch, mask))
            under = picture[y0:y1, x0:x1]
            if red[k]:
                under *= 1 - cover + cover * np.minimum(part / round(255 * GROUND), 1.03)
            else:
                over = np.minimum(part, under) if typical[k] < 0.6 else part
                under += cover * (over - under)
            if not red[k] and typical[k] > 1.4:
                middle = (x0 + x1) / 2 / QUARTER, (y0 + y1) / 2 / QUARTER
                axes = (x1 - x0) / QUARTER, (y1 - y0) / QUARTER
                cv2.ellipse(unsure, (middle, axes, 0.0), 0, -1)
            box, label = np.concatenate([box, new]), np.append(label, k)
            break
    return View(np.clip(picture, 0, 255).astype(np.uint8), box, label, unsure)


def turn_cell(
    cell: np.ndarray, zoom: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """A cut-out cell resized and turned, and its soft elliptic mask (h, w, 1) in [0, 1]."""
    zoom *= np.exp(rng.uniform(-0.15, 0.15))
    patch = resize(cell, *(max(4, round(n * zoom)) for n in cell.shape[1::-1]))
    patch = np.rot90(patch, int(rng.integers(4)))[:, :: rng.choice((1, -1))]
    h, w = patch.shape[:2]
    y, x = np.mgrid[-1 : 1 : h * 1j, -1 : 1 : w * 1j]
    mask = np.clip((1.04 - np.hypot(x, y)) / 0.12, 0, 1).astype(np.float32)
    return patch.astype(np.float32), mask[..., np.newaxis]


def may_lie(
    new: np.ndarray,
    area: float,
    box: np.ndarray,
    is_red: np.ndarray,
    new_red: bool,
    typical: np.ndarray,
) -> bool:
    """Whether a cell may be laid there: enough of it shows, and enough of the others."""
    x0, y0, x1, y1 = new
    if (x1 - x0) * (y1 - y0) < MIN_SHOWN * area:
        return False
    if len(box) == 0:
        return True
    if (overlap(new[np.newaxis], box) > (0.35 if new_red else 0.15)).any():
        return False
    if new_red:  # a red cell lies beside a white one, not within
        x, y = (x0 + x1) / 2, (y0 + y1) / 2
        large = box[~is_red & (typical > 1.4)]
        inside = (large[:, 0] < x) & (x < large[:, 2]) & (large[:, 1] < y) & (y < large[:, 3])
        return not inside.any()
    low, high = np.maximum(new[:2], box[:, :2]), np.minimum(new[2:], box[:, 2:])
    hidden = np.prod(np.maximum(high - low, 0), axis=1) / np.maximum(sides(box) ** 2, 1)
    return not (hidden > 0.35).any() or (x1 - x0) * (y1 - y0) < 0.35 * np.median(sides(box) ** 2)


def flip(view: View, rng: np.random.Generator) -> View:
    image, box, label, unsure = view
    h, w = image.shape[:2]
    if rng.random() < 0.5:
        image, unsure = image[:, ::-1], unsure[:, ::-1]
        box = np.stack([w - box[:, 2], box[:, 1], w - box[:, 0], box[:, 3]], axis=1)
    if rng.random() < 0.5:
        image, unsure = image[::-1], unsure[::-1]
        box = np.stack([box[:, 0], h - box[:, 3], box[:, 2], h - box[:, 1]], axis=1)
    return View(np.ascontiguousarray(image), box, label, np.ascontiguousarray(unsure))


class Target(NamedTuple):
    """What the network should answer to a view; (h, w) is a quarter of the view's size."""

    heat: np.ndarray  # (h, w, k) 1 at a cell's centre, falling off around it
    known: np.ndarray  # (h, w, k) 1 where that is known, else 0
    corner: np.ndarray  # (h, w, 4) the box of the cell here, in strides
    weight: np.ndarray  # (h, w) how much its box counts here


def draw_target(view: View, complete: np.ndarray) -> Target:
    """The answer wanted for a view; `complete` (k,): labels of which no cell lacks its box."""
    h, w = view.unsure.shape
    heat = np.zeros((h, w, len(complete)), np.float32)
    corner, weight, nearest = (np.zeros((h, w, *n), np.float32) for n in ((4,), (), ()))
    for i in np.argsort(-sides(view.box), kind="stable"):  # small cells lie over large ones
        x0, y0, x1, y1 = view.box[i] / QUARTER
        x, y = (
            int(np.clip(round((a + b - 1) / 2), 0, n - 1)) for a, b, n in ((x0, x1, w), (y0, y1, h))
        )
        sx, sy = max((x1 - x0) * 0.09, 0.5), max((y1 - y0) * 0.09, 0.5)
        columns = np.arange(max(0, int(x - 3 * sx - 1)), min(w, int(x + 3 * sx + 2)))
        rows = np.arange(max(0, int(y - 3 * sy - 1)), min(h, int(y + 3 * sy + 2)))
        area = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        fall = ((columns - x) / sx) ** 2 + ((rows - y) / sy)[:, np.newaxis] ** 2
        bump = np.exp(-fall / 2).astype(np.float32)
        here = heat[(*area, view.label[i])]
        np.maximum(here, bump, out=here)
        core = (bump > 0.3) & (bump >= nearest[area])
        nearest[area][core] = bump[core]
        corner[area][core] = x0, y0, x1, y1
        weight[area][core] = bump[core] / bump[bump > 0.3].sum()
    known = np.ones_like(heat)
    known[..., ~complete] = (1 - view.unsure)[..., np.newaxis]
    known[heat > 0.3] = 1
    return Target(heat, known, corner, weight)
