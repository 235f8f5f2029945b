"""What the network for fields is shown, and the answer wanted: windows, cells laid over, targets.

Many datasets leave cells without a box (BCCD over half of its red ones), so "no box" is not taken
for "no cell": where a label isn't boxed completely, ground that may show an unboxed cell doesn't
enter its loss, red cells that the network itself comes to find there are added to its labels, and
cells cut out of other fields are laid over each field.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from hematovision.cells.cells import sides
from hematovision.networks.tiles import CELL
from hematovision.pictures.frame import QUARTER
from hematovision.pictures.light import level_light
from hematovision.training.fields.fields import TrainingField
from hematovision.training.fields.views.overlays import choose_cells, lay_over
from hematovision.training.fields.views.shapes import crenate, soil
from hematovision.training.fields.views.stains import stain_anew
from hematovision.training.fields.views.windows import WINDOWS, View, cut_window, flip
from hematovision.training.views import coarsen


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
    return (level_light(image), *draw_target(view, source.complete, source.unboxed))


class Target(NamedTuple):
    """What the network should answer to a view; (h, w) is a quarter of the view's size."""

    heat: np.ndarray  # (h, w, k) 1 at a cell's centre, falling off around it
    known: np.ndarray  # (h, w, k) 1 where that is known, else 0
    corner: np.ndarray  # (h, w, 4) the box of the cell here, in strides
    weight: np.ndarray  # (h, w) how much its box counts here


def draw_target(view: View, complete: np.ndarray, unboxed: np.ndarray | None = None) -> Target:
    """The answer wanted for a view; `complete` (k,): labels of which no cell lacks its box,
    `unboxed` (k,): of which ground says nothing."""
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
    if unboxed is not None:
        known[..., unboxed] = 0
    known[heat > 0.3] = 1
    return Target(heat, known, corner, weight)
