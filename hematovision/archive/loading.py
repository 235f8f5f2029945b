"""The archive, preprocessed_data.npz: its keys, and how it is read and checked.

For each split the crops: `X` (n, size, size, 3) in [0, 1], `y`, `label`, `source` (n,), `box`
(n, 4); and the fields they are cut from, see `packing.pack_fields`. Once `classes` (k,),
`metadata` (JSON). `packing` writes it, `archive_schema` says what each must be.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from hematovision.archive.arrays import (
    AbsentArray,
    Member,
    StoredArray,
    StoredBytes,
    pick_rows,
    store_member,
)
from hematovision.archive.parts import find_parts
from hematovision.archive.schema import (
    check_crops,
    check_fields,
    check_members,
    check_metadata,
    check_pixels,
    check_split,
)
from hematovision.cells.labels import is_rbc
from hematovision.cells.taxonomy import lineage
from hematovision.pictures.images import read_image, unscale_pixels
from hematovision.program.console import UserError
from hematovision.program.files import open_regular
from hematovision.program.share import Share

SPLITS = ("train", "val", "test")
ARCHIVE = Path("preprocessed_data.npz")
DEMO = Path("demo")  # holds what comes of drawn cells, so that it never answers for real smears
BAD = (
    OSError,
    ValueError,
    TypeError,
    EOFError,
    AttributeError,
    MemoryError,
    RecursionError,
    zipfile.BadZipFile,
    zlib.error,
)  # what a broken .npz raises


def choose_archive(path: Path | None) -> Path:
    """The archive named, else the one made here, else that of the drawn sample."""
    drawn = DEMO / ARCHIVE
    return path or (drawn if find_parts(drawn) and not find_parts(ARCHIVE) else ARCHIVE)


def place(name: str, metadata: dict[str, Any]) -> Path:
    """Where what comes of an archive belongs unless told: apart, if its cells are drawn."""
    return DEMO / name if metadata.get("demonstration") else Path(name)


class Split(NamedTuple):
    """One split of the archive."""

    X: np.ndarray | StoredArray  # (n, size, size, 3) uint8, RGB
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


class FieldSplit(NamedTuple):
    """The fields of one split, as `pack_fields` put them into the archive."""

    name: np.ndarray  # (f,) file names
    file: np.ndarray | StoredArray  # (bytes,) uint8, the image files end to end
    end: np.ndarray  # (f,) where each ends
    box: np.ndarray  # (m, 4) all boxes, in pixels
    label: np.ndarray  # (m,) text
    index: np.ndarray  # (m,) the field that each is in
    lab: np.ndarray  # (f,) text, the laboratory of each field
    complete: np.ndarray  # (f,) text, comma between the labels of which no cell here lacks its box
    start: np.ndarray  # (f,) where each image file starts

    KEYS = ("field", "field_file", "field_end", "field_box", "field_label", "field_index")

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
    metadata: dict[str, Any]
    digest: str  # SHA-256 of the file, or of what the directories of its parts say


def load_archive(path: Path, wanted: Sequence[str], share: Share | None = None) -> Archive:
    """Read the wanted splits of an archive, all its parts where it is in several (see `parts`).

    `share`: of the parts, whose training pixels are wanted; those of the others are absent, if
    there are as many parts as shares. Raises UserError as `load_part` does, and where a part is
    missing or of another run.
    """
    from hematovision.archive.joining import join_archives

    files = find_parts(path) or [path]
    if len(files) == 1:
        return load_part(files[0], wanted)
    all_of_them = share is None or len(files) < share.count
    return join_archives(path, [
        load_part(file, wanted, all_of_them or k % share.count == share.number - 1, alone=False)
        for k, file in enumerate(files)
    ])  # fmt: skip


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
            metadata = json.loads(str(archive["metadata"]))
            classes = archive["classes"].tolist()
            check_metadata(metadata, classes, wanted)
            for name in wanted:
                columns = [archive[f"{c}_{name}"] for c in ("y", "label", "source", "box")]
                lab = read_lab(archive, f"lab_{name}", len(columns[0]))
                held = train or name != "train"
                crops = store_crops(archive, f"X_{name}", metadata["image_size"], held)
                check_split(name, len(crops), columns, lab, len(classes))
                splits[name] = Split(crops, *columns, lab)
                columns = [read_column(archive, f"{c}_{name}", held) for c in FieldSplit.KEYS]
                lab = read_lab(archive, f"field_lab_{name}", len(columns[0]))
                complete = read_complete(archive, name)
                check_fields(name, columns, lab, complete)
                fields[name] = FieldSplit(*columns, lab, complete, find_starts(columns[2]))
    except KeyError as error:
        raise UserError(f"{path}: it holds no {error}; {hint}") from None
    except BAD as error:
        raise UserError(f"{path}: not a readable archive ({error}); {hint}") from None
    return Archive(splits, fields, classes, metadata, digest)


def digest_file(file: BinaryIO) -> str:
    """SHA-256 of a file, read from where it stands."""
    digest = hashlib.sha256()
    while chunk := file.read(1 << 20):
        digest.update(chunk)
    return digest.hexdigest()


def digest_directory(file: BinaryIO) -> str:
    """SHA-256 of what a zip file's directory says: names, sizes and checksums; the rest isn't
    read."""
    with zipfile.ZipFile(file) as members:
        told = [(m.filename, m.file_size, m.CRC) for m in members.infolist()]
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()


def find_starts(end: np.ndarray) -> np.ndarray:
    """Where pieces start that are stored end to end, (f,), from where each ends (f,)."""
    return np.r_[0, end[:-1]].astype(np.int64)[: len(end)]


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


def read_column(archive: np.lib.npyio.NpzFile, key: str, held: bool) -> np.ndarray | StoredArray:
    """What is under `key`; the image files themselves stay on the disk, or, unless `held`, are
    absent."""
    if not key.startswith("field_file_"):
        return archive[key]
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
        of_split = archive.metadata["field_sha256"][name]
        digests[name] = {f: of_split[f] for f in fields[name].name.tolist()}
    classes = archive.classes
    if archive.metadata["task"] == "multiclass":
        used = np.unique(np.concatenate([split.y for split in splits.values()]))
        classes = [classes[k] for k in used]
        splits = {n: s._replace(y=np.searchsorted(used, s.y)) for n, s in splits.items()}
    counts = {
        name: {k: int((split.y == i).sum()) for i, k in enumerate(classes)}
        for name, split in splits.items()
    }
    changed = {"field_sha256": archive.metadata["field_sha256"] | digests, "left_out_labs": labs}
    metadata = archive.metadata | changed | {"counts": archive.metadata["counts"] | counts}
    return Archive(splits, fields, classes, metadata, archive.digest)


def find_seen_fields(
    metadata: dict[str, Any], card: dict[str, Any], splits: Sequence[str] = ("val", "test")
) -> list[str]:
    """Held-out fields of an archive that the model of `card` was trained on, by file digest."""
    seen = set(card["training_fields"])
    held_out = (metadata["field_sha256"][s] for s in splits)
    return [name for of_split in held_out for name, digest in of_split.items() if digest in seen]


def find_seen_twins(
    metadata: dict[str, Any], card: dict[str, Any], splits: Sequence[str] = ("val", "test")
) -> list[str]:
    """Held-out fields that look like one the model was trained on, though their files differ."""
    from hematovision.pictures.twins import NEAR_AMONG_MANY, find_twins

    seen = find_seen_fields(metadata, card, splits)
    looks = metadata.get("field_look", {})
    names = {name: look for s in splits for name, look in looks.get(s, {}).items()}
    others = [name for name in names if name not in seen]
    known = card.get("training_looks", [])
    pairs = find_twins([names[name] for name in others], known, NEAR_AMONG_MANY)
    return [others[i] for i in sorted({i for i, _ in pairs})]
