"""Shares gathered: the tables of all shares of one run -> one table each, as a whole run leaves.

Each share ends by writing run-K-of-N.json: what it was asked, and that its tables stand. A share
that lacks, is of another run, or whose table was changed since is refused: a sum of some shares
looks like a sum of all.
"""

from __future__ import annotations

import csv
import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from hematovision.answering.cell_tables import (
    COLUMNS,
    TYPE_COLUMNS,
    add_up,
    list_types,
)
from hematovision.networks.differential import count_types
from hematovision.program.console import UserError
from hematovision.program.left import Left
from hematovision.program.locks import hold
from hematovision.program.share import Share
from hematovision.program.tables import STYLES, Style, csv_table

CELLS, SUMMARY, DIFFERENTIAL = "cells.csv", "summary.csv", "differential.csv"
DONE = "run.json"
OF_SHARE = re.compile(r"run-(\d{5})-of-(\d{5})\.json")


@dataclass(frozen=True)
class Done:
    """What a share says when it has ended."""

    run: str  # digest of the model, the options and the list of images
    labels: list[str]
    types: list[str]
    confirmed: dict[str, int]  # cells of each type that a person named
    style: str  # of its tables
    fields: int
    unread: int
    named: dict[str, int]  # white cells by type, "" for the untyped

    def write(self) -> str:
        return json.dumps(asdict(self)) + "\n"

    @classmethod
    def read(cls, path: Path) -> Done:
        """UserError where it is damaged."""
        try:
            told = json.loads(path.read_text("utf-8"))
            return cls(**told)
        except (OSError, ValueError, TypeError) as error:
            raise UserError(f"{path}: not what a share leaves ({error}); run it again") from None


def find_shares(folder: Path) -> list[Share]:
    """All shares of the run whose tables lie in a folder; UserError where one lacks."""
    found = [OF_SHARE.fullmatch(path.name) for path in sorted(folder.glob("*.json"))]
    there = {Share(int(of[1]), int(of[2])) for of in found if of}
    counts = {share.count for share in there}
    if not there:
        raise UserError(f"{folder}: no share of a run here (predict.py --field --shard K/N)")
    if len(counts) > 1:
        of = " and ".join(map(str, sorted(counts)))
        raise UserError(f"{folder}: shares of {of} lie here; move those of another run away")
    (count,) = counts
    whole = [Share(k, count) for k in range(1, count + 1)]
    missing = [share for share in whole if share not in there]
    if missing:
        named = ", ".join(f"{share.number}/{count}" for share in missing[:5])
        more = f" and {len(missing) - 5} more" if len(missing) > 5 else ""
        raise UserError(
            f"{folder}: share {named}{more} hasn't ended; run it with --shard "
            f"{missing[0].number}/{count} --resume, then gather again"
        )
    return whole


def read_shares(folder: Path, shares: Sequence[Share], left: Left) -> list[Done]:
    """What all shares say; UserError where they aren't of one run, or a table was changed."""
    done = [Done.read(share.name(folder / DONE)) for share in shares]
    for share, of in zip(shares, done, strict=True):
        if (of.run, of.style) != (done[0].run, done[0].style):
            raise UserError(
                f"{share.name(folder / DONE)}: of another model, other options or other images "
                f"than the first share; run it again with --shard {share.number}/{share.count}"
            )
        for name in (CELLS, SUMMARY, *((DIFFERENTIAL,) if of.types else ())):
            path = share.name(folder / name)
            if not path.is_file() or left.is_changed(path):
                raise UserError(
                    f"{path}: lacks, or was changed since; run it again with --shard "
                    f"{share.number}/{share.count} --resume"
                )
    return done


def read_rows(path: Path, style: Style) -> Iterator[dict[str, Any]]:
    """The rows of a share's table."""
    with open(path, newline="", encoding="utf-8-sig") as file:
        yield from csv.DictReader(file, delimiter=style.delimiter)


def gather(folder: Path) -> str:
    """Join the tables of all shares in a folder, and say what they hold; UserError where one
    lacks."""
    shares = find_shares(folder)
    hold(folder / CELLS)
    left = Left(folder)
    for name in (CELLS, SUMMARY, DIFFERENTIAL):
        if left.is_changed(folder / name):
            raise UserError(f"{folder / name}: was changed since it was written; move it")
    done = read_shares(folder, shares, left)
    first, style = done[0], STYLES[done[0].style]
    fields = sum(of.fields for of in done)
    counts: Counter[str] = Counter(dict.fromkeys(first.labels, 0))
    with csv_table(folder / CELLS, COLUMNS, style, left.written) as table:
        for share in shares:
            table.writerows(read_rows(share.name(folder / CELLS), style))
    with csv_table(folder / SUMMARY, ["image", *first.labels], style, left.written) as table:
        for share, of in zip(shares, done, strict=True):
            rows = read_rows(share.name(folder / SUMMARY), style)
            for row, _ in zip(rows, range(of.fields), strict=False):  # the last one is their sum
                table.writerow(row)
                counts.update({label: int(row[label]) for label in first.labels})
        table.writerow(add_up(counts, fields))
    if first.types:
        named: Counter[str] = Counter()
        for of in done:
            named.update(of.named)
        found = count_types(
            (name or None for name in named.elements()), first.types, first.confirmed
        )
        with csv_table(folder / DIFFERENTIAL, TYPE_COLUMNS, style, left.written) as table:
            table.writerows(list_types(found))
    unread = sum(of.unread for of in done)
    told = ", ".join(f"{n} {label}" for label, n in counts.items())
    missed = f"; {unread} images could not be read" if unread else ""
    return f"{folder}: {len(shares)} shares, {fields} fields: {told}{missed}"
