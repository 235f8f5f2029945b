"""A run over fields: each one read, counted, printed and kept, in order, and what ends it."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hematovision.answering.count_table import AnswerPrinter
from hematovision.answering.counting import FieldCounter
from hematovision.answering.given import Batch
from hematovision.program.console import say
from hematovision.program.files import name_apart

if TYPE_CHECKING:
    from hematovision.answering.output_folder import Output, OutputFolder
    from hematovision.answering.taken import Taken


class FieldRun:
    """Fields of one run; how many couldn't be read is `failed`.

    An output folder is made when the first field could be read, so that a run that fails leaves
    none.
    """

    def __init__(
        self,
        counter: FieldCounter,
        printer: AnswerPrinter | None,
        output: Output | None,
        overlap: bool = False,
    ) -> None:
        """`overlap`: whether cells that a field before showed too are counted once."""
        self.failed = 0
        self._counter, self._printer, self._output = counter, printer, output
        self._taken: Taken | None = None
        if overlap:
            from hematovision.answering.taken import Taken

            self._taken = Taken(counter)
        self._target: OutputFolder | None = None
        self._unread: list[Path] = []  # since the output folder was written to
        # What was given so far, and what the drawing of each is called; the generator goes on along
        # the list as it grows.
        self.given: list[Path] = []
        self._names = name_apart(self.given, output.reserved if output else ())

    def _name(self, images: Sequence[Path]) -> list[str]:
        self.given += images
        return list(itertools.islice(self._names, len(images)))

    def pass_by(self, images: Sequence[Path]) -> None:
        """Let images be another share's: of the names of drawings, they have theirs."""
        self._name(images)

    def _open(self) -> OutputFolder | None:
        """The output folder, where one is wanted."""
        if self._output and not self._target:
            from hematovision.answering.output_folder import OutputFolder

            self._target = OutputFolder(self._output)
        if self._target:
            while self._unread:
                self._target.pass_over(self._unread.pop(0))
        return self._target

    def take_up(self, images: Sequence[Path], in_their_order: bool = False) -> list[Path]:
        """The images that no earlier run has answered; the others are printed again.

        `in_their_order`: those answered come in the order in which they were, whatever that of the
        images is.
        """
        target = self._open()
        if not target:
            return list(images)
        if in_their_order:
            there, before = set(images), target.list_images()
            first = [path for path in before if path in there]
            images = [*first, *(path for path in images if path not in set(first))]
        done = target.take_up(images)
        self._name(images[:done])
        self.failed += target.unread
        for entry in target.list_entries() if done else ():
            if self._taken:
                self._taken.take_again(entry.answer)
            if self._printer:
                self._printer.add(entry.answer)
        return list(images[done:])

    def count(self, images: Sequence[Path], notices: list[str], alone: bool) -> None:
        """Answer for fields, one after the other; `alone`: whether one that can't be read ends the
        run."""
        names = self._name(images)
        if self._output and self._output.folder.exists() and (target := self._open()):
            target.check(names)
        batch = Batch(self._counter.read, images, 1, notices, alone)
        for (path, image), name in zip(batch, names, strict=True):
            if image is None:
                self.failed += 1
                self._unread.append(path)
                continue
            field = self._counter.count(path, image)
            if self._taken:
                field = self._taken.take(field)
            if target := self._open():
                target.add(name, field)
            if self._printer:
                self._printer.add(field.answer)

    def finish(self) -> None:
        """Print and write what speaks of all fields."""
        if self._printer:
            self._printer.close()
        wanted = self._target or (self._output and self._output.share)  # a share may be empty
        if self._output and wanted and (target := self._open()):
            target.finish()
            say(f"pictures and cells.csv: {self._output.folder}")
