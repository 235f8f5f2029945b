"""What predict.py --field --output leaves: drawn fields, tables, how large the red cells are.

Nothing of a user's is lost to it: what stands there and isn't ours, or was corrected since, is
refused before anything is written.
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from hematovision.annotations.annotation import Annotation
from hematovision.answering.annotated_output import RESERVED, AnnotatedOutput, describe_found
from hematovision.answering.cell_tables import (
    COLUMNS,
    TYPE_COLUMNS,
    Totals,
    add_up,
    list_rows,
    list_types,
    sum_up,
)
from hematovision.answering.counting import CountedField
from hematovision.answering.field_answer import FieldAnswer
from hematovision.answering.gather import CELLS, DIFFERENTIAL, DONE, SUMMARY, Done
from hematovision.cells.cells import sides, touches
from hematovision.cells.drawing import draw_cells
from hematovision.cells.labels import is_rbc
from hematovision.networks.differential import count_types
from hematovision.program.console import UserError, say
from hematovision.program.figures import BLUE, new_figure, save_figure
from hematovision.program.files import write_bytes
from hematovision.program.journal import Journal, digest_run
from hematovision.program.left import Left
from hematovision.program.locks import hold
from hematovision.program.marks import check_drawn, is_drawn, mark_picture
from hematovision.program.share import Share
from hematovision.program.tables import STYLES, csv_table

SIZES, DRAWN = "sizes.png", "_cells.png"


@dataclass(frozen=True)
class Output:
    """What a run is to leave, and where."""

    folder: Path
    labels: Sequence[str]
    types: Sequence[str]
    run: dict[str, Any]  # what the answers hang on beside the images
    confirmed: dict[str, int] = field(default_factory=dict)  # cells of each type, by a person
    with_probability: bool = False  # drawn beside each cell
    annotations: str | None = None  # the format of the dataset that is wanted
    style: str = "plain"  # of the tables
    resume: bool = False  # take up what an earlier run left, and leave it for a later one
    share: Share | None = None  # which part of a larger run this is
    images: str = ""  # digest of the names of all images of that run

    @property
    def reserved(self) -> Sequence[str]:
        """Names that no field's files may have, for what else is to stand beside them."""
        return RESERVED if self.annotations else ()

    def path(self, name: str) -> Path:
        """A table's file, of this share where it is one."""
        return self.share.name(self.folder / name) if self.share else self.folder / name


@dataclass(frozen=True)
class Entry:
    """What the journal keeps of a field that could be read."""

    answer: FieldAnswer
    name: str  # of its drawing, without an ending
    red_sides: list[float]  # of its whole red cells, in pixels
    file: str | None = None  # its picture in the dataset

    def describe(self) -> dict[str, Any]:
        told: dict[str, Any] = {"answer": self.answer.describe(), "name": self.name}
        if self.file is not None:
            told["file_name"] = self.file
        return told | {"red_sides": self.red_sides}

    @classmethod
    def read(cls, told: dict[str, Any]) -> Entry:
        """Back from the journal; KeyError, TypeError or ValueError where it isn't one."""
        answer = FieldAnswer.read(told["answer"])
        return cls(answer, told["name"], told["red_sides"], told.get("file_name"))


