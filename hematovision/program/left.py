"""What runs have left in a folder for people to correct, so that no correction is ever lost.

left = Left(folder)
if left.is_changed(path): ...           # somebody has put it right, or it was never ours
with left.written(path) as temporary:   # whole or not at all, and noted
    temporary.write_bytes(data)
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from hematovision.program.console import UserError
from hematovision.program.files import written_whole
from hematovision.program.marks import digest_at

LIST = ".hematovision.sha256"  # of a folder, and of all below


class Left:
    """The files left in a folder, by the digests that each had: a line a file and digest, as
    sha256sum writes and checks them."""

    def __init__(self, folder: Path) -> None:
        """UserError where the list is a link."""
        self._folder, self._list = folder, folder / LIST
        self._digests: dict[str, set[str]] = {}
        if self._list.is_symlink():
            raise UserError(f"{self._list}: is a link; remove it")
        with contextlib.suppress(OSError):
            text = self._list.read_bytes().decode("utf-8", "surrogateescape")
            for line in text.splitlines():
                digest, _, name = line.partition("  ")
                self._digests.setdefault(name, set()).add(digest)

    def _name(self, path: Path) -> str:
        return path.relative_to(self._folder).as_posix()

    def __contains__(self, path: Path) -> bool:
        """Whether a file of that name was ever left here."""
        return self._name(path) in self._digests

    def is_changed(self, path: Path) -> bool:
        """Whether a file stands at `path` that isn't as we left it, or that we never wrote."""
        if not os.path.lexists(path):
            return False
        if path.is_symlink() or not path.is_file():
            return True
        return digest_at(path) not in self._digests.get(self._name(path), ())

    @contextlib.contextmanager
    def written(self, path: Path) -> Iterator[Path]:
        """As `written_whole`; that we leave it is noted before it stands, so that a run that is
        killed between doesn't take it for another's."""
        with written_whole(path) as temporary:
            yield temporary
            self._note(self._name(path), digest_at(temporary))

    def _note(self, name: str, digest: str) -> None:
        known = self._digests.setdefault(name, set())
        if digest not in known:
            known.add(digest)
            with open(self._list, "ab") as file:
                file.write(f"{digest}  {name}\n".encode("utf-8", "surrogateescape"))
