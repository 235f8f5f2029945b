"""What predict.py --field --output leaves: drawn fields, tables, how large the red cells are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hematovision.annotations.annotation import Annotation
from hematovision.answering.annotated_output import AnnotatedOutput, describe_found
from hematovision.cells.cells import Cells, sides, touches
from hematovision.cells.drawing import draw_cells
from hematovision.cells.labels import is_rbc
from hematovision.pictures.images import write_image
from hematovision.program.figures import BLUE, new_figure, save_figure
from hematovision.program.files import csv_table
from hematovision.program.journal import Journal
from hematovision.program.share import Share

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


class OutputFolder:
    """Pictures and where wanted a dataset of annotations, field by field; at the end, or not at
    all, cells.csv and, of several fields, a summary.

    Memory doesn't grow with the fields, but for their names: what is answered goes to a journal.
    """

    def __init__(
        self,
        folder: Path,
        labels: Sequence[str],
        with_probability: bool,
        run: dict[str, Any],
        resume: bool,
        share: Share | None = None,
        annotated: AnnotatedOutput | None = None,
    ) -> None:
        """`run`: what the answers hang on beside the images; `resume`: take up what an earlier run
        left, and leave it for a later one; `share`: which part of a larger run this is."""
        self.folder, self.labels, self.with_probability = folder, labels, with_probability
        self.annotated, self._share, self._resume = annotated, share, resume
        self.journal = Journal(self._path("answers.jsonl"), run, resume)

    def _path(self, name: str) -> Path:
        return self._share.name(self.folder / name) if self._share else self.folder / name

    def add(
        self, name: str, path: Path, image: np.ndarray, cells: Cells, answer: dict[str, Any]
    ) -> None:
        """Draw one field as `name`, and note its answer."""
        counted = cells.pick(np.array([c["counted"] for c in answer["cells"]], bool))
        names = [c.get("type") or c["label"] for c in answer["cells"] if c["counted"]]
        drawn = draw_cells(image, counted, self.labels, self.with_probability, names)
        write_image(self.folder / f"{name}_cells.png", drawn)
        entry: dict[str, Any] = {"answer": answer}
        if self.annotated:
            entry["file_name"] = self.annotated.add(name, path, image, answer)
        red = np.array([is_rbc(self.labels[k]) for k in counted.label], bool)
        whole = ~touches(counted.box, image.shape[1], image.shape[0]).any(axis=1)
        entry["red_sides"] = np.round(sides(counted.box[red & whole]), 1).tolist()
        self.journal.add(path, entry)

    def finish(self) -> None:
        """Write the tables, and what speaks of all fields."""
        fields, red_sides = 0, Counter[float]()
        with csv_table(self._path("cells.csv"), COLUMNS) as table:
            for entry in self.journal:
                fields += 1
                red_sides.update(entry["red_sides"])
                table.writerows(list_rows(entry["answer"]))
        if fields > 1:
            with csv_table(self._path("summary.csv"), ["image", *self.labels]) as table:
                for entry in self.journal:
                    answer = entry["answer"]
                    table.writerow({"image": answer["image"], **answer["counts"]})
            self._plot_sizes(red_sides, fields)
        if self.annotated:
            self.annotated.close(
                lambda: (self._describe(entry) for entry in self.journal), self._share
            )
        if not self._resume:
            self.journal.clear()

    def _describe(self, entry: dict[str, Any]) -> Annotation:
        """A field of the journal as an annotation."""
        answer = entry["answer"]
        file, width, height = entry["file_name"], answer["width"], answer["height"]
        return describe_found(self.folder, file, width, height, answer)

    def _plot_sizes(self, red_sides: Counter[float], fields: int) -> None:
        """How large the whole red cells are, as sizes.png."""
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
        save_figure(figure, self._path("sizes.png"))


def list_rows(answer: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The rows of cells.csv for one field."""
    for cell in answer["cells"]:
        x0, y0, x1, y1 = cell["box"]
        numbers = f"{cell['probability']:.4f}", x0, y0, x1, y1, (x1 - x0) * (y1 - y0)
        row = (
            answer["image"], cell["label"], *numbers, cell["counted"], cell.get("type") or ""
        )  # fmt: skip
        yield dict(zip(COLUMNS, row, strict=True))
