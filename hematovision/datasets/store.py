"""The store: what is known of a dataset's pictures, on the disk and not in memory.

    store = Store()
    kept = store.keep(annotation)
    kept.load()                         # an equal one, read

Of a million fields the boxes alone would fill gigabytes as Python's objects. They lie in a nameless
database of SQLite's, in the temporary folder (TMPDIR names another), which goes with the process.
"""

from __future__ import annotations

import pickle
import sqlite3
import tempfile
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar, overload

from hematovision.program.console import UserError

CACHE = 4 << 10  # KiB of the database that stay in memory
T = TypeVar("T")


class Store:
    """Values by number, any thread's. What isn't asked for any more goes with the store alone."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        # Without a name SQLite makes a file that nobody else sees, once its cache is full.
        self._base = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        self._base.execute(f"PRAGMA cache_size = -{CACHE}")
        self._base.execute("PRAGMA journal_mode = OFF")
        self._base.execute("CREATE TABLE kept (number INTEGER PRIMARY KEY, value BLOB NOT NULL)")

    def keep(self, value: T) -> Kept[T]:
        """The stand-in of a value that is written now; UserError where no room is left."""
        row = (pickle.dumps(value, pickle.HIGHEST_PROTOCOL),)
        try:
            with self._lock:
                added = self._base.execute("INSERT INTO kept (value) VALUES (?)", row)
                return Kept(self, int(added.lastrowid or 0))
        except sqlite3.Error as error:
            raise UserError(
                f"{tempfile.gettempdir()}: no room for what is read of a dataset ({error}); "
                "let TMPDIR name a folder with more"
            ) from None

    def keep_list(self, values: Sequence[T]) -> KeptList[T]:
        """The stand-in of a list."""
        return KeptList(self.keep(list(values)), len(values))

    def load(self, number: int) -> Any:
        """The value of a number, an equal one at each call."""
        with self._lock:
            found = self._base.execute("SELECT value FROM kept WHERE number = ?", (number,))
            (value,) = found.fetchone()
        return pickle.loads(value)  # nobody but this process has written it


@dataclass(frozen=True, slots=True)
class Kept(Generic[T]):
    """What stands for a value in a store."""

    store: Store
    number: int

    def load(self) -> T:
        return self.store.load(self.number)


@dataclass(frozen=True, slots=True, eq=False)
class KeptList(Sequence[T]):
    """A list in a store, read as a whole whenever it is gone through."""

    kept: Kept[list[T]]
    length: int

    def __len__(self) -> int:
        return self.length

    def __iter__(self) -> Iterator[T]:
        return iter(self.kept.load() if self.length else ())

    @overload
    def __getitem__(self, index: int) -> T: ...
    @overload
    def __getitem__(self, index: slice) -> list[T]: ...
    def __getitem__(self, index: int | slice) -> T | list[T]:
        return self.kept.load()[index]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]  # as of a list
