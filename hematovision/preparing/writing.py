"""Packing: annotated fields and the crops cut out of them -> the file preprocessed_data.npz."""

from __future__ import annotations

import functools
import io
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np

from hematovision.cells.cells import Segment
from hematovision.datasets.field import Field
from hematovision.pictures.images import read_image, scale_pixels, square_crop
from hematovision.program.console import progress, run_ahead
from hematovision.program.files import written_whole

CHUNK = 1 << 19  # bytes that are deflated as one
AT_ONCE = 256 << 20  # bytes of image files up to which these are, which makes them a little smaller


class Crops(NamedTuple):
    """The crops of one split, cut only while they are written: never all of them in memory."""

    chosen: list[tuple[Field, list[Segment]]]
    size: int

    @property
    def shape(self) -> tuple[int, int, int, int]:
        return sum(len(segments) for _, segments in self.chosen), self.size, self.size, 3

    @property
    def dtype(self) -> np.dtype:
        return np.dtype(np.float16)

    def cut(self, i: int) -> np.ndarray:
        """The crops of one field: (n, size, size, 3) uint8."""
        field, segments = self.chosen[i]
        crops = np.empty((len(segments), self.size, self.size, 3), np.uint8)
        if segments:
            image = read_image(field.path, field.read())
            for k, (_, (xmin, ymin, xmax, ymax)) in enumerate(segments):
                crops[k] = square_crop(image[ymin:ymax, xmin:xmax], self.size)
        return crops


class Files(NamedTuple):
    """The image files of fields, end to end, read only while they are written."""

    fields: Sequence[Field]

    @property
    def shape(self) -> tuple[int]:
        return (sum(f.size for f in self.fields),)

    @property
    def dtype(self) -> np.dtype:
        return np.dtype(np.uint8)


def pack_fields(fields: Sequence[Field]) -> dict[str, np.ndarray | Files]:
    """The fields as they are: names (f,), image files end to end (bytes,) and where each ends (f,);
    all their boxes (m, 4), the label of each (m,), and the index of its field (m,).

    And of each field (f,) its laboratory, and which labels it lacks no box of, comma between.
    """
    boxes = [(i, *segment) for i, field in enumerate(fields) for segment in field.segments]
    return {
        "field": np.array([f.name for f in fields], str),
        "field_file": Files(fields),
        "field_end": np.cumsum([f.size for f in fields], dtype=np.int64),
        "field_box": np.array([box for *_, box in boxes], np.int64).reshape(-1, 4),
        "field_label": np.array([label for _, label, _ in boxes], str),
        "field_index": np.array([i for i, *_ in boxes], np.int64),
        "field_lab": np.array([f.lab for f in fields], str),
        "field_complete": np.array([",".join(f.complete) for f in fields], str),
    }


def write_archive(path: Path, arrays: dict[str, np.ndarray | Crops | Files], workers: int) -> None:
    """Write a compressed .npz of arrays, of image files, and of crops, cut on the way, as float16
    in [0, 1].

    With ISA-L's deflate, whose level 2 makes a smaller file than NumPy's float32 at zlib's level 6,
    some forty times faster.
    """
    from datetime import datetime, timezone

    from stream_zip import ZIP_64, stream_zip

    def pieces(name: str) -> Iterator[bytes]:
        array = arrays[name]
        header = {"descr": array.dtype.str, "fortran_order": False, "shape": array.shape}
        buffer = io.BytesIO()
        np.lib.format.write_array_header_1_0(buffer, header)
        yield buffer.getvalue()
        if isinstance(array, Crops):
            count = len(array.chosen)
            cut = run_ahead(
                pool, lambda i: scale_pixels(array.cut(i)).tobytes(), range(count), workers
            )
            yield from progress(cut, count, f"cutting {name}")
        elif isinstance(array, Files):
            files = run_ahead(pool, Field.read, array.fields, workers)
            yield from rechunk(files, array.shape[0] if array.shape[0] <= AT_ONCE else CHUNK)
        else:
            yield array.tobytes()

    def members() -> Iterator[tuple]:
        epoch = datetime(1980, 1, 1, tzinfo=timezone.utc)  # the same inputs give the same bytes
        for name in arrays:
            yield f"{name}.npy", epoch, 0o644, ZIP_64, pieces(name)

    with (
        written_whole(path) as temporary,
        open(temporary, "wb") as file,
        ThreadPoolExecutor(workers) as pool,
    ):
        compressor = functools.partial(Deflate, pool, 2 * workers)
        # It asks for zlib's own class, and calls but these two methods.
        chunks = stream_zip(members(), get_compressobj=compressor, chunk_size=CHUNK)  # type: ignore[arg-type]
        file.writelines(chunks)


def rechunk(pieces: Iterable[bytes], size: int) -> Iterator[bytes]:
    """The same bytes, `size` at a time: what is deflated together decides on what comes out."""
    waiting = bytearray()
    for piece in pieces:
        waiting += piece
        while len(waiting) >= size > 0:
            yield bytes(waiting[:size])
            del waiting[:size]
    if waiting:
        yield bytes(waiting)


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
