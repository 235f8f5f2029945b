"""How large the red cells of fields are: measured field by field, drawn as sizes.png."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np

from hematovision.answering.counting import CountedField
from hematovision.cells.cells import sides, touches
from hematovision.cells.labels import is_rbc
from hematovision.program.figures import BLUE, new_figure, save_figure


def measure_red(field: CountedField, counted: np.ndarray, labels: list[str]) -> list[float]:
    """Sides in pixels, to a tenth, of the whole red cells among a field's `counted` (n,) bool."""
    cells = field.cells.pick(counted)
    red = np.array([is_rbc(labels[k]) for k in cells.label], bool)
    whole = ~touches(cells.box, field.answer.width, field.answer.height).any(axis=1)
    return np.round(sides(cells.box[red & whole]), 1).tolist()


def plot_sizes(red_sides: Counter[float], fields: int, path: Path) -> None:
    """Draw how large the whole red cells are; `red_sides`: how many there are of each side."""
    figure = new_figure(6.4, 4.2)
    axes = figure.subplots()
    side = np.array(sorted(red_sides))
    count = np.array([red_sides[s] for s in side.tolist()], int)
    axes.hist(side, weights=count, bins=30, color=BLUE)
    spread = ""
    if len(side):
        share = (np.cumsum(count) - count / 2) / count.sum()
        low, middle, high = np.interp([0.05, 0.5, 0.95], share, side)
        axes.axvline(middle, color="black", linestyle="--")
        spread = f": median {middle:.0f} px, 5 to 95 %: {low:.0f} to {high:.0f} px"
    axes.set(xlabel="side of a red cell, square root of its box (px)", ylabel="red cells")
    title = f"{int(count.sum())} whole red cells of {fields} fields{spread}"
    axes.set_title(title, fontsize=11)
    save_figure(figure, path)
