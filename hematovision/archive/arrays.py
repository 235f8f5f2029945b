"""Stored arrays: rows kept in a file, and read when asked for: memory doesn't grow with them.

    crops = StoredArray.fill((n, 96, 96, 3), np.uint8, parts)   # parts in order -> a nameless file
    crops[[5, 3]]                                               # these rows, read
    crops.pick(kept)                                            # some of the rows, not read yet

The file lies in the system's temporary folder (TMPDIR names another) and goes with the process,
whatever ends it. Rows are mapped anew at each reading: what stays mapped would count as memory.
"""

from __future__ import annotations

import mmap
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import IO, Any, BinaryIO, NamedTuple

import numpy as np

from hematovision.program.console import UserError

AT_ONCE = 64  # rows that are read together by who goes through all of them
PART_BYTES = 16 << 20  # of an array that is unpacked, in memory at a time


class Member(NamedTuple):
    """An array as it comes out of an archive."""

    shape: tuple[int, ...]
    kind: np.dtype
    rows: Iterator[np.ndarray]


class StoredArray:
    """Rows of one type in a file: a shape, a length, and rows by index, slice or mask."""

    def __init__(self, file: BinaryIO, shape: tuple[int, ...], dtype: Any, rows: Any) -> None:
        self._file, self._stored, self.dtype = file, shape, np.dtype(dtype)
        self._rows = rows  # (n,) which of the stored ones these are, or None: all

    @classmethod
    def fill(cls, shape: tuple[int, ...], dtype: Any, parts: Iterable[np.ndarray]) -> StoredArray:
        """Store parts end to end; they make up `shape`. UserError where no room is left."""
        file = tempfile.TemporaryFile()  # noqa: SIM115  it is open as long as the array lives
        try:
            for part in parts:
                file.write(np.ascontiguousarray(part, dtype).data)
            file.flush()
        except OSError as error:
            file.close()
            raise UserError(
                f"{tempfile.gettempdir()}: no room for an archive unpacked ({error.strerror}); "
                "let TMPDIR name a folder with more"
            ) from None
        return cls(file, shape, dtype, None)

    @property
    def shape(self) -> tuple[int, ...]:
        count = self._stored[0] if self._rows is None else len(self._rows)
        return (count, *self._stored[1:])

    @property
    def ndim(self) -> int:
        return len(self._stored)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: Any) -> np.ndarray:
        rows = index if self._rows is None else self._rows[index]
        if 0 in self._stored:
            return np.empty(self._stored, self.dtype)[rows]
        mapped = mmap.mmap(self._file.fileno(), 0, access=mmap.ACCESS_READ)
        every = np.frombuffer(mapped, self.dtype).reshape(self._stored)
        return np.array(every[rows])  # a copy: with the last view of it the map goes

    def __iter__(self) -> Iterator[np.ndarray]:
        for start in range(0, len(self), AT_ONCE):
            yield from self[start : start + AT_ONCE]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return self[:].astype(dtype or self.dtype, copy=False)

    def holds(self, rows: np.ndarray) -> np.ndarray:
        """Which of some rows (k,), by index, are here to be read: (k,) bool."""
        return np.ones(len(rows), bool)

    def pick(self, kept: np.ndarray) -> StoredArray:
        """The rows by index or mask (n,), unread."""
        rows = np.arange(len(self)) if self._rows is None else self._rows
        return StoredArray(self._file, self._stored, self.dtype, rows[kept])


