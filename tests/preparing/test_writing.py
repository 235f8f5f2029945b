"""Writing: what is deflated side by side reads as one, whatever the chunks and threads."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from conftest import read_dataset

from hematovision.preparing.writing import Crops, Deflate, pack_fields, rechunk, write_archive


def test_chunks_set_end_to_end_inflate_to_what_was_given() -> None:
    chunks = [bytes([k]) * (1 << 16) for k in range(5)]
    with ThreadPoolExecutor(2) as pool:
        deflate = Deflate(pool, 2)
        data = b"".join(map(deflate.compress, chunks)) + deflate.flush()
    assert zlib.decompress(data, wbits=-15) == b"".join(chunks)
    assert list(rechunk([b"abc", b"defg", b""], 2)) == [b"ab", b"cd", b"ef", b"g"]


def test_an_archive_is_the_same_for_any_number_of_threads(
    voc_dataset: Callable[..., Path], tmp_path: Path
) -> None:
    fields, _ = read_dataset(voc_dataset(3))
    arrays = {"X": Crops([(f, f.segments) for f in fields], 32), **pack_fields(fields)}
    for workers in (1, 3):
        write_archive(tmp_path / f"{workers}.npz", arrays, workers)
    assert (tmp_path / "1.npz").read_bytes() == (tmp_path / "3.npz").read_bytes()
    with np.load(tmp_path / "1.npz") as stored:
        assert stored["X"].dtype == np.float16 and stored["X"].shape[0] == 12
        assert stored["field_file"].tobytes() == b"".join(f.read() for f in fields)
