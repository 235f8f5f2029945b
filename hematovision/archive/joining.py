"""Archives joined: the parts of an archive, each read alone -> one, as if it were a single file."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hematovision.archive.arrays import StoredArray
from hematovision.archive.loading import Archive, FieldSplit, Split
from hematovision.archive.parts import join_metadata
from hematovision.program.console import UserError
from hematovision.program.share import Share


class JoinedArray(StoredArray):
    """Stored arrays end to end, as one; nothing is copied."""

    def __init__(self, parts: Sequence[StoredArray], rows: np.ndarray | None = None) -> None:
        """`rows`: (n,) which of all rows these are (None: all, in order)."""
        self._parts, self._rows, self.dtype = list(parts), rows, parts[0].dtype
        self._starts = np.cumsum([0, *map(len, parts)])

    @property
    def shape(self) -> tuple[int, ...]:
        count = self._starts[-1] if self._rows is None else len(self._rows)
        return (int(count), *self._parts[0].shape[1:])

    @property
    def ndim(self) -> int:
        return self._parts[0].ndim

    def __getitem__(self, index: Any) -> np.ndarray:
        if self._rows is None and isinstance(index, slice) and index.step in (None, 1):
            start, stop, _ = index.indices(len(self))
            ends = zip(self._parts, self._starts, strict=False)
            found = [part[max(start - at, 0) : stop - at]
                     for part, at in ends if at < stop and start < at + len(part)]  # fmt: skip
            return np.concatenate(found or [np.empty((0, *self.shape[1:]), self.dtype)])
        rows = np.arange(len(self)) if self._rows is None else self._rows
        rows = rows[index]
        if np.ndim(rows) == 0:
            return self._read(np.array([rows]))[0]
        return self._read(rows)

    def _read(self, rows: np.ndarray) -> np.ndarray:
        found = np.empty((len(rows), *self.shape[1:]), self.dtype)
        home = np.searchsorted(self._starts, rows, side="right") - 1
        for k in np.unique(home).tolist():
            mine = home == k
            found[mine] = self._parts[k][rows[mine] - self._starts[k]]
        return found

    def holds(self, rows: np.ndarray) -> np.ndarray:
        """Which of some rows (k,), by index, are here to be read: (k,) bool."""
        rows = rows if self._rows is None else self._rows[rows]
        home = np.searchsorted(self._starts, rows, side="right") - 1
        held = np.array([bool(part.holds(np.zeros(1, int))[0]) for part in self._parts])
        return held[home]

    def pick(self, kept: np.ndarray) -> JoinedArray:
        """The rows by index or mask (n,), unread."""
        rows = np.arange(len(self)) if self._rows is None else self._rows
        return JoinedArray(self._parts, rows[kept])


def join_archives(path: Path, parts: Sequence[Archive]) -> Archive:
    """The parts of the archive `path` as one; UserError where they are of different runs."""
    try:
        metadata = join_metadata([part.metadata for part in parts])
        if any(part.classes != parts[0].classes for part in parts):
            raise ValueError("its parts differ in their classes: they are of different runs")
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise UserError(f"{path}: {error}; make them again with preprocess_data.py") from None
    digest = hashlib.sha256("".join(part.digest for part in parts).encode()).hexdigest()
    splits = {s: join_splits([part.splits[s] for part in parts]) for s in parts[0].splits}
    fields = {s: join_fields([part.fields[s] for part in parts]) for s in parts[0].fields}
    return Archive(splits, fields, parts[0].classes, metadata, digest)


def find_own(fields: FieldSplit, share: Share) -> np.ndarray:
    """Which fields (f,) bool are a worker's own: those of the parts that it has read, or, where it
    has read all, every so many-th. UserError where there are none."""
    own = fields.file.holds(fields.start)
    if own.all():
        own = np.arange(len(fields.name)) % share.count == share.number - 1
    if not own.any():
        raise UserError(
            f"{len(fields.name)} training fields are too few for {share.count} workers to share"
        )
    return own


def join_splits(parts: Sequence[Split]) -> Split:
    """The crops of several parts, in order."""
    return Split(*(join_rows(columns) for columns in zip(*parts, strict=True)))


def join_fields(parts: Sequence[FieldSplit]) -> FieldSplit:
    """The fields of several parts, in order."""
    columns = {key: [getattr(p, key) for p in parts] for key in FieldSplit._fields}
    bytes_before = np.cumsum([0, *(p.end[-1] if len(p.end) else 0 for p in parts)])
    fields_before = np.cumsum([0, *(len(p.name) for p in parts)])
    for key in ("start", "end"):
        moved = zip(columns[key], bytes_before, strict=False)
        columns[key] = [column + n for column, n in moved]
    columns["index"] = [p.index + n for p, n in zip(parts, fields_before, strict=False)]
    return FieldSplit(**{key: join_rows(of) for key, of in columns.items()})


def join_rows(columns: Sequence[Any]) -> Any:
    """Arrays, or stored ones, end to end; of the empty ones among them the type doesn't count."""
    filled = [column for column in columns if len(column)] or columns[:1]
    return JoinedArray(filled) if isinstance(columns[0], StoredArray) else np.concatenate(filled)
