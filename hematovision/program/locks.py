"""Locks: two runs never write to one place at a time.

    hold(folder / "cells.csv")      # UserError where another run has it; ours until the script ends

The operating system keeps the lock, so that a run that is killed leaves none behind. Shares of one
run have files of other names, and so locks of their own. A folder that is made for a lock, and into
which nothing is written, goes with it: a run that ends in an error leaves nothing behind.
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING

from hematovision.program.console import ENDINGS, UserError
from hematovision.program.files import check_writable
from hematovision.program.signals import TEMPORARY, undivided

if TYPE_CHECKING:
    from filelock import BaseFileLock

HELD: dict[Path, BaseFileLock] = {}
MADE: list[Path] = []  # folders that weren't there before a lock, the outer before the inner


def hold(path: Path) -> None:
    """Let no other run write to `path` before this one ends; UserError where one does."""
    from filelock import FileLock, Timeout

    lock = path.absolute().with_name(f".{path.name}.lock")
    if lock in HELD:
        return
    check_writable(lock.parent)
    ENDINGS.append(release)
    folders = [lock.parent, *lock.parent.parents]
    MADE.extend(folder for folder in reversed(folders) if not folder.exists())
    lock.parent.mkdir(parents=True, exist_ok=True)
    held = FileLock(lock, timeout=0)
    try:
        with undivided():
            held.acquire()
            HELD[lock] = held
            TEMPORARY.add(str(lock))
    except Timeout:
        raise UserError(
            f"{path}: another run is writing it; wait for its end, or name another output"
        ) from None
    except NotImplementedError:  # a file system without locks
        return


def release() -> None:
    """Give back what this run holds; take away the files of the locks, and the folders that were
    made for them and are empty."""
    with undivided():
        while HELD:
            path, held = HELD.popitem()
            with contextlib.suppress(OSError):  # another run may hold it from here on
                path.unlink(missing_ok=True)
            TEMPORARY.discard(str(path))
            held.release()
        while MADE:
            with contextlib.suppress(OSError):  # what was written stands in it
                MADE.pop().rmdir()
