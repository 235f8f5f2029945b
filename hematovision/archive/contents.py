"""What an archive holds: crops by split, the fields they were cut from, and what it says of itself.

`loading` reads it from a file, `joining` makes one of several parts.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from hematovision.archive.arrays import Rows, StoredBytes, pick_rows
from hematovision.archive.metadata import Metadata
from hematovision.cells.taxonomy import lineage
from hematovision.pictures.images import read_image
from hematovision.program.console import UserError


class Split(NamedTuple):
    """One split of the archive."""

    X: Rows  # (n, size, size, 3) uint8, RGB
    y: np.ndarray  # (n,) index into the classes
    label: np.ndarray  # (n,) text, what was annotated
    source: np.ndarray  # (n,) file name of the field
    box: np.ndarray  # (n, 4) xmin, ymin, xmax, ymax in pixels of the field
    lab: np.ndarray  # (n,) text, the laboratory of the field: the dataset it came in

    def pick(self, kept: np.ndarray) -> Split:
        """Only these crops, by index or mask (n,); stored ones stay unread."""
        return Split(*(pick_rows(column, kept) for column in self))


class AnnotatedField(NamedTuple):
    """One field of an archive, with those of its boxes whose labels are asked for."""

    name: str
    data: bytes | StoredBytes  # the image file
    box: np.ndarray  # (n, 4) float
    label: np.ndarray  # (n,) index into the labels asked for
    lab: str  # the laboratory
    complete: np.ndarray  # (k,) bool, which of the labels asked for lack no box here

    def image(self) -> np.ndarray:
        """The field (height, width, 3) uint8 RGB."""
        return read_image(Path(self.name), bytes(self.data))


@dataclass(frozen=True)
class FieldSplit:
    """The fields of one split, as they were packed into the archive."""

    name: np.ndarray  # (f,) file names
    file: Rows  # (bytes,) uint8, the image files end to end
    end: np.ndarray  # (f,) where each ends
    box: np.ndarray  # (m, 4) all boxes, in pixels
    label: np.ndarray  # (m,) text
    index: np.ndarray  # (m,) the field that each is in
    lab: np.ndarray  # (f,) text, the laboratory of each field
    complete: np.ndarray  # (f,) text, comma between the labels of which no cell here lacks its box
    start: np.ndarray  # (f,) where each image file starts

    def select(self, kept: np.ndarray) -> FieldSplit:
        """Only the fields where `kept` (f,) is true, with their boxes; no file is read."""
        boxes = kept[self.index]
        return FieldSplit(
            self.name[kept],
            self.file,
            self.end[kept],
            self.box[boxes],
            self.label[boxes],
            (np.cumsum(kept) - 1)[self.index[boxes]],
            self.lab[kept],
            self.complete[kept],
            self.start[kept],
        )

    def read(self, labels: Sequence[str]) -> Iterator[AnnotatedField]:
        """Each field with its boxes, each as the nearest of `labels` that it is a kind of; those
        that are none are left out."""
        index = {label: k for k, label in enumerate(labels)}

        def encode(label: str) -> int:
            return next((index[name] for name in lineage(label) if name in index), -1)

        known = {label: encode(label) for label in np.unique(self.label).tolist()}
        code = np.array([known[label] for label in self.label.tolist()], int)
        order = np.argsort(self.index, kind="stable")
        starts = np.searchsorted(self.index[order], np.arange(len(self.name) + 1))
        for i, (name, start, end) in enumerate(
            zip(self.name.tolist(), self.start, self.end, strict=True)
        ):
            mine = order[starts[i] : starts[i + 1]]
            mine = mine[code[mine] >= 0]
            data = StoredBytes(self.file, int(start), int(end))
            complete = np.zeros(len(labels), bool)
            complete[[k for k in map(encode, self.complete[i].split(",")) if k >= 0]] = True
            box = self.box[mine].astype(float)
            yield AnnotatedField(name, data, box, code[mine], str(self.lab[i]), complete)


class Archive(NamedTuple):
    """What preprocess_data.py wrote, as far as it was asked for."""

    splits: dict[str, Split]
    fields: dict[str, FieldSplit]
    classes: list[str]
    metadata: Metadata
    digest: str  # SHA-256 of the file, or of what the directories of its parts say


def leave_out(archive: Archive, labs: Sequence[str]) -> Archive:
    """The archive without some laboratories, nor classes that only these knew.

    Raises UserError where one isn't in it, or none would be left.
    """
    known = np.unique(np.concatenate([f.lab for f in archive.fields.values()])).tolist()
    for lab in labs:
        if lab not in known:
            raise UserError(f"--leave-out {lab}: no such laboratory; there is {', '.join(known)}")
    if set(labs) == set(known):
        raise UserError(f"--leave-out {','.join(labs)}: no laboratory would be left to train on")
    splits, fields, digests = {}, {}, {}
    for name, split in archive.splits.items():
        kept = ~np.isin(split.lab, labs)
        splits[name] = split.pick(kept)
        fields[name] = archive.fields[name].select(~np.isin(archive.fields[name].lab, labs))
        of_split = archive.metadata.field_sha256[name]
        digests[name] = {f: of_split[f] for f in fields[name].name.tolist()}
    classes = archive.classes
    if archive.metadata.task == "multiclass":
        used = np.unique(np.concatenate([split.y for split in splits.values()]))
        classes = [classes[k] for k in used]
        splits = {n: s._replace(y=np.searchsorted(used, s.y)) for n, s in splits.items()}
    counts = {
        name: {k: int((split.y == i).sum()) for i, k in enumerate(classes)}
        for name, split in splits.items()
    }
    metadata = replace(
        archive.metadata,
        field_sha256=archive.metadata.field_sha256 | digests,
        counts=archive.metadata.counts | counts,
        left_out_labs=list(labs),
    )
    return Archive(splits, fields, classes, metadata, archive.digest)


def find_starts(end: np.ndarray) -> np.ndarray:
    """Where pieces start that are stored end to end, (f,), from where each ends (f,)."""
    return np.r_[0, end[:-1]].astype(np.int64)[: len(end)]
