"""A run over fields: each one read, counted, printed and kept, in order, and what ends it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hematovision.answering.batch import Batch
from hematovision.answering.count_table import AnswerPrinter
from hematovision.answering.counting import FieldCounter
from hematovision.program.console import say

if TYPE_CHECKING:
    from hematovision.answering.output_folder import Output, OutputFolder


class FieldRun:
    """Fields of one run; how many couldn't be read is `failed`.

    An output folder is made when the first field could be read, so that a run that fails leaves
    none.
    """

    def __init__(
        self, counter: FieldCounter, printer: AnswerPrinter | None, output: Output | None
    ) -> None:
        self.failed = 0
        self._counter, self._printer, self._output = counter, printer, output
        self._target: OutputFolder | None = None
        self._unread: list[Path] = []  # since the output folder was written to

    def _open(self) -> OutputFolder | None:
        """The output folder, where one is wanted."""
        if self._output and not self._target:
            from hematovision.answering.output_folder import OutputFolder

            self._target = OutputFolder(self._output)
        if self._target:
            while self._unread:
                self._target.pass_over(self._unread.pop(0))
        return self._target

    def take_up(self, images: Sequence[Path]) -> int:
        """How many of the images an earlier run has answered: these are printed again."""
        target = self._open()
        if not target:
            return 0
        done = target.take_up(images)
        self.failed += target.unread
        if done and self._printer:
            for entry in target.list_entries():
                self._printer.add(entry.answer)
        return done

    def count(
        self, images: Sequence[Path], names: Iterator[str], notices: list[str], alone: bool
    ) -> None:
        """Answer for fields, one after the other; `names`: of their pictures, `alone`: whether one
        that can't be read ends the run."""
        batch = Batch(self._counter.read, images, 1, notices, alone)
        for (path, image), name in zip(batch, names, strict=False):
            if image is None:
                self.failed += 1
                self._unread.append(path)
                continue
            field = self._counter.count(path, image)
            if target := self._open():
                target.add(name, field)
            if self._printer:
                self._printer.add(field.answer)

    def finish(self) -> None:
        """Print and write what speaks of all fields."""
        if self._printer:
            self._printer.close()
        if self._output and self._target and (target := self._open()):
            target.finish()
            say(f"pictures and cells.csv: {self._output.folder}")
