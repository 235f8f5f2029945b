"""Which file names the classes of a YOLO text: the nearest, and those that say the same."""

from __future__ import annotations

from pathlib import PurePosixPath

from hematovision.annotations.class_names import (
    NO_NAMES,
    Names,
    add_names,
    contradict,
    read_names,
)
from hematovision.datasets.findings import Example, Findings
from hematovision.datasets.pairing.layout import Layout, context
from hematovision.program.console import UserError, say

CONTRADICTION = "list of class names that a nearer one contradicts"


class YoloNames:
    """Reads a dataset's files of class names, each once, as they are asked for."""

    def __init__(self, layout: Layout, findings: Findings) -> None:
        self._layout, self._findings = layout, findings
        self._read: dict[PurePosixPath, Names] = {}
        self._found: dict[PurePosixPath, Names] = {}
        self._told: set[tuple[PurePosixPath, PurePosixPath]] = set()

    def find(self, relative: PurePosixPath) -> Names:
        """The names that hold for a text. Of files that contradict each other the nearer counts.

        Raises UserError where they lie in one folder.
        """
        folder = relative.parent
        if folder not in self._found:
            self._found[folder] = self._settle(relative)
        return self._found[folder]

    def _settle(self, relative: PurePosixPath) -> Names:
        where = context(relative)
        near = [p for p in self._layout.names if where[: len(context(p))] == context(p)]
        near.sort(key=lambda p: (-count_shared(p, relative), len(p.parts), p))
        with_names = [(p, names) for p in near if (names := self._open(p)).of]
        if not with_names:
            return NO_NAMES
        best, nearest = with_names[0]
        for path, names in with_names[1:]:
            if not contradict(nearest, names):
                continue
            if path.parent == best.parent:
                raise UserError(
                    f"{self._layout.path(best)}: {path.name} beside it calls the classes by other "
                    "names; remove the wrong one"
                )
            if (best, path) not in self._told:
                self._told.add((best, path))
                say(
                    f"warning: {self._layout.path(path)}: it calls the classes by other names than "
                    f"{best}, which lies nearer to the labels and counts"
                )
                example = Example(str(path), detail=f"{best} counts")
                self._findings.add("left out", CONTRADICTION, example)
        return add_names(nearest, [names for _, names in with_names[1:]])

    def _open(self, path: PurePosixPath) -> Names:
        if path not in self._read:
            try:
                self._read[path] = read_names(self._layout.path(path))
            except UserError as error:
                say(f"warning: {error}")
                self._findings.add("left out", "unreadable class names", Example(str(path)))
                self._read[path] = NO_NAMES
        return self._read[path]


def count_shared(first: PurePosixPath, second: PurePosixPath) -> int:
    """How many folders two files have in common, from the root."""
    pairs = zip(first.parent.parts, second.parent.parts, strict=False)
    return next((i for i, (a, b) in enumerate(pairs) if a != b),
                min(len(first.parent.parts), len(second.parent.parts)))  # fmt: skip
