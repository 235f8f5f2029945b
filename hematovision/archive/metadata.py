"""The metadata: what an archive says of itself, as a record that is written and read here alone."""

from __future__ import annotations

import json
import zipfile
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import numpy as np

from hematovision.program.records import read_record, within, write_record

SPLITS = ("train", "val", "test")
SIZES = (8, 1024)  # pixels along a crop
Task = Literal["binary", "multiclass"]
# What parts of one archive have in common.
COMMON = (
    "task", "image_size", "dataset_sha256", "annotations_sha256", "seed", "split", "background",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Metadata:
    """What an archive was made of, and what was left out of it."""

    task: Task
    image_size: int = within(*SIZES)
    seed: int | None = None
    split: str  # the ways in which laboratories were split, in words
    split_by_lab: dict[str, str] = field(default_factory=dict)
    folds: dict[str, int] = field(default_factory=dict)  # of each field; {}: split as usual
    background: float | None = None  # patches of it for each cell
    fields: dict[str, int]  # by split
    boxes: dict[str, int] = field(default_factory=dict)  # by label
    counts: dict[str, dict[str, int]]  # crops by split and class
    left_out: dict[str, int]  # by reason
    put_right: dict[str, int] = field(default_factory=dict)
    complete: dict[str, list[str]] = field(default_factory=dict)  # labels, by laboratory
    demonstration: bool = False  # its cells are drawn
    dataset_sha256: str  # of all fields' names and files
    annotations_sha256: str | None = None  # of their boxes and labels, as read
    field_sha256: dict[str, dict[str, str]]  # by split and name of the field
    field_look: dict[str, dict[str, str]] = field(default_factory=dict)  # alike
    part: list[int] | None = None  # number and count, where it is one of several
    left_out_here: dict[str, int] | None = None  # of `left_out`, what this part left out
    left_out_labs: list[str] | None = None  # by who loaded it

    def check(self, wanted: Sequence[str]) -> None:
        """ValueError where a wanted split isn't told of."""
        for name in wanted:
            if name not in self.field_sha256:
                raise ValueError(f"its metadata lack the digests of the {name} fields")


def parse_metadata(text: str) -> Metadata:
    """The record of its JSON; ValueError where it is none."""
    try:
        return read_record(Metadata, json.loads(text))
    except ValueError as error:
        raise ValueError(f"its metadata: {error}") from None


def format_metadata(metadata: Metadata) -> str:
    """The JSON of the record."""
    return json.dumps(write_record(metadata))


def is_written(path: Path, metadata: Metadata) -> bool:
    """Whether an archive stands already, undamaged, that says of itself what this one would."""
    try:
        with zipfile.ZipFile(path) as members, np.load(path, allow_pickle=False) as file:
            same = json.loads(str(file["metadata"])) == json.loads(format_metadata(metadata))
            return same and members.testzip() is None
    except Exception:  # whatever it is, it is written anew
        return False


def join_metadata(parts: Sequence[Metadata]) -> Metadata:
    """What the archive of all parts, in order, says of itself; ValueError where they aren't of one
    whole."""
    first = parts[0]
    for number, part in enumerate(parts, start=1):
        if part.part != [number, len(parts)]:
            told = "{}/{}".format(*part.part) if part.part and len(part.part) == 2 else "no part"
            raise ValueError(f"what is named part {number}/{len(parts)} says that it is {told}")
    for key in COMMON:
        if any(getattr(part, key) != getattr(first, key) for part in parts):
            raise ValueError(f"its parts differ in {key}: they are of different runs")
    everywhere = Counter(first.left_out)
    everywhere.subtract(first.left_out_here or {})
    left_out = add([everywhere, *(part.left_out_here or {} for part in parts)])
    return replace(
        first,
        fields=add(part.fields for part in parts),
        boxes=add(part.boxes for part in parts),
        counts={split: add(part.counts[split] for part in parts) for split in first.counts},
        left_out={reason: n for reason, n in left_out.items() if n},
        folds=merge(part.folds for part in parts),
        field_sha256=merge_splits([part.field_sha256 for part in parts]),
        field_look=merge_splits([part.field_look for part in parts]),
        part=None,
        left_out_here=None,
    )


def add(counts: Iterable[dict[str, int]]) -> dict[str, int]:
    """Counts by name, summed up."""
    total: dict[str, int] = {}
    for of_part in counts:
        for name, n in of_part.items():
            total[name] = total.get(name, 0) + n
    return total


def merge(tables: Iterable[dict]) -> dict:
    """Several tables as one, in order."""
    return {key: value for table in tables for key, value in table.items()}


def merge_splits(tables: Sequence[dict[str, dict[str, str]]]) -> dict[str, dict[str, str]]:
    """Tables by split as one, in order."""
    return {split: merge(table.get(split, {}) for table in tables) for split in tables[0]}
