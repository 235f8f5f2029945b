"""Figures: one palette, one style, PNG files that are the same for the same numbers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hematovision.program.files import written_whole
from hematovision.program.marks import MAKER

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Okabe and Ito's colours, which colour-blind readers can tell apart.
BLUE, ORANGE, GREEN, PINK = "#0072B2", "#D55E00", "#009E73", "#CC79A7"
AMBER, SKY, YELLOW, GREY = "#E69F00", "#56B4E9", "#F0E442", "#7F7F7F"
COLOURS = (BLUE, ORANGE, GREEN, PINK, AMBER, SKY)  # of curves, in this order


def new_figure(width: float, height: float) -> Figure:
    """A figure without a display, whose text is legible at the size a slide shows."""
    from matplotlib import rcdefaults, rcParams
    from matplotlib.figure import Figure

    rcdefaults()  # whatever style file lies in the working or the home folder
    rcParams.update({"font.size": 12, "axes.spines.top": False, "axes.spines.right": False})
    return Figure(figsize=(width, height), dpi=120, layout="constrained")


def save_figure(figure: Figure, path: Path) -> None:
    """Write a figure as PNG, whole or not at all."""
    with written_whole(path) as temporary:
        # No version in the file: the same numbers give the same bytes.
        figure.savefig(temporary, format="png", metadata={"Software": MAKER})


def plot_history(history: Sequence[dict[str, Any]]) -> Figure:
    """Loss and accuracy by epoch, on training views and on validation crops."""
    figure = new_figure(6.4, 7)
    epochs = [row["epoch"] for row in history]
    for axes, name, unit in zip(
        figure.subplots(2, 1), ("loss", "accuracy"), ("loss (nats)", "accuracy"), strict=True
    ):
        for key, colour, text in (
            (name, ORANGE, "training views"),
            (f"val_{name}", BLUE, "validation"),
        ):
            axes.plot(
                epochs, [row.get(key, np.nan) for row in history], "o-", color=colour, label=text
            )
        axes.set(xlabel="epoch (0: head on frozen features)", ylabel=unit, xticks=epochs)
        axes.legend(frameon=False)
    return figure
