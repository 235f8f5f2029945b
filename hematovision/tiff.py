"""The tags of a TIFF, page by page: how a file that holds almost anything says what it holds.

    page, pages = read_first_page(data)
    page.one(256, 0)                    # its width

TIFF 6.0 and BigTIFF, either byte order. Where tags point beyond the end of the file, `struct.error`
is raised, as by any read of numbers that aren't there.
"""

from __future__ import annotations

import functools
import struct

# More is not looked at: whole slides have fewer, and hostile files would take hours.
MOST_PAGES, MOST_TAGS, MOST_VALUES = 10_000, 4096, 1_000_000
TAG_TYPES = {1: "B", 2: "s", 3: "H", 4: "I", 6: "b", 8: "h", 9: "i", 13: "I", 16: "Q", 18: "Q"}


class Directory:
    """One page of a TIFF: its tags."""

    def __init__(self, data: bytes, order: str, big: bool, at: int) -> None:
        self.data, self.order, self.big = data, order, big
        head, entry, self.inline = ("Q", "HHQ", 8) if big else ("H", "HHI", 4)
        (count,) = struct.unpack_from(order + head, data, at)
        if count > MOST_TAGS:
            raise struct.error("more tags than any writer makes")
        self._first = at + struct.calcsize(order + head)
        self._count, self._entry, self._size = count, order + entry, 20 if big else 12
        self.next = self._first + count * self._size  # where the place of the next page stands

    @functools.cached_property
    def entries(self) -> dict[int, tuple[int, int, int]]:
        """Type, number of values and place in the file of each tag."""
        found = {}
        for i in range(self._first, self.next, self._size):
            tag, kind, many = struct.unpack_from(self._entry, self.data, i)
            found[tag] = kind, many, i + self._size - self.inline
        return found

    def at(self, tag: int) -> int:
        """Where the values of a tag stand in the file."""
        kind, many, at = self.entries[tag]
        if many * struct.calcsize("<" + TAG_TYPES.get(kind, "Q")) <= self.inline:
            return at
        return struct.unpack_from(self.order + ("Q" if self.big else "I"), self.data, at)[0]

    def get(self, tag: int, default: tuple = ()) -> tuple:
        """The values of a tag: numbers, or one bytes."""
        if tag not in self.entries or self.entries[tag][0] not in TAG_TYPES:
            return default
        kind, many, _ = self.entries[tag]
        if many > MOST_VALUES:
            raise struct.error("more values than any writer makes")
        return struct.unpack_from(f"{self.order}{many}{TAG_TYPES[kind]}", self.data, self.at(tag))

    def one(self, tag: int, default: int) -> int:
        values = self.get(tag)
        return values[0] if values else default


def read_first_page(data: bytes) -> tuple[Directory, int]:
    """The tags of a TIFF's first page, and how many pages there are."""
    order = "<" if data[:2] == b"II" else ">"
    big = data[2:4] in (b"+\0", b"\0+")
    word = "Q" if big else "I"
    (at,) = struct.unpack_from(order + word, data, 8 if big else 4)
    first = page = Directory(data, order, big, at)
    seen = {at}
    while len(seen) < MOST_PAGES:
        (at,) = struct.unpack_from(order + word, data, page.next)
        if at == 0 or at in seen:
            break
        seen.add(at)
        page = Directory(data, order, big, at)
    return first, len(seen)
