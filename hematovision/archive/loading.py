"""The archive, preprocessed_data.npz: its keys, and how it is read and checked.

For each split the crops: `X` (n, size, size, 3) in [0, 1], `y`, `label`, `source` (n,), `box`
(n, 4); and the fields they are cut from (`contents`). Once `classes` (k,), `metadata` (JSON).
`schema` says what each must be.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np

from hematovision.archive.arrays import AbsentArray, Member, StoredArray, store_member
from hematovision.archive.contents import Archive, FieldSplit, Split, find_starts
from hematovision.archive.joining import join_archives
from hematovision.archive.metadata import parse_metadata
from hematovision.archive.parts import find_parts
from hematovision.archive.schema import (
    BROKEN,
    check_crops,
    check_fields,
    check_members,
    check_names,
    check_names_told,
    check_pixels,
    check_split,
)
from hematovision.cells.labels import is_rbc
from hematovision.pictures.images import unscale_pixels
from hematovision.program.console import UserError
from hematovision.program.files import open_regular
from hematovision.program.marks import digest_file
from hematovision.program.share import Share

FIELD_KEYS = ("field", "field_end", "field_box", "field_label", "field_index")


def load_archive(path: Path, wanted: Sequence[str], share: Share | None = None) -> Archive:
    """Read the wanted splits of an archive, all its parts where it is in several (see `parts`).

    `share`: of the parts, whose training pixels are wanted; those of the others are absent, if
    there are as many parts as shares. Raises UserError as `load_part` does, and where a part is
    missing or of another run.
    """
    files = find_parts(path) or [path]
    if len(files) == 1:
        return load_part(files[0], wanted)
    held = [True] * len(files)
    if share and len(files) >= share.count:
        held = [k % share.count == share.number - 1 for k in range(len(files))]
    parts = [
        load_part(file, wanted, mine, alone=False) for file, mine in zip(files, held, strict=True)
    ]
    return join_archives(path, parts)


def load_part(path: Path, wanted: Sequence[str], train: bool = True, alone: bool = True) -> Archive:
    """Read the wanted splits of one file; crops, as the uint8 that they were cut as, and image
    files stay on the disk. Without `train` those of this split aren't read.

    `alone`: the digest is the file's own, for which all of it is read.

    Raises UserError where the file is missing, damaged, or not one of our archives.
    """
    hint = "make one with preprocess_data.py"
    splits: dict[str, Split] = {}
    fields: dict[str, FieldSplit] = {}
    if not path.exists():
        raise UserError(f"{path}: no such archive; {hint}")
    try:
        with contextlib.ExitStack() as stack:
            file = stack.enter_context(open_regular(path, "archive"))
            digest = digest_file(file) if alone else ""
            if not zipfile.is_zipfile(file):
                raise ValueError("it is no .npz file")
            check_members(file)
            digest = digest or digest_directory(file)
            file.seek(0)
            archive = stack.enter_context(np.load(file, allow_pickle=False))
            metadata = parse_metadata(str(archive["metadata"]))
            metadata.check(wanted)
            classes = archive["classes"].tolist()
            check_names(classes)
            for name in wanted:
                held = train or name != "train"
                splits[name] = read_crops(archive, name, metadata.image_size, len(classes), held)
                fields[name] = read_fields(archive, name, held)
                check_names_told(name, splits[name].source, fields[name].name, metadata)
    except KeyError as error:
        raise UserError(f"{path}: it holds no {error}; {hint}") from None
    except BROKEN as error:
        raise UserError(f"{path}: not a readable archive ({error}); {hint}") from None
    return Archive(splits, fields, classes, metadata, digest)


def read_crops(
    archive: np.lib.npyio.NpzFile, split: str, size: int, classes: int, held: bool
) -> Split:
    """The crops of a split, of so many `classes`; unless `held`, without their pixels."""
    y, label, source, box = (archive[f"{key}_{split}"] for key in ("y", "label", "source", "box"))
    lab = read_lab(archive, f"lab_{split}", len(y))
    crops = store_crops(archive, f"X_{split}", size, held)
    check_split(split, len(crops), [y, label, source, box], lab, classes)
    return Split(crops, y, label, source, box, lab)


def read_fields(archive: np.lib.npyio.NpzFile, split: str, held: bool) -> FieldSplit:
    """The fields of a split; unless `held`, without their files."""
    name, end, box, label, index = (archive[f"{key}_{split}"] for key in FIELD_KEYS)
    file = store_files(archive, f"field_file_{split}", held)
    lab = read_lab(archive, f"field_lab_{split}", len(name))
    complete = read_complete(archive, split)
    check_fields(split, [name, end, box, label, index], file, lab, complete)
    return FieldSplit(name, file, end, box, label, index, lab, complete, find_starts(end))


def digest_directory(file: BinaryIO) -> str:
    """SHA-256 of what a zip file's directory says: names, sizes and checksums; the rest isn't
    read."""
    with zipfile.ZipFile(file) as members:
        told = [(m.filename, m.file_size, m.CRC) for m in members.infolist()]
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()


def store_crops(archive: np.lib.npyio.NpzFile, key: str, size: int, held: bool) -> StoredArray:
    """The crops (n, size, size, 3) under `key`, as the uint8 that they were cut as; unless `held`,
    absent."""

    def unscale(member: Member) -> Iterator[np.ndarray]:
        for crops in member.rows:
            check_pixels(key, crops)
            yield unscale_pixels(crops)

    def store(member: Member) -> StoredArray:
        check_crops(key, member.shape, member.kind, size)
        if not held:
            return AbsentArray(member.shape, np.uint8)
        return StoredArray.fill(member.shape, np.uint8, unscale(member))

    return store_member(archive, key, store)


def store_files(archive: np.lib.npyio.NpzFile, key: str, held: bool) -> StoredArray:
    """The image files end to end (bytes,) under `key`, on the disk; unless `held`, absent."""
    if not held:
        return store_member(archive, key, lambda m: AbsentArray(m.shape, m.kind))
    return store_member(archive, key, lambda m: StoredArray.fill(m.shape, m.kind, m.rows))


def read_lab(archive: Mapping[str, np.ndarray], key: str, count: int) -> np.ndarray:
    """The laboratories (count,) under `key`; where there is none, it is all one without a name."""
    return archive[key] if key in archive else np.zeros(count, "<U1")


def read_complete(archive: Mapping[str, np.ndarray], split: str) -> np.ndarray:
    """The labels boxed completely in each field (f,) of a split; where the archive doesn't say,
    these are all but red cells, of which BCCD lacks most boxes."""
    if f"field_complete_{split}" in archive:
        return archive[f"field_complete_{split}"]
    labels = np.unique(archive[f"field_label_{split}"]).tolist()
    complete = ",".join(label for label in labels if not is_rbc(label))
    return np.full(len(archive[f"field_{split}"]), complete)