class OutputFolder:
    """Pictures and where wanted a dataset of annotations, field by field; at the end, or not at
    all, cells.csv and, of several fields, a summary.

    Memory doesn't grow with the fields, but for their names: what is answered goes to a journal.
    """

    def __init__(self, output: Output) -> None:
        """UserError where another run writes there, or what stands there isn't ours."""
        hold(output.path(CELLS))
        self._output, self._left = output, Left(output.folder)
        self._drawn: set[str] = set()  # names of this run's drawings
        self._passed = 0  # images that this run couldn't read
        for name in (CELLS, SUMMARY, DIFFERENTIAL):
            if self._left.is_changed(path := output.path(name)):
                raise UserError(
                    f"{path}: was changed since it was written, or isn't ours; move it, or name "
                    "another --output"
                )
        check_drawn(output.path(SIZES))
        if output.share and not self._left.is_changed(path := output.path(DONE)):
            path.unlink(missing_ok=True)  # until this run has ended too
        self._annotated = None
        if output.annotations:
            self._annotated = AnnotatedOutput(
                output.folder, output.annotations, output.labels, output.types, self._left
            )

    @functools.cached_property
    def _journal(self) -> Journal:
        """Made when the first answer is noted: a run that is refused leaves none."""
        output = self._output
        return Journal(output.path("answers.jsonl"), output.run, output.resume)

    def take_up(self, images: Sequence[Path]) -> int:
        """How many of the images, from the first on, an earlier run has answered."""

        def stands(entry: dict[str, Any]) -> bool:
            if "answer" not in entry:
                return True
            self._drawn.add(entry["name"])
            return is_drawn(self._output.folder / f"{entry['name']}{DRAWN}")

        return self._journal.take_up(images, stands)

    def list_images(self) -> list[Path]:
        """The images that earlier runs were asked about, in their order."""
        return self._journal.list_images()

    def check(self, names: Sequence[str]) -> None:
        """UserError where what is to be written under these names would replace something that
        isn't ours, or was corrected."""
        for name in names:
            check_drawn(self._output.folder / f"{name}{DRAWN}")
        if self._annotated:
            self._annotated.check(names)

    def list_entries(self) -> Iterator[Entry]:
        """The fields so far, one at a time."""
        return map(Entry.read, self._journal)

    @property
    def unread(self) -> int:
        """How many images couldn't be read, those taken up among them."""
        return self._journal.unread + self._passed

    def pass_over(self, path: Path) -> None:
        """Note that a picture couldn't be read."""
        self._passed += 1
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
        png = cv2.imencode(".png", drawn[..., ::-1])[1].tobytes()
        self._drawn.add(name)
        write_bytes(self._output.folder / f"{name}{DRAWN}", mark_picture(png))
        file = self._annotated.add(name, field) if self._annotated else None
        red_sides = measure_red(field, counted, list(self._output.labels))
        self._journal.add(field.path, Entry(field.answer, name, red_sides, file).describe())

    def finish(self) -> None:
        """Write the tables, and what speaks of all fields."""
        output, totals = self._output, Totals()
        style, written = STYLES[output.style], self._left.written
        red_sides: Counter[float] = Counter()
        with csv_table(output.path(CELLS), COLUMNS, style, written) as table:
            for entry in self.list_entries():
                totals.add(entry.answer)
                red_sides.update(entry.red_sides)
                table.writerows(list_rows(entry.answer))
        if totals.fields > 1 or output.share:
            columns = ["image", *output.labels]
            with csv_table(output.path(SUMMARY), columns, style, written) as table:
                table.writerows(sum_up(entry.answer) for entry in self.list_entries())
                table.writerow(add_up(totals.counts, totals.fields))
        if totals.fields > 1:
            plot_sizes(red_sides, totals.fields, output.path(SIZES))
        if output.types:
            found = count_types(totals.named.elements(), output.types, output.confirmed)
            with csv_table(output.path(DIFFERENTIAL), TYPE_COLUMNS, style, written) as table:
                table.writerows(list_types(found))
        if self._annotated:
            self._annotated.close(self._list_found, output.share)
        if output.share:
            self._end_share(totals)
        if not output.resume:
            self._journal.clear()
        self._tell_old()

    def _end_share(self, totals: Totals) -> None:
        """Say that this share's tables stand, for those who gather them."""
        output = self._output
        named = {name or "": n for name, n in totals.named.items()}
        done = Done(
            digest_run(output.run | {"images": output.images}),
            list(output.labels),
            list(output.types),
            output.confirmed,
            output.style,
            totals.fields,
            self.unread,
            dict(sorted(named.items())),
        )
        with self._left.written(output.path(DONE)) as temporary:
            temporary.write_text(done.write(), "utf-8")

    def _list_found(self) -> Iterator[Annotation]:
        """The fields as annotations."""
        for entry in self.list_entries():
            assert entry.file is not None
            yield describe_found(self._output.folder, entry.file, entry.answer)

    def _tell_old(self) -> None:
        """Say where drawings of another run lie between those of this one."""
        if self._output.share:  # between those of the others
            return
        ours = {f"{name}{DRAWN}" for name in self._drawn}
        there = self._output.folder.glob(f"*{DRAWN}")
        old = sorted(path.name for path in there if path.name not in ours and is_drawn(path))
        if old:
            say(
                f"notice: {self._output.folder}: {len(old)} drawings are of another run "
                f"({', '.join(old[:3])}{' ...' if len(old) > 3 else ''})"
            )


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
