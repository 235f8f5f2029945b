"""The fields taken before: a cell that one of them showed too is counted once."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from hematovision.answering.counting import CountedField, FieldCounter
from hematovision.answering.field_answer import FieldAnswer, FoundCell, Overlap
from hematovision.answering.given import read_given
from hematovision.answering.overlap import (
    MOST_COMPARED,
    Small,
    find_again,
    find_shift,
    make_small,
)
from hematovision.cells.cells import Cells
from hematovision.program.console import say


class Before:
    """A field taken before."""

    def __init__(self, image: str, cells: Cells, small: Small | None = None) -> None:
        """`cells`: those counted, there or in a field before it; `small`: the field in small, read
        anew where it is wanted and not given."""
        self.image, self.cells, self._small = image, cells, small

    @property
    def small(self) -> Small:
        if self._small is None:
            self._small = make_small(read_given(Path(self.image)))
        return self._small


class Taken:
    """The latest MOST_COMPARED fields, against which each new one is held."""

    def __init__(self, counter: FieldCounter) -> None:
        self._counter = counter
        self._before: deque[Before] = deque(maxlen=MOST_COMPARED)

    def take(self, field: CountedField) -> CountedField:
        """A field with the cells told apart that were counted before; overlaps are said."""
        small = make_small(field.image)
        place = [i for i, cell in enumerate(field.answer.cells) if cell.counted]
        counted = self._pick(field.answer.cells, place)
        overlaps, seen = [], set()
        for before in self._before:
            shift = find_shift(before.small, small)
            if shift is None:
                continue
            again = [place[j] for _, j in find_again(before.cells, counted, shift)]
            seen.update(again)
            at = round(shift.x), round(shift.y)
            overlaps.append(Overlap(before.image, round(shift.share, 4), at))
            say(
                f"notice: {field.path}: {100 * shift.share:.0f} % of it is in {before.image} "
                f"already; {len(again)} cells seen again are counted once"
            )
        cells = tuple(
            replace(cell, counted=False, seen=True, look=False) if i in seen else cell
            for i, cell in enumerate(field.answer.cells)
        )
        self._before.append(Before(field.answer.image, counted, small))
        answer = replace(field.answer, cells=cells, overlaps=tuple(overlaps))
        return field._replace(answer=self._counter.sum_up(answer))

    def take_again(self, answer: FieldAnswer) -> None:
        """Take a field that an earlier run has answered."""
        there = [i for i, cell in enumerate(answer.cells) if cell.counted or cell.seen]
        self._before.append(Before(answer.image, self._pick(answer.cells, there)))

    def _pick(self, cells: Sequence[FoundCell], place: Sequence[int]) -> Cells:
        """Some of a field's cells, in whole pixels."""
        of = [cells[i] for i in place]
        box = np.array([cell.box for cell in of], float).reshape(-1, 4)
        label = np.array([self._counter.labels.index(cell.label) for cell in of], int)
        return Cells(box, label, np.array([cell.probability for cell in of]))
