"""Tables: rows -> a CSV file, whole or not at all, that spreadsheets open as it is meant."""

from __future__ import annotations

import codecs
import contextlib
import csv
import re
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, TextIO

from hematovision.program.files import written_whole

Written = Callable[[Path], contextlib.AbstractContextManager[Path]]
# What a spreadsheet takes for a formula, unless it is a number ("CSV injection", OWASP).
GUARDED = "=+-@\t\r"
NUMBER = re.compile(r"[+-]?\d+(\.\d+)?([eE][+-]?\d+)?")


@dataclass(frozen=True)
class Style:
    """How a table is written for whom is to open it."""

    delimiter: str
    point: str  # between a number and its decimals
    bom: bool  # whether it begins with a byte order mark even where all is ASCII


# Excel takes a file for UTF-8 by its mark alone; where the comma is the decimal point it parts
# cells at semicolons.
STYLES = {"plain": Style(",", ".", False), "excel": Style(";", ",", True)}
PLAIN = STYLES["plain"]


def guard(value: Any) -> Any:
    """A value of a table that no spreadsheet takes for a formula: text that looks like one gets an
    apostrophe before it, numbers stay numbers."""
    if isinstance(value, str) and value[:1] in GUARDED and value and not NUMBER.fullmatch(value):
        return f"'{value}"
    return value


class Table:
    """A table to fill row by row."""

    def __init__(self, file: TextIO, columns: Sequence[str], style: Style) -> None:
        self.is_ascii = True  # so far
        self._columns, self._file, self._style = columns, file, style
        # What breaks a line is quoted where it is of the line's end: Python before 3.13 leaves a
        # lone return bare otherwise.
        self._writer = csv.writer(self, delimiter=style.delimiter, lineterminator="\r\n")
        self._writer.writerow(map(guard, columns))

    def write(self, line: str) -> None:
        """A row as csv.writer hands it on, whose line ends as those of any text of ours."""
        self.is_ascii &= line.isascii()
        self._file.write(line.removesuffix("\r\n") + "\n")

    def writerow(self, row: Mapping[str, Any]) -> None:
        """A row by its columns; a column that lacks stays empty, KeyError for one too many.

        Fractions are Decimal, with as many places as are to be shown.
        """
        if not row.keys() <= set(self._columns):
            raise KeyError(f"columns that the table lacks: {sorted(row.keys() - {*self._columns})}")
        self._writer.writerow(self._show(row.get(column, "")) for column in self._columns)

    def writerows(self, rows: Iterable[Mapping[str, Any]]) -> None:
        for row in rows:
            self.writerow(row)

    def _show(self, value: Any) -> Any:
        if isinstance(value, float | Decimal):
            return str(value).replace(".", self._style.point)
        return guard(value)


@contextlib.contextmanager
def csv_table(
    path: Path, columns: Iterable[str], style: Style = PLAIN, written: Written = written_whole
) -> Iterator[Table]:
    """A table to fill row by row, written whole or not at all; its header stands already.

    UTF-8, which begins with a byte order mark where a character isn't ASCII. `written`:
    how a file comes to stand whole (`written_whole`, or `Left.written` where it is noted too).
    """
    with written(path) as temporary:
        # A name that is no UTF-8 stands there as \udce4, and the table stays UTF-8.
        with open(temporary, "w", newline="", encoding="utf-8", errors="backslashreplace") as file:
            table = Table(file, list(columns), style)
            yield table
        if style.bom or not table.is_ascii:
            put_first(codecs.BOM_UTF8, temporary)


def put_first(mark: bytes, path: Path) -> None:
    """Put some bytes before all that a file holds."""
    with tempfile.TemporaryFile(dir=path.parent) as kept:
        with open(path, "rb") as file:
            shutil.copyfileobj(file, kept)
        kept.seek(0)
        with open(path, "wb") as file:
            file.write(mark)
            shutil.copyfileobj(kept, file)


def round_to(value: float, places: int) -> Decimal:
    """A number with as many places as a table shows."""
    return Decimal(f"{value:.{places}f}")


def write_csv(
    path: Path, rows: Sequence[Mapping[str, Any]], columns: Iterable[str] | None = None
) -> None:
    """Write rows as a table, whole or not at all; `columns` are the first row's where not given."""
    with csv_table(path, columns or rows[0]) as table:
        table.writerows(rows)
