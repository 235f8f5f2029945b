"""The index: what was read of a dataset's pictures, so that a cut run needn't read them again.

    index = ReadIndex(folder)
    for field, found in index.read(dataset, cell_px, lambda note: ..., pool, workers):
        ...

A file holds what was read of a lot of pictures, and is written whole or not at all. Its name is a
digest of all that it hangs on, annotations and labels as read among it: of pictures that have
changed nothing is taken. Another digest is of what it holds. Machines that work on parts of one
archive and share the folder share the reading too: each begins at another lot. A folder that isn't
marked as an index is somebody's: nothing is written there or deleted.
"""

from __future__ import annotations

import base64
import contextlib
import gzip
import hashlib
import json
import os
import re
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2

from hematovision.cells.cells import Segment
from hematovision.datasets.dataset import Dataset, Noted
from hematovision.datasets.field import Field, Mask
from hematovision.datasets.findings import Example, Findings
from hematovision.program.console import UserError, can_go_on, progress, run_ahead, say
from hematovision.program.files import read_file, stamp, write_bytes, write_text

LOT = 500  # pictures whose reading one file holds
VERSION = f"2, OpenCV {cv2.__version__}"
MOST = 256 << 20  # bytes that a file unpacks to
MARK = "hematovision_index.txt"
MARKED = "What preprocess_data.py has read of pictures. It may go: then they are read again.\n"
OURS = re.compile(r"[0-9a-f]{32}\.json\.gz|\.\w{8}\.(gz|txt)")  # or what a killed run was writing
BAD = (UserError, OSError, EOFError, RecursionError, ValueError, LookupError, TypeError, zlib.error)
ReadOne = Callable[[Noted], tuple[Field | None, Findings]]


class ReadIndex:
    """The index in a folder; `start` in [0, 1) is where in a dataset this machine begins."""

    def __init__(self, folder: Path, start: float = 0.0) -> None:
        """UserError where the folder is none of ours."""
        self.folder, self._start = folder, start
        if folder.is_symlink() or (folder.exists() and not self._is_ours()):
            raise UserError(f"{folder}: is no index of ours; move it, or name another --output")
        can_go_on()

    def _is_ours(self) -> bool:
        """Whether the folder is marked as ours, or holds nothing but what is being written."""
        try:
            names = [path.name for path in self.folder.iterdir()]
            return MARK in names or all(OURS.fullmatch(name) for name in names)
        except OSError:
            return False

    def read(
        self, dataset: Dataset, cell_px: float, read_one: ReadOne, workers: int
    ) -> Iterator[tuple[Field | None, Findings]]:
        """What `read_one` gives of each picture, in order, from the index where it is there.

        `cell_px`: what else the reading hangs on, the side of a typical red cell in pixels.
        """
        notes = dataset.notes
        lots = [notes[i : i + LOT] for i in range(0, len(notes), LOT)]
        first = int(self._start * len(lots))

        def read_lot(lot: list[Noted]) -> Iterator[tuple[Field | None, Findings]]:
            path = self._path(dataset, lot, cell_px)
            known = self._load(path, dataset, lot)
            if known is not None:
                yield from known
                return
            rows = []
            for row in run_ahead(pool, read_one, lot, 2 * workers):
                rows.append(pack(*row))
                yield row
            self._save(path, json.dumps(rows).encode())

        # What is read before its turn comes is written, not held, and then taken from there.
        ahead = (row for lot in lots[first:] for row in read_lot(lot)) if first else ()
        with ThreadPoolExecutor(workers) as pool:
            for _ in progress(ahead, len(notes[first * LOT :]), "reading fields"):
                pass
            rest = (row for lot in lots for row in read_lot(lot))
            yield from progress(rest, len(notes), "gathering fields" if first else "reading fields")

    def clear(self) -> None:
        """The archive stands: what led there can go."""
        if not (self.folder / MARK).is_file():
            return
        for path in [*self.folder.iterdir()]:
            if OURS.fullmatch(path.name):
                path.unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # whatever else lies there stays
            if not [path for path in self.folder.iterdir() if path.name != MARK]:
                (self.folder / MARK).unlink()
                self.folder.rmdir()

    def _save(self, path: Path, content: bytes) -> None:
        if not (self.folder / MARK).is_file():
            write_text(self.folder / MARK, MARKED)
        sealed = hashlib.sha256(content).hexdigest().encode() + content
        write_bytes(path, gzip.compress(sealed, 1, mtime=0))

    def _path(self, dataset: Dataset, lot: list[Noted], cell_px: float) -> Path:
        about = [VERSION, dataset.lab, cell_px, dataset.findings.keep]
        about += [describe(dataset, note) for note in lot]
        digest = hashlib.sha256(json.dumps(about, default=str).encode("utf-8", "surrogatepass"))
        return self.folder / f"{digest.hexdigest()[:32]}.json.gz"

    def _load(
        self, path: Path, dataset: Dataset, lot: list[Noted]
    ) -> list[tuple[Field | None, Findings]] | None:
        if not os.path.lexists(path):
            return None
        try:
            unpacking = zlib.decompressobj(wbits=31)
            sealed = unpacking.decompress(read_file(path, "read index"), MOST)
            digest, content = sealed[:64], sealed[64:]
            if not unpacking.eof or digest.decode() != hashlib.sha256(content).hexdigest():
                raise ValueError("it isn't as it was written")
            rows = json.loads(content)
            return [unpack(row, dataset, note) for row, note in zip(rows, lot, strict=True)]
        except BAD:
            say(f"warning: {path}: damaged; what it told is read again")
            return None


