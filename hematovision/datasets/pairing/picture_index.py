"""The index of a dataset's pictures: found by what annotations and lists call them."""

from __future__ import annotations

import itertools
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import PurePosixPath
from urllib.parse import unquote

from hematovision.datasets.pairing.layout import (
    bare_name,
    context,
    drop_suffix,
    folder_split,
    normal,
)

Key = tuple[tuple[str, ...], str]  # the folder's context, and the name
# What Label Studio and its exports set before the name of a picture that was uploaded.
HASH = re.compile(r"[0-9a-f]{8}-(?=.)")
LONGEST_NAME = 4096  # characters: what is longer names no file


def list_ways(name: str) -> Iterator[str]:
    """A picture's name as it is given, and as it reads without what tools make of names: the
    encoding and query of an address, a hash in front."""
    if len(name) > LONGEST_NAME:
        return
    ways = [name]
    plain = unquote(name)
    if "?d=" in plain:  # Label Studio's local files
        plain = plain.partition("?d=")[2]
    elif "://" in plain:
        plain = plain.partition("?")[0]
    ways.append(plain)
    folder, slash, last = plain.replace("\\", "/").rpartition("/")
    if HASH.match(last):
        ways.append(folder + slash + last[9:])
    yield from dict.fromkeys(ways)


class PictureIndex:
    """Finds a dataset's pictures by what annotations and lists call them."""

    def __init__(self, pictures: Iterable[PurePosixPath]) -> None:
        self.exact: defaultdict[Key, list[PurePosixPath]] = defaultdict(list)
        self.caseless: defaultdict[Key, list[PurePosixPath]] = defaultdict(list)
        self.anywhere: defaultdict[str, list[PurePosixPath]] = defaultdict(list)
        for path in pictures:
            stem, where = bare_name(path.name), context(path)
            self.exact[where, unicodedata.normalize("NFC", stem)].append(path)
            self.caseless[where, normal(stem)].append(path)
            self.anywhere[normal(stem)].append(path)

    def find(self, name: str, where: tuple[str, ...], split: str = "") -> PurePosixPath | None:
        """The picture of a name in that context, by the first way to read it that there is."""
        found = (self._find(way, where, split) for way in list_ways(name))
        return next((picture for picture in found if picture is not None), None)

    def _find(self, name: str, where: tuple[str, ...], split: str) -> PurePosixPath | None:
        """The picture of that name (with or without folders and ending) in that context, else the
        only one of the name anywhere, of those that the folders or the split named leave over."""
        given = PurePosixPath(name.replace("\\", "/"))
        stem = bare_name(given.name)
        for table, key in (
            (self.exact, unicodedata.normalize("NFC", stem)),
            (self.caseless, normal(stem)),
        ):
            inside = (*where, *context(given))
            for at in dict.fromkeys((inside, where)):
                found = table.get((at, key), ())
                if found:
                    own = drop_suffix(given.name)  # x.jpg of x.jpg.xml
                    alike = [
                        p for p in found if normal(p.name) in (normal(given.name), normal(own))
                    ]
                    exact = [p for p in alike if p.name in (given.name, own)]
                    return next(iter((*exact, *alike, *found)))
        found = self.anywhere.get(normal(stem), [])
        if len(found) > 1:
            shared = [count_shared_end(p, given) for p in found]
            if max(shared) > 1:  # folders too
                found = [p for p, n in zip(found, shared, strict=True) if n == max(shared)]
        if len(found) > 1 and split:
            found = [p for p in found if folder_split(p) == split]
        if len(found) > 1:  # one of which the folder is part of the other's
            found = [p for p in found if context(p)[: len(where)] == where]
        return found[0] if len(found) == 1 else None


def count_shared_end(first: PurePosixPath, second: PurePosixPath) -> int:
    """How many of the last parts of two paths are the same, but for the endings of the files."""
    if normal(bare_name(first.name)) != normal(bare_name(second.name)):
        return 0
    pairs = zip(reversed(first.parts[:-1]), reversed(second.parts[:-1]), strict=False)
    return 1 + sum(1 for _ in itertools.takewhile(lambda p: normal(p[0]) == normal(p[1]), pairs))
