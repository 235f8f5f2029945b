"""What predict.py --field --output leaves: drawn fields, tables, how large the red cells are."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hematovision.annotated_output import AnnotatedOutput
from hematovision.cells import Cells, draw_cells, is_rbc, sides, touches
from hematovision.figures import BLUE, new_figure, save_figure
from hematovision.files import csv_table, write_csv
from hematovision.images import write_image

COLUMNS = (
    "image",
    "label",
    "probability",
    "xmin",
    "ymin",
    "xmax",
    "ymax",
    "area_px",
    "counted",
    "type",
)

LONGEST_STEM = 220  # bytes of 255, so that number and ending fit in too


class OutputFolder:
    """Pictures, cells.csv (whole at the end, or not at all), of several fields a summary, and where
    wanted a dataset of annotations."""

    def __init__(
        self,
        folder: Path,
        labels: Sequence[str],
        with_probability: bool,
        annotated: AnnotatedOutput | None = None,
    ) -> None:
        self.folder, self.labels, self.with_probability = folder, labels, with_probability
        self.annotated = annotated
        self.counts: list[dict[str, Any]] = []
        self.red_sides: list[float] = []
        self._names: set[str] = set()
        folder.mkdir(parents=True, exist_ok=True)

    def __enter__(self) -> OutputFolder:
        self._stack = contextlib.ExitStack()
        self._table = self._stack.enter_context(csv_table(self.folder / "cells.csv", COLUMNS))
        return self

    def __exit__(self, *failure: Any) -> None:
        if self.annotated and failure[0] is None:
            self.annotated.close()
        self._stack.__exit__(*failure)

    def add(self, path: Path, image: np.ndarray, cells: Cells, answer: dict[str, Any]) -> None:
        """Draw one field and list its cells."""
        name = self._find_name(path.stem)
        counted = cells.pick(np.array([c["counted"] for c in answer["cells"]], bool))
        names = [c.get("type") or c["label"] for c in answer["cells"] if c["counted"]]
        drawn = draw_cells(image, counted, self.labels, self.with_probability, names)
        write_image(self.folder / f"{name}_cells.png", drawn)
        if self.annotated:
            self.annotated.add(name, path, image, answer)
        for cell in answer["cells"]:
            x0, y0, x1, y1 = cell["box"]
            numbers = f"{cell['probability']:.4f}", x0, y0, x1, y1, (x1 - x0) * (y1 - y0)
            row = (path, cell["label"], *numbers, cell["counted"], cell.get("type") or "")
            self._table.writerow(dict(zip(COLUMNS, row, strict=True)))
        self.counts.append({"image": path, **answer["counts"]})
        red = np.array([is_rbc(self.labels[k]) for k in counted.label], bool)
        whole = ~touches(counted.box, image.shape[1], image.shape[0]).any(axis=1)
        self.red_sides += sides(counted.box[red & whole]).tolist()

    def _find_name(self, stem: str) -> str:
        """A name that no other field has, whatever the case, and that file systems take."""
        while len(os.fsencode(stem)) > LONGEST_STEM:
            stem = stem[:-1]
        name, number = stem, 1
        while name.casefold() in self._names:
            number += 1
            name = f"{stem}_{number}"
        self._names.add(name.casefold())
        return name

    def summarise(self) -> None:
        """Counts by field as summary.csv, and how large the whole red cells are as sizes.png."""
        write_csv(self.folder / "summary.csv", self.counts)
        figure = new_figure(6.4, 4.2)
        axes = figure.subplots()
        axes.hist(self.red_sides, bins=30, color=BLUE)
        spread = ""
        if self.red_sides:
            low, middle, high = np.percentile(self.red_sides, [5, 50, 95])
            axes.axvline(middle, color="black", linestyle="--")
            spread = f": median {middle:.0f} px, 5 to 95 %: {low:.0f} to {high:.0f} px"
        axes.set(xlabel="side of a red cell, square root of its box (px)", ylabel="red cells")
        title = f"{len(self.red_sides)} whole red cells of {len(self.counts)} fields{spread}"
        axes.set_title(title, fontsize=11)
        save_figure(figure, self.folder / "sizes.png")
