"""Archives joined: the parts of an archive, each read alone -> one, as if it were a single file."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hematovision.archive.arrays import JoinedArray, StoredArray
from hematovision.archive.contents import Archive, FieldSplit, Split
from hematovision.archive.metadata import join_metadata
from hematovision.program.console import UserError
from hematovision.program.share import Share


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
    own = np.ones(len(fields.name), bool)
    if isinstance(fields.file, StoredArray):
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
    columns = {
        key: [getattr(p, key) for p in parts]
        for key in (f.name for f in dataclasses.fields(FieldSplit))
    }
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