def describe(dataset: Dataset, note: Noted) -> list[Any]:
    """All that the reading of a picture hangs on, but for the bytes in its file."""
    path = dataset.layout.path(note.picture)
    noted = note.annotation
    about = [noted.path.name, noted.size, noted.boxes, noted.left_out, noted.normalised]
    return [str(note.picture), *stamp(path), *about, note.whole]


def pack(field: Field | None, found: Findings) -> dict[str, Any]:
    """What was read of a picture, as JSON holds it."""
    row: dict[str, Any] = {
        "counts": [[*key, n] for key, n in found.counts.items()],
        "examples": [
            [*key, [[e.name, e.picture is not None, e.boxes, e.detail] for e in examples]]
            for key, examples in found.examples.items()
        ],
    }
    if field is None:
        return row
    bits = base64.b64encode(field.free.read()).decode()
    return row | {
        "segments": [[s.label, list(map(int, s.box))] for s in field.segments],
        "free": [bits, *field.free.shape],
        "size": field.size,
        "digest": field.digest,
        "look": field.look,
        "unboxed": field.unboxed,
    }


def read_mask(bits: bytes, height: int, width: int) -> Mask:
    """A mask; ValueError or zlib.error where its bits are damaged."""
    mask = Mask(bits, (height, width))
    mask.unpack()
    return mask


def unpack(row: dict[str, Any], dataset: Dataset, note: Noted) -> tuple[Field | None, Findings]:
    """What `pack` was given; ValueError, LookupError or TypeError where `row` is damaged."""
    path = dataset.layout.path(note.picture)
    found = Findings(dataset.findings.keep)
    for kind, reason, n in row["counts"]:
        found.counts[kind, reason] = int(n)
    for kind, reason, examples in row["examples"]:
        found.examples[kind, reason] = [
            Example(
                name,
                path if shown else None,
                tuple((label, tuple(corners)) for label, corners in boxes),
                detail,
            )
            for name, shown, boxes, detail in examples
        ]
    if "segments" not in row:
        return None, found
    bits, height, width = row["free"]
    field = Field(
        path,
        [Segment(label, tuple(box)) for label, box in row["segments"]],
        read_mask(base64.b64decode(bits), height, width),
        name=path.name,
        lab=dataset.lab,
        size=row["size"],
        digest=row["digest"],
        frame=note.annotation.size,
        look=row["look"],
        unboxed=row["unboxed"],
        whole=note.whole,
        given=note.split,
        listed=dataset.listed.get(note.picture, ""),
        gone_through=note.gone_through,
    )
    return field, found
