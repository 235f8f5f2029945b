"""Stored arrays: what is read back is what was stored, and no more of it is in memory."""

from __future__ import annotations

import tempfile
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from hematovision.archive.arrays import Member, StoredArray, StoredBytes, pick_rows, store_member
from hematovision.program.console import UserError

ROWS = np.random.default_rng(0).integers(0, 256, (700, 4, 4, 3)).astype(np.uint8)


@pytest.fixture
def stored() -> StoredArray:
    return StoredArray.fill(ROWS.shape, np.uint8, np.array_split(ROWS, 3))


def test_rows_come_back_by_index_slice_and_mask(stored: StoredArray) -> None:
    assert (stored.shape, stored.ndim, len(stored)) == (ROWS.shape, 4, 700)
    mask = np.arange(700) % 3 == 1
    for index in (5, -1, slice(3, 9), [7, 7, 2], mask, np.array([699, 0])):
        assert (stored[index] == ROWS[index]).all()
    assert (np.asarray(stored) == ROWS).all()
    assert (np.stack(list(stored)) == ROWS).all()
    with pytest.raises(IndexError):
        stored[700]


def test_rows_are_picked_again_and_again(stored: StoredArray) -> None:
    some = pick_rows(pick_rows(stored, np.arange(700) % 2 == 0), np.array([4, 1, 300]))
    assert isinstance(some, StoredArray)
    assert (np.asarray(some) == ROWS[[8, 2, 600]]).all()
    assert (np.stack(list(some)) == ROWS[[8, 2, 600]]).all()
    assert (pick_rows(ROWS, [1, 2]) == ROWS[1:3]).all()


def test_nothing_is_a_stored_array_too() -> None:
    empty = StoredArray.fill((0, 4, 4, 3), np.uint8, [])
    assert empty.shape == (0, 4, 4, 3) and list(empty) == []
    assert empty[:].shape == (0, 4, 4, 3)


def test_bytes_are_read_where_they_lie() -> None:
    file = StoredArray.fill((6,), np.uint8, [np.frombuffer(b"abc", np.uint8)] * 2)
    assert bytes(StoredBytes(file, 2, 5)) == b"cab"
    assert len(StoredBytes(file, 2, 5)) == 3


def test_an_array_of_an_archive_is_stored_in_parts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hematovision.archive.arrays.PART_BYTES", 1 << 16)
    many = np.tile(ROWS, (100, 1, 1, 1))
    np.savez_compressed(tmp_path / "a.npz", crops=many, turned=np.asfortranarray(many[..., 0]))

    def store(member: Member) -> StoredArray:
        assert member.shape == many.shape and member.kind == np.uint8
        return StoredArray.fill(member.shape, np.uint8, member.rows)

    with np.load(tmp_path / "a.npz") as archive:
        tracemalloc.start()
        stored = store_member(archive, "crops", store)
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert (np.asarray(stored) == many).all()
        assert most < many.nbytes / 4
        with pytest.raises(ValueError, match="order"):
            store_member(archive, "turned", store)
        with pytest.raises(KeyError, match="absent"):
            store_member(archive, "absent", store)


def test_a_full_disk_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def parts() -> Iterator[np.ndarray]:
        yield ROWS
        raise OSError(28, "No space left on device")

    with pytest.raises(UserError, match="TMPDIR") as caught:
        StoredArray.fill(ROWS.shape, np.uint8, parts())
    assert tempfile.gettempdir() in str(caught.value)
