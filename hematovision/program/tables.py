"""Tables: rows -> a CSV file, whole or not at all, that spreadsheets open as it is meant."""

from __future__ import annotations

import contextlib
import csv
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO

from hematovision.program.files import written_whole

# What a spreadsheet takes for a formula, unless it is a number ("CSV injection", OWASP).
GUARDED = "=+-@\t\r"
NUMBER = re.compile(r"[+-]?\d+(\.\d+)?([eE][+-]?\d+)?")


def guard(value: Any) -> Any:
    """A value of a table that no spreadsheet takes for a formula: text that looks like one gets an
    apostrophe before it, numbers stay numbers."""
    if isinstance(value, str) and value[:1] in GUARDED and value and not NUMBER.fullmatch(value):
        return f"'{value}"
    return value


class Table:
    """A table to fill row by row."""

    def __init__(self, file: TextIO, columns: Sequence[str]) -> None:
        self._columns, self._file = columns, file
        # What breaks a line is quoted where it is of the line's end: Python before 3.13 leaves a
        # lone return bare otherwise.
        self._writer = csv.writer(self, lineterminator="\r\n")
        self._writer.writerow(map(guard, columns))

    def write(self, line: str) -> None:
        """A row as csv.writer hands it on, whose line ends as those of any text of ours."""
        self._file.write(line.removesuffix("\r\n") + "\n")

    def writerow(self, row: Mapping[str, Any]) -> None:
        """A row by its columns; a column that lacks stays empty, KeyError for one too many."""
        if not row.keys() <= set(self._columns):
            raise KeyError(f"columns that the table lacks: {sorted(row.keys() - {*self._columns})}")
        self._writer.writerow(guard(row.get(column, "")) for column in self._columns)

    def writerows(self, rows: Iterable[Mapping[str, Any]]) -> None:
        for row in rows:
            self.writerow(row)


@contextlib.contextmanager
def csv_table(path: Path, columns: Iterable[str]) -> Iterator[Table]:
    """A table to fill row by row, written whole or not at all; its header stands already."""
    with (
        written_whole(path) as temporary,
        # A name that is no UTF-8 stands there as \udce4, and the table stays UTF-8.
        open(temporary, "w", newline="", encoding="utf-8", errors="backslashreplace") as file,
    ):
        yield Table(file, list(columns))


def write_csv(
    path: Path, rows: Sequence[Mapping[str, Any]], columns: Iterable[str] | None = None
) -> None:
    """Write rows as a table, whole or not at all; `columns` are the first row's where not given."""
    with csv_table(path, columns or rows[0]) as table:
        table.writerows(rows)
