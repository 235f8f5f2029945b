"""Cells cut out of other fields, laid over a window: crowds in which every cell is known.

Red cells multiply what lies under them by what they let through, as in the microscope; small cells
show where they are darker; large ones hide what is under them. White cells are blown up now and
then, since blasts and monocytes of another laboratory may be larger than any that was annotated.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import cv2
import numpy as np

from hematovision.cells.cells import LARGE, SMALL, overlap, sides, touches
from hematovision.networks.tiles import CELL
from hematovision.pictures.frame import QUARTER
from hematovision.pictures.images import resize
from hematovision.pictures.light import GROUND
from hematovision.training.fields.fields import TrainingField
from hematovision.training.fields.views.shapes import misshape
from hematovision.training.fields.views.windows import MIN_SHOWN, View

MOST_CUT = 400  # cells of a laboratory and label that are kept to be laid over fields
FEW_CUT = 8  # below so many, a field is laid over with another laboratory's
LARGEST = 2.0  # times that a white cell laid over is blown up, at most: blasts are so large
MOST_HIDDEN = 0.35  # of a cell, that one laid over it hides


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

    One that is blown up pushes aside what it would hide: where red cells lie close, there is no
    other room for it.
    """
    picture, box, label = view.image.astype(np.float32), view.box, view.label
    unsure, (h, w) = view.unsure, view.image.shape[:2]
    kinds: list[int] = []
    for k in range(len(cells)):
        small, large = typical[k] < SMALL, typical[k] > LARGE
        count = int(rng.random() < 0.5) if large and not red[k] else rng.integers(0, 6 - small)
        kinds += [k] * count
    for k in sorted(kinds, key=lambda k: not red[k]):
        if not cells[k]:
            continue
        blown = typical[k] > LARGE and not red[k] and rng.random() < 0.6
        size = rng.uniform(1, LARGEST) if blown else 1.0
        patch, mask = turn_cell(cells[k][int(rng.integers(len(cells[k])))], zoom * size, rng)
        if red[k] and rng.random() < 0.2:
            patch, mask = misshape(patch, mask, rng)
        high, wide = mask.shape[:2]
        for _ in range(8):
            x = int(rng.integers(-int(wide * 0.65), max(w - int(wide * 0.35), 1)))
            y = int(rng.integers(-int(high * 0.65), max(h - int(high * 0.35), 1)))
            new = np.clip([[x, y, x + wide, y + high]], 0, [w, h, w, h]).astype(float)
            aside = blown & (red[label] | (typical[label] < SMALL))
            stays = ~(aside & (measure_hidden(new[0], box) > MOST_HIDDEN))
            rest = box[stays], label[stays]
            if not may_lie(new[0], wide * high, rest[0], red[rest[1]], red[k], typical[rest[1]]):
                continue
            uncover(picture, box[~stays], rest[0])
            x0, y0, x1, y1 = new[0].astype(int)
            part, cover = (a[y0 - y : y1 - y, x0 - x : x1 - x] for a in (patch, mask))
            paste(picture[y0:y1, x0:x1], part, cover, red[k], typical[k] < SMALL)
            if not red[k] and typical[k] > LARGE:
                middle = (x0 + x1) / 2 / QUARTER, (y0 + y1) / 2 / QUARTER
                axes = (x1 - x0) / QUARTER, (y1 - y0) / QUARTER
                cv2.ellipse(unsure, (middle, axes, 0.0), 0, -1)
            box, label = np.concatenate([rest[0], new]), np.append(rest[1], k)
            break
    return View(np.clip(picture, 0, 255).astype(np.uint8), box, label, unsure)


def paste(
    under: np.ndarray, part: np.ndarray, cover: np.ndarray, lets_through: bool, darkens: bool
) -> None:
    """Lay a cell over what lies under it, both (h, w, 3) float, where its mask covers it (h, w, 1):
    seen through, where it is darker, or hiding it."""
    if lets_through:
        under *= 1 - cover + cover * np.minimum(part / round(255 * GROUND), 1.03)
    else:
        under += cover * ((np.minimum(part, under) if darkens else part) - under)


def uncover(picture: np.ndarray, boxes: np.ndarray, others: np.ndarray) -> None:
    """Show the ground of a picture (h, w, 3) float where cells were, in `boxes` (n, 4), and the
    `others` (m, 4) don't lie."""
    if not len(boxes):
        return
    gone = np.zeros((*picture.shape[:2], 1), np.float32)
    for lies, of in ((1, boxes), (0, others)):
        for x0, y0, x1, y1 in of.astype(int).tolist():
            cover = draw_mask(y1 - y0, x1 - x0, reach=1.2)
            gone[y0:y1, x0:x1] += cover * (lies - gone[y0:y1, x0:x1])
    picture += gone * (np.percentile(picture[::QUARTER, ::QUARTER], 90, axis=(0, 1)) - picture)


def turn_cell(
    cell: np.ndarray, zoom: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """A cut-out cell resized and turned, and its soft elliptic mask (h, w, 1) in [0, 1]."""
    zoom *= np.exp(rng.uniform(-0.15, 0.15))
    patch = resize(cell, *(max(4, round(n * zoom)) for n in cell.shape[1::-1]))
    patch = np.rot90(patch, int(rng.integers(4)))[:, :: rng.choice((1, -1))]
    return patch.astype(np.float32), draw_mask(*patch.shape[:2])


def draw_mask(height: int, width: int, reach: float = 1.04) -> np.ndarray:
    """A soft ellipse (height, width, 1) in [0, 1]; `reach`: where it ends, in parts of the sides'
    halves."""
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    mask = np.clip((reach - np.hypot(x, y)) / 0.12, 0, 1).astype(np.float32)
    return mask[..., np.newaxis]


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
        large = box[~is_red & (typical > LARGE)]
        inside = (large[:, 0] < x) & (x < large[:, 2]) & (large[:, 1] < y) & (y < large[:, 3])
        return not inside.any()
    hidden = measure_hidden(new, box) > MOST_HIDDEN
    return not hidden.any() or (x1 - x0) * (y1 - y0) < 0.35 * np.median(sides(box) ** 2)


def measure_hidden(new: np.ndarray, box: np.ndarray) -> np.ndarray:
    """The share of each box (n, 4) that lies under a new one (4,): (n,)."""
    low, high = np.maximum(new[:2], box[:, :2]), np.minimum(new[2:], box[:, 2:])
    return np.prod(np.maximum(high - low, 0), axis=1) / np.maximum(sides(box) ** 2, 1)
