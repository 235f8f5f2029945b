"""The table of counts that predict.py prints: a row a field, and one of all together."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from hematovision.program.surroundings import printable


class CountTable:
    """Rows as fields come, under one header; only their sum is kept."""

    def __init__(self, labels: Sequence[str], paths: Iterable[Path]) -> None:
        """`paths`: of all fields to come, whose names make the first column as wide as it is."""
        self._labels, self._fields = list(labels), 0
        self._widths = [max(len(label), 5) + 2 for label in labels]
        self._first = max((len(printable(path)) for path in (*paths, "all")), default=0) + 1
        self._sums = [0] * len(self._labels)

    def add(self, path: Path, counts: Mapping[str, int]) -> Iterator[str]:
        """The row of a field, and before the first the header."""
        if not self._fields:
            yield self._format("field", self._labels)
        self._fields += 1
        row = list(counts.values())
        self._sums = [a + b for a, b in zip(self._sums, row, strict=True)]
        yield self._format(printable(path), row)

    def close(self) -> Iterator[str]:
        """The row of all, where there are several."""
        if self._fields > 1:
            yield self._format("all", self._sums)

    def _format(self, name: str, counts: Sequence[Any]) -> str:
        cells = (str(n).rjust(w) for n, w in zip(counts, self._widths, strict=True))
        return name.ljust(self._first) + "".join(cells)
