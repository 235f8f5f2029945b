"""The archive, preprocessed_data.npz: its keys, how it is written and how it is read.

For each split the crops: `X` (n, size, size, 3) in [0, 1], `y`, `label`, `source` (n,), `box`
(n, 4); and the fields they are cut from, see `pack_fields`. Once `classes` (k,), `metadata` (JSON).
"""

from __future__ import annotations

import functools
import hashlib
import io
import json
import zipfile
import zlib
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from hematovision.cells import Segment
from hematovision.console import UserError, progress, run_ahead
from hematovision.files import written_whole
from hematovision.images import read_image, scale_pixels, square_crop, unscale_pixels

if TYPE_CHECKING:
    from hematovision.dataset import Field

SPLITS = ("train", "val", "test")
DAMAGED = (zipfile.BadZipFile, zlib.error)  # what a broken .npz raises, beside ValueError


class Crops(NamedTuple):
    """The crops of one split, cut only while they are written: never all of them in memory."""

    chosen: list[tuple[Field, list[Segment]]]
    size: int

    @property
    def shape(self) -> tuple[int, int, int, int]:
        return sum(len(segments) for _, segments in self.chosen), self.size, self.size, 3

    def cut(self, i: int) -> np.ndarray:
        """The crops of one field: (n, size, size, 3) uint8."""
        field, segments = self.chosen[i]
        crops = np.empty((len(segments), self.size, self.size, 3), np.uint8)
        if segments:
            image = read_image(field.path, field.data)
            for k, (_, (xmin, ymin, xmax, ymax)) in enumerate(segments):
                crops[k] = square_crop(image[ymin:ymax, xmin:xmax], self.size)
        return crops


def pack_fields(fields: Sequence[Field]) -> dict[str, np.ndarray]:
    """The fields as they are: names (f,), image files end to end (bytes,) and where each ends (f,);
    all their boxes (m, 4), the label of each (m,), and the index of its field (m,).

    And of each field (f,) its laboratory, and which labels it lacks no box of, comma between.
    """
    boxes = [(i, *segment) for i, field in enumerate(fields) for segment in field.segments]
    return {
        "field": np.array([f.name for f in fields], str),
        "field_file": np.frombuffer(b"".join(f.data for f in fields), np.uint8),
        "field_end": np.cumsum([len(f.data) for f in fields], dtype=np.int64),
        "field_box": np.array([box for *_, box in boxes], np.int64).reshape(-1, 4),
        "field_label": np.array([label for _, label, _ in boxes], str),
        "field_index": np.array([i for i, *_ in boxes], np.int64),
        "field_lab": np.array([f.lab for f in fields], str),
        "field_complete": np.array([",".join(f.complete) for f in fields], str),
    }


def write_archive(path: Path, arrays: dict[str, np.ndarray | Crops], workers: int) -> None:
    """Write a compressed .npz of arrays, and of crops, cut on the way, as float16 in [0, 1].

    With ISA-L's deflate, whose level 2 makes a smaller file than NumPy's float32 at zlib's level 6,
    some forty times faster.
    """
    from datetime import datetime

    from stream_zip import ZIP_64, stream_zip

    def pieces(name: str) -> Iterator[bytes]:
        array = arrays[name]
        lazy = isinstance(array, Crops)
        kind = np.dtype(np.float16) if lazy else array.dtype
        header = {"descr": kind.str, "fortran_order": False, "shape": array.shape}
        buffer = io.BytesIO()
        np.lib.format.write_array_header_1_0(buffer, header)
        yield buffer.getvalue()
        if not lazy:
            yield array.tobytes()
            return
        count = len(array.chosen)
        cut = run_ahead(pool, lambda i: scale_pixels(array.cut(i)).tobytes(), range(count), workers)
        yield from progress(cut, count, f"cutting {name}")

    def members() -> Iterator[tuple]:
        epoch = datetime(1980, 1, 1)  # the same inputs give the same bytes
        for name in arrays:
            yield f"{name}.npy", epoch, 0o644, ZIP_64, pieces(name)

    with (
        written_whole(path) as temporary,
        open(temporary, "wb") as file,
        ThreadPoolExecutor(workers) as pool,
    ):
        compressor = functools.partial(Deflate, pool, 2 * workers)
        file.writelines(stream_zip(members(), get_compressobj=compressor, chunk_size=1 << 19))


class Deflate:
    """A compressobj that deflates the chunks it's given side by side, in threads of `pool`.

    Each chunk ends on a full flush, so that the pieces can be set end to end (as pigz does), and
    what comes out depends on the chunks alone, not on the number of threads.
    """

    def __init__(self, pool: ThreadPoolExecutor, ahead: int) -> None:
        self._pool, self._ahead = pool, ahead
        self._pieces: deque[Future[bytes]] = deque()

    @staticmethod
    def _deflate(chunk: bytes, last: bool = False) -> bytes:
        from isal import isal_zlib

        stream = isal_zlib.compressobj(2, wbits=-15)
        mode = isal_zlib.Z_FINISH if last else isal_zlib.Z_FULL_FLUSH
        return stream.compress(chunk) + stream.flush(mode)

    def compress(self, chunk: bytes) -> bytes:
        self._pieces.append(self._pool.submit(self._deflate, chunk))
        return self._pieces.popleft().result() if len(self._pieces) > self._ahead else b""

    def flush(self) -> bytes:
        pieces = [piece.result() for piece in self._pieces]
        return b"".join([*pieces, self._deflate(b"", last=True)])


