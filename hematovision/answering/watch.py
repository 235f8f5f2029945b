"""A watched folder: what is there, then each new picture as soon as it is wholly written.

Folders are listed anew each second. What an operating system tells of changes (inotify and its
like, which libraries such as watchfiles listen to) holds where this machine makes them; a camera's
computer writes to a network drive, of which nothing is told. When a file is whole nobody tells
either: it is when it has stopped growing and can be read.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from hematovision.answering.given import Copies
from hematovision.pictures.images import read_image
from hematovision.program.console import UserError
from hematovision.program.files import IMAGE_SUFFIXES, list_files, stamp
from hematovision.program.marks import is_drawn

PERIOD = 1.0  # seconds from one listing to the next
PATIENCE = 15.0  # seconds for which a file that can't be read may be one still to be completed


class Growing:
    """A file that is there, and may not be whole yet."""

    def __init__(self, at: list[int], now: float) -> None:
        self.at, self.since = at, now  # size and time, and since when they are so

    def look(self, at: list[int], now: float) -> float:
        """For how many seconds the file has stayed as it is."""
        if at != self.at:
            self.at, self.since = at, now
        return now - self.since


class Watch:
    """Folders (and files) under watch; what was given out once isn't again."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self._paths = list(paths)
        self._known: set[Path] = set()
        self._growing: dict[Path, Growing] = {}

    def take(self, images: Sequence[Path]) -> list[Path]:
        """Those of the images that are whole already; the others come when they are."""
        old = time.time() - PATIENCE  # what nobody has written to since needn't be looked into
        whole = [
            path
            for path in images
            if not path.exists() or path.stat().st_mtime < old or can_be_read(path)
        ]
        self.know(whole)
        return whole

    def know(self, images: Iterable[Path]) -> None:
        """Leave these out: they are answered, or no fields."""
        self._known.update(images)

    def list_new(self, now: float) -> list[Path]:
        """Pictures that have become whole since last asked, by name; `now` in seconds."""
        whole = []
        for path in self._list_pictures():
            if path in self._known:
                continue
            at = stamp(path)
            quiet = self._growing.setdefault(path, Growing(at, now)).look(at, now)
            if quiet < PERIOD / 2 or not at or not at[0]:
                continue
            if quiet < PATIENCE and not can_be_read(path):
                continue
            del self._growing[path]
            self._known.add(path)
            whole.append(path)
        copies = [Copies(path) for path in self._paths]  # of what was copied since
        return sorted(
            path for path in whole if not is_drawn(path) and not any(path in of for of in copies)
        )

    def _list_pictures(self) -> Iterator[Path]:
        for path in self._paths:
            if not path.is_dir():
                yield path
                continue
            for file in list_files(path):
                if file.suffix.lower() in IMAGE_SUFFIXES:
                    yield file

    def follow(self) -> Iterator[list[Path]]:
        """Groups of new pictures, for ever."""
        while True:
            time.sleep(PERIOD)
            if new := self.list_new(time.monotonic()):
                yield new


def can_be_read(path: Path) -> bool:
    """Whether a picture is whole enough to be decoded."""
    if is_drawn(path):
        return True
    try:
        read_image(path)
    except UserError:
        return False
    return True
