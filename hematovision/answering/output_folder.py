"""What predict.py --field --output leaves: drawn fields, tables, how large the red cells are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hematovision.annotations.annotation import Annotation
from hematovision.answering.annotated_output import AnnotatedOutput, describe_found
from hematovision.answering.cell_tables import COLUMNS, list_rows, sum_up
from hematovision.answering.counting import CountedField
from hematovision.answering.field_answer import FieldAnswer
from hematovision.answering.red_sizes import measure_red, plot_sizes
from hematovision.cells.drawing import draw_cells
from hematovision.pictures.images import write_image
from hematovision.program.journal import Journal
from hematovision.program.share import Share
from hematovision.program.tables import csv_table


@dataclass(frozen=True)
class Output:
    """What a run is to leave, and where."""

    folder: Path
    labels: Sequence[str]
    types: Sequence[str]
    run: dict[str, Any]  # what the answers hang on beside the images
    with_probability: bool = False  # drawn beside each cell
    annotations: str | None = None  # the format of the dataset that is wanted
    resume: bool = False  # take up what an earlier run left, and leave it for a later one
    share: Share | None = None  # which part of a larger run this is

    def path(self, name: str) -> Path:
        """A table's file, of this share where it is one."""
        return self.share.name(self.folder / name) if self.share else self.folder / name


@dataclass(frozen=True)
class Entry:
    """What the journal keeps of a field that could be read."""

    answer: FieldAnswer
    red_sides: list[float]  # of its whole red cells, in pixels
    file: str | None = None  # its picture in the dataset

    def describe(self) -> dict[str, Any]:
        told: dict[str, Any] = {"answer": self.answer.describe()}
        if self.file is not None:
            told["file_name"] = self.file
        return told | {"red_sides": self.red_sides}

    @classmethod
    def read(cls, told: dict[str, Any]) -> Entry:
        """Back from the journal; KeyError, TypeError or ValueError where it isn't one."""
        answer = FieldAnswer.read(told["answer"])
        return cls(answer, told["red_sides"], told.get("file_name"))


class OutputFolder:
    """Pictures and where wanted a dataset of annotations, field by field; at the end, or not at
    all, cells.csv and, of several fields, a summary.

    Memory doesn't grow with the fields, but for their names: what is answered goes to a journal.
    """

    def __init__(self, output: Output) -> None:
        self._output = output
        self._annotated = None
        if output.annotations:
            names = [*output.labels, *output.types]
            self._annotated = AnnotatedOutput(output.folder, output.annotations, names)
        self._journal = Journal(output.path("answers.jsonl"), output.run, output.resume)

    def take_up(self, images: Sequence[Path]) -> int:
        """How many of the images, from the first on, an earlier run has answered."""
        return self._journal.take_up(images)

    def list_entries(self) -> Iterator[Entry]:
        """The fields so far, one at a time."""
        return map(Entry.read, self._journal)

    @property
    def unread(self) -> int:
        """How many of the images taken up couldn't be read."""
        return self._journal.unread

    def pass_over(self, path: Path) -> None:
        """Note that a picture couldn't be read."""
        self._journal.add(path, {})

    def add(self, name: str, field: CountedField) -> None:
        """Draw one field as `name`, and note its answer."""
        counted = np.array([cell.counted for cell in field.answer.cells], bool)
        drawn = draw_cells(
            field.image,
            field.cells.pick(counted),
            self._output.labels,
            self._output.with_probability,
            [cell.name for cell in field.answer.list_counted()],
        )
        write_image(self._output.folder / f"{name}_cells.png", drawn)
        file = self._annotated.add(name, field) if self._annotated else None
        red_sides = measure_red(field, counted, list(self._output.labels))
        self._journal.add(field.path, Entry(field.answer, red_sides, file).describe())

    def finish(self) -> None:
        """Write the tables, and what speaks of all fields."""
        output = self._output
        fields, red_sides = 0, Counter[float]()
        with csv_table(output.path("cells.csv"), COLUMNS) as table:
            for entry in self.list_entries():
                fields += 1
                red_sides.update(entry.red_sides)
                table.writerows(list_rows(entry.answer))
        if fields > 1:
            with csv_table(output.path("summary.csv"), ["image", *output.labels]) as table:
                table.writerows(sum_up(entry.answer) for entry in self.list_entries())
            plot_sizes(red_sides, fields, output.path("sizes.png"))
        if self._annotated:
            self._annotated.close(self._list_found, output.share)
        if not output.resume:
            self._journal.clear()

    def _list_found(self) -> Iterator[Annotation]:
        """The fields as annotations."""
        for entry in self.list_entries():
            assert entry.file is not None
            yield describe_found(self._output.folder, entry.file, entry.answer)