class Split(NamedTuple):
    """One split of the archive."""

    X: np.ndarray  # (n, size, size, 3) uint8, RGB
    y: np.ndarray  # (n,) index into the classes
    label: np.ndarray  # (n,) text, what was annotated
    source: np.ndarray  # (n,) file name of the field
    box: np.ndarray  # (n, 4) xmin, ymin, xmax, ymax in pixels of the field


class AnnotatedField(NamedTuple):
    """One field of an archive, with those of its boxes whose labels are asked for."""

    name: str
    data: bytes  # the image file
    box: np.ndarray  # (n, 4) float
    label: np.ndarray  # (n,) index into the labels asked for

    def image(self) -> np.ndarray:
        """The field (height, width, 3) uint8 RGB."""
        return read_image(Path(self.name), self.data)


class FieldSplit(NamedTuple):
    """The fields of one split, as `pack_fields` put them into the archive."""

    name: np.ndarray  # (f,) file names
    file: np.ndarray  # (bytes,) uint8, the image files end to end
    end: np.ndarray  # (f,) where each ends
    box: np.ndarray  # (m, 4) all boxes, in pixels
    label: np.ndarray  # (m,) text
    index: np.ndarray  # (m,) the field that each is in

    KEYS = ("field", "field_file", "field_end", "field_box", "field_label", "field_index")

    def is_consistent(self) -> bool:
        """Whether the arrays belong together."""
        last = self.end[-1] if len(self.end) else 0
        return (
            len(self.name) == len(self.end)
            and last == len(self.file)
            and bool((np.diff(self.end) > 0).all())
            and len(self.box) == len(self.label) == len(self.index)
            and bool((self.index < len(self.name)).all())
        )

    def read(self, labels: Sequence[str]) -> Iterator[AnnotatedField]:
        """Each field with its boxes; those of other labels than `labels` are left out."""
        index = {label: k for k, label in enumerate(labels)}
        code = np.array([index.get(label, -1) for label in self.label.tolist()], int)
        for i, (name, start, end) in enumerate(
            zip(self.name.tolist(), [0, *self.end], self.end, strict=False)
        ):
            mine = (self.index == i) & (code >= 0)
            data = self.file[start:end].tobytes()
            yield AnnotatedField(name, data, self.box[mine].astype(float), code[mine])


class Archive(NamedTuple):
    """What preprocess_data.py wrote, as far as it was asked for."""

    splits: dict[str, Split]
    fields: dict[str, FieldSplit]
    classes: list[str]
    metadata: dict[str, Any]
    digest: str  # SHA-256 of the file


def load_archive(path: Path, wanted: Sequence[str]) -> Archive:
    """Read the wanted splits; crops come back as the uint8 they were cut as, half of what they are.

    Raises UserError where the file is missing, damaged, or not one of our archives.
    """
    hint = "make one with preprocess_data.py"
    splits: dict[str, Split] = {}
    fields: dict[str, FieldSplit] = {}
    try:
        with open(path, "rb") as file:
            digest = hashlib.sha256()
            while chunk := file.read(1 << 20):
                digest.update(chunk)
        if not zipfile.is_zipfile(path):
            raise ValueError("it is no .npz file")
        with np.load(path, allow_pickle=False) as archive:
            metadata = json.loads(str(archive["metadata"]))
            classes = archive["classes"].tolist()
            for name in wanted:
                columns = [archive[f"{c}_{name}"] for c in ("y", "label", "source", "box")]
                splits[name] = Split(unscale_pixels(archive[f"X_{name}"]), *columns)
                fields[name] = FieldSplit(*(archive[f"{c}_{name}"] for c in FieldSplit.KEYS))
        shape = (metadata["image_size"], metadata["image_size"], 3)
    except FileNotFoundError:
        raise UserError(f"{path}: no such archive; {hint}") from None
    except KeyError as error:
        raise UserError(f"{path}: it holds no {error}; {hint}") from None
    except (OSError, ValueError, TypeError, EOFError, AttributeError, *DAMAGED) as error:
        raise UserError(f"{path}: not a readable archive ({error}); {hint}") from None
    for name, split in splits.items():
        if any(len(column) != len(split.y) for column in split) or split.X.shape[1:] != shape:
            raise UserError(f"{path}: the arrays of split {name} don't fit together; {hint}")
    for name, field in fields.items():
        if not field.is_consistent():
            raise UserError(f"{path}: the whole fields of split {name} don't fit together; {hint}")
    return Archive(splits, fields, classes, metadata, digest.hexdigest())


def find_seen_fields(
    metadata: dict[str, Any], card: dict[str, Any], splits: Sequence[str] = ("val", "test")
) -> list[str]:
    """Held-out fields of an archive that the model of `card` was trained on, by file digest."""
    seen = set(card["training_fields"])
    held_out = (metadata["field_sha256"][s] for s in splits)
    return [name for of_split in held_out for name, digest in of_split.items() if digest in seen]
