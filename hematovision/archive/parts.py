"""Where an archive lies: in one file, or in several parts, each valid alone, that machines write
and read side by side.

    preprocessed_data-00001-of-00064.npz ... preprocessed_data-00064-of-00064.npz

They are named as one, preprocessed_data.npz, wherever an archive is wanted; a part's own name means
that part alone.
"""

from __future__ import annotations

import glob
import os
import re
import zipfile
from collections.abc import Iterable
from pathlib import Path

from hematovision.program.console import UserError
from hematovision.program.locks import hold
from hematovision.program.share import Share

ARCHIVE = Path("preprocessed_data.npz")
DEMO = Path("demo")  # holds what comes of drawn cells, so that it never answers for real smears
MOST = 99_999  # parts
ENDING = re.compile(r"-(\d{5})-of-(\d{5})$")


def find_parts(path: Path) -> list[Path]:
    """The files of an archive in order: `path` itself, or the parts that are named like it; none
    where there is neither.

    Raises UserError where a part is missing, or parts of several wholes, or the whole too, stand
    side by side.
    """
    found: dict[int, list[int]] = {}
    for other in path.parent.glob(f"{glob.escape(path.stem)}-*-of-*{path.suffix}"):
        ending = ENDING.search(other.stem)
        if ending and other.stem[: ending.start()] == path.stem:
            found.setdefault(int(ending[2]), []).append(int(ending[1]))
    if path.exists():
        if found:
            raise UserError(
                f"{path}: stands beside an archive of that name in {min(found)} parts; remove one"
            )
        return [path]
    if not found:
        return []
    if len(found) > 1:
        ways = " and ".join(str(count) for count in sorted(found))
        raise UserError(f"{path}: parts of {ways} stand side by side; remove those of one")
    ((count, numbers),) = found.items()
    missing = sorted(set(range(1, count + 1)) - set(numbers))
    if missing:
        raise UserError(
            f"{Share(missing[0], count).name(path)}: {len(missing)} of {count} parts are missing; "
            f"make them with preprocess_data.py --shard {missing[0]}/{count}"
        )
    return [Share(number, count).name(path) for number in range(1, count + 1)]


def check_replaceable(path: Path) -> None:
    """UserError where something stands at `path` that is no archive: it isn't ours to replace."""
    if not os.path.lexists(path) or path.is_dir():  # which is told where it is written
        return
    try:
        with zipfile.ZipFile(path) as file:
            known = "metadata.npy" in file.namelist()
    except (OSError, zipfile.BadZipFile, RuntimeError, ValueError):
        known = False
    if not known:
        raise UserError(f"{path}: is there already, and no archive; move it, or name another")


def claim(paths: Iterable[Path]) -> None:
    """Let no other run write these archives before this one ends; UserError where one does, or
    where something stands there that is no archive."""
    for path in paths:
        check_replaceable(path)
        hold(path)


def choose_archive(path: Path | None) -> Path:
    """The archive named, else the one made here, else that of the drawn sample."""
    drawn = DEMO / ARCHIVE
    return path or (drawn if find_parts(drawn) and not find_parts(ARCHIVE) else ARCHIVE)


def place(name: str, demonstration: bool) -> Path:
    """Where what comes of an archive belongs unless told: apart, if its cells are drawn."""
    return DEMO / name if demonstration else Path(name)
