"""What predict.py --field prints: a line of JSON a field, or a table of counts, a row a field and
one of all together, with the differential below it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from hematovision.answering.counting import FieldCounter
from hematovision.answering.field_answer import FieldAnswer
from hematovision.networks.differential import count_types, format_differential, rank_fields
from hematovision.program.console import tell
from hematovision.program.surroundings import printable


class CountTable:
    """Rows as fields come, under one header; only their sum is kept."""

    def __init__(self, labels: Sequence[str], paths: Iterable[Path]) -> None:
        """`paths`: of all fields to come, whose names make the first column as wide as it is."""
        self._labels, self._fields = list(labels), 0
        self._widths = [max(len(label), 5) + 2 for label in labels]
        self._first = max((len(printable(path)) for path in (*paths, "all")), default=0) + 1
        self._sums = [0] * len(self._labels)

    def add(self, image: str, counts: Mapping[str, int]) -> Iterator[str]:
        """The row of a field, and before the first the header."""
        if not self._fields:
            yield self._format("field", self._labels)
        self._fields += 1
        row = list(counts.values())
        self._sums = [a + b for a, b in zip(self._sums, row, strict=True)]
        yield self._format(printable(image), row)

    def close(self) -> Iterator[str]:
        """The row of all, where there are several."""
        if self._fields > 1:
            yield self._format("all", self._sums)

    def _format(self, name: str, counts: Sequence[Any]) -> str:
        cells = (str(n).rjust(w) for n, w in zip(counts, self._widths, strict=True))
        return name.ljust(self._first) + "".join(cells)


class AnswerPrinter:
    """Answers on stdout as they come: as JSON, or as a table that ends in the differential."""

    def __init__(self, as_json: bool, table: CountTable, counter: FieldCounter, kept: bool) -> None:
        """`kept`: the answers go elsewhere too, so that nobody need read them here."""
        self._json, self._table, self._counter, self._kept = as_json, table, counter, kept
        self._named: Counter[str | None] = Counter()  # white cells so far, by type
        self._fields = self._seen = 0  # so far; cells that were counted in fields before
        self._look_at: dict[str, int] = {}  # untyped and immature cells of the fields with most

    def add(self, answer: FieldAnswer) -> None:
        self._fields, self._seen = self._fields + 1, self._seen + answer.seen
        self._named.update(answer.list_types())
        if found := answer.differential:
            asked = self._look_at | {answer.image: found.untyped + found.immature}
            self._look_at = dict(rank_fields(asked))
        if self._json:
            tell(json.dumps(answer.describe()), not self._kept)
        else:
            for line in self._table.add(answer.image, answer.counts):
                self._tell(line)

    def close(self) -> None:
        """What speaks of all fields."""
        if self._json:
            return
        for line in self._table.close():
            self._tell(line)
        if self._seen:
            self._tell(f"of {self._fields} fields, {self._seen} cells seen twice")
        if self._named:
            named, counter = self._named.elements(), self._counter
            found = count_types(named, counter.types, counter.confirmed)
            look_at = rank_fields(self._look_at) if self._fields > 1 else ()
            for line in format_differential(found, look_at).split("\n"):
                self._tell(line)

    def _tell(self, line: str) -> None:
        tell(line, not self._kept)