class JoinedArray(StoredArray):
    """Stored arrays end to end, as one; nothing is copied."""

    def __init__(self, parts: Sequence[StoredArray], rows: np.ndarray | None = None) -> None:
        """`rows`: (n,) which of all rows these are (None: all, in order)."""
        self._parts, self._rows, self.dtype = list(parts), rows, parts[0].dtype
        self._starts = np.cumsum([0, *map(len, parts)])

    @property
    def shape(self) -> tuple[int, ...]:
        count = self._starts[-1] if self._rows is None else len(self._rows)
        return (int(count), *self._parts[0].shape[1:])

    @property
    def ndim(self) -> int:
        return self._parts[0].ndim

    def __getitem__(self, index: Any) -> np.ndarray:
        if self._rows is None and isinstance(index, slice) and index.step in (None, 1):
            start, stop, _ = index.indices(len(self))
            ends = zip(self._parts, self._starts, strict=False)
            found = [part[max(start - at, 0) : stop - at]
                     for part, at in ends if at < stop and start < at + len(part)]  # fmt: skip
            return np.concatenate(found or [np.empty((0, *self.shape[1:]), self.dtype)])
        rows = np.arange(len(self)) if self._rows is None else self._rows
        rows = rows[index]
        if np.ndim(rows) == 0:
            return self._read(np.array([rows]))[0]
        return self._read(rows)

    def _read(self, rows: np.ndarray) -> np.ndarray:
        found = np.empty((len(rows), *self.shape[1:]), self.dtype)
        home = np.searchsorted(self._starts, rows, side="right") - 1
        for k in np.unique(home).tolist():
            mine = home == k
            found[mine] = self._parts[k][rows[mine] - self._starts[k]]
        return found

    def holds(self, rows: np.ndarray) -> np.ndarray:
        """Which of some rows (k,), by index, are here to be read: (k,) bool."""
        rows = rows if self._rows is None else self._rows[rows]
        home = np.searchsorted(self._starts, rows, side="right") - 1
        held = np.array([bool(part.holds(np.zeros(1, int))[0]) for part in self._parts])
        return held[home]

    def pick(self, kept: np.ndarray) -> JoinedArray:
        """The rows by index or mask (n,), unread."""
        rows = np.arange(len(self)) if self._rows is None else self._rows
        return JoinedArray(self._parts, rows[kept])


class AbsentArray(StoredArray):
    """An array of which the shape is known only: its rows are on another machine."""

    def __init__(self, shape: tuple[int, ...], dtype: Any) -> None:
        self._stored, self._rows, self.dtype = shape, None, np.dtype(dtype)

    def __getitem__(self, index: Any) -> np.ndarray:
        raise LookupError("these rows are on another machine")

    def holds(self, rows: np.ndarray) -> np.ndarray:
        return np.zeros(len(rows), bool)

    def pick(self, kept: np.ndarray) -> AbsentArray:
        count = len(np.arange(len(self))[kept])
        return AbsentArray((count, *self.shape[1:]), self.dtype)


def read_header(array: IO[bytes], name: str) -> tuple[tuple[int, ...], bool, np.dtype]:
    """Shape, whether in Fortran's order, and type of an array in NumPy's format."""
    version = np.lib.format.read_magic(array)
    read = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }.get(version)
    if read is None:
        raise ValueError(f"{name} is of another version of NumPy's format")
    return read(array, max_header_size=10_000)


def store_member(
    archive: np.lib.npyio.NpzFile, key: str, store: Callable[[Member], StoredArray]
) -> StoredArray:
    """An array of an archive, stored without ever being whole in memory.

    `store` is given its shape, its type, and its rows some at a time. KeyError where there is no
    `key`, ValueError where it is in another order than C's or ends too early.
    """
    if key not in archive.files or archive.zip is None:
        raise KeyError(f"{key} is not a file in the archive")
    with archive.zip.open(f"{key}.npy") as member:
        shape, fortran, kind = read_header(member, key)
        if fortran or not shape:
            raise ValueError(f"{key} isn't in C's order")
        width = kind.itemsize * int(np.prod(shape[1:], dtype=object))
        at_once = max(1, PART_BYTES // max(width, 1))

        def read() -> Iterator[np.ndarray]:
            for start in range(0, shape[0], at_once):
                count = min(at_once, shape[0] - start)
                data = member.read(count * width)
                yield np.frombuffer(data, kind).reshape(count, *shape[1:])

        return store(Member(shape, kind, read()))


class StoredBytes(NamedTuple):
    """A file's bytes within a stored array: `bytes(...)` reads them."""

    array: Any  # (bytes,) uint8
    start: int
    end: int

    def __bytes__(self) -> bytes:
        return self.array[self.start : self.end].tobytes()

    def __len__(self) -> int:
        return self.end - self.start


Rows = np.ndarray | StoredArray  # of an array, in memory or in a file


def pick_rows(column: Any, kept: np.ndarray) -> Any:
    """Rows of an array, or of a stored one, by index or mask (n,)."""
    return column.pick(kept) if isinstance(column, StoredArray) else column[kept]
