"""Files on disk: written whole or not at all, and found in folders."""

from __future__ import annotations

import contextlib
import os
import stat
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from hematovision.program.console import UserError
from hematovision.program.marks import is_drawn
from hematovision.program.signals import TEMPORARY, undivided

HERE = Path(__file__).resolve().parents[2]  # the folder of the scripts, with data/
IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp", ".jp2", ".jfif")
LONGEST_STEM = 220  # bytes of 255, so that number and ending fit in too
# What Windows opens in place of a file of that name, whatever its ending.
DEVICES = {
    "con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(1, 10)),
}  # fmt: skip
LITTER = {"thumbs.db", "desktop.ini"}
DRAWN = "drawn by HematoVision"  # among what `survey` passes over
# How large a file may be, in bytes: a larger one is none of the kind.
LIMITS = {
    "picture": 500 << 20, "annotation": 64 << 20, "model card": 4 << 20, "model": 500 << 20,
    "weights file": 2 << 30, "history": 64 << 20, "archive": 256 << 30,
    "rehearsal": 1 << 30, "journal": 256 << 30, "digests": 1 << 30, "read index": 256 << 20,
}  # fmt: skip


@contextlib.contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """Give a temporary path that becomes `path` on success, and vanishes on any failure.

    UserError where a folder or a link stands there: what a link leads to is somebody's.
    """
    if path.is_dir():
        raise UserError(f"{path}: is a folder; name a file to write")
    if path.is_symlink():
        raise UserError(f"{path}: is a link; remove it, or name what it leads to")
    path.parent.mkdir(parents=True, exist_ok=True)
    name = ""
    try:
        with undivided():
            handle, name = tempfile.mkstemp(prefix=".", suffix=path.suffix, dir=path.parent)
            os.close(handle)
            TEMPORARY.add(name)
        yield Path(name)
        os.umask(mask := os.umask(0))  # mkstemp ignores it, and a user's files should follow it
        os.chmod(name, 0o666 & ~mask)
        os.replace(name, path)
    finally:
        with undivided():
            with contextlib.suppress(FileNotFoundError):
                os.unlink(name)
            TEMPORARY.discard(name)


def check_writable(folder: Path) -> None:
    """UserError where a folder, there or still to be made, can't be written into: said before the
    work, not after. Nothing is left behind."""
    there = folder
    while not there.exists() and there != there.parent:
        there = there.parent
    try:
        if not there.is_dir():
            raise NotADirectoryError(20, "a file stands in the way")
        with tempfile.TemporaryFile(dir=there):
            pass
    except OSError as error:
        raise UserError(f"{folder}: can't be written ({error.strerror}); name another") from None


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file, whole or not at all."""
    with written_whole(path) as temporary:
        temporary.write_bytes(data)


def write_text(path: Path, text: str) -> None:
    """Write a text file in UTF-8, whole or not at all."""
    write_bytes(path, text.encode("utf-8"))


@contextlib.contextmanager
def open_regular(path: Path, kind: str) -> Iterator[BinaryIO]:
    """A regular file of a `kind` in LIMITS, to read from.

    Raises UserError where it is missing, no regular file (a named pipe never ends) or too large,
    and where reading it fails.
    """
    most, a = LIMITS[kind], "an" if kind[0] in "aeiou" else "a"
    hint = f"name the file of {a} {kind}"
    if "\0" in str(path):
        raise UserError(f"{path}: not a file's name; {hint}")
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    try:
        with open(path, "rb", opener=lambda name, _: os.open(name, flags)) as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise UserError(f"{path}: not a regular file; {hint}")
            if status.st_size > most:
                raise UserError(f"{path}: larger than {a} {kind} may be ({most >> 20} MiB); {hint}")
            yield file
    except OSError as error:
        why = error.strerror or error
        raise UserError(f"{path}: can't be read ({why}); {hint}") from None


def read_file(path: Path, kind: str) -> bytes:
    """What a regular file of a `kind` in LIMITS holds; UserError as with `open_regular`."""
    with open_regular(path, kind) as file:
        data = file.read(LIMITS[kind] + 1)
        if len(data) > LIMITS[kind]:
            raise UserError(f"{path}: it grows while it is read; copy it first")
    return data


def list_files(folder: Path) -> Iterator[Path]:
    """The files of a folder and all below.

    What is hidden, a Mac's side files (``._x``, ``__MACOSX``) and folders met twice are passed over
    without a word; so are folders that can't be entered.
    """
    seen: set[tuple[int, int]] = set()
    for top, folders, names in os.walk(folder, followlinks=True):
        here = os.stat(top)
        if (here.st_dev, here.st_ino) in seen:  # a link to a folder above
            folders.clear()
            continue
        seen.add((here.st_dev, here.st_ino))
        folders[:] = sorted(n for n in folders if not n.startswith((".", "__MACOSX")))
        for name in names:
            if not name.startswith(".") and name.lower() not in LITTER:
                yield Path(top, name)


def survey(folder: Path) -> tuple[list[Path], Counter[str]]:
    """The image files of a folder and all below, by name; and how many others of which suffix.

    What we drew ourselves is none of them, and counted as such. Passed over is what `list_files`
    leaves out.
    """
    images: list[Path] = []
    others: Counter[str] = Counter()
    for path in list_files(folder):
        if path.suffix.lower() in IMAGE_SUFFIXES and path.is_file():
            if is_drawn(path):
                others[DRAWN] += 1
            else:
                images.append(path)
        else:
            others[path.suffix.lower() or "no suffix"] += 1
    return sorted(images), others


def describe_others(others: Counter[str], most: int = 4) -> str:
    """ "3 .heic, 1 .dcm" of what `survey` passed over, the most frequent first."""
    parts = [f"{n} {suffix}" for suffix, n in others.most_common(most)]
    rest = others.total() - sum(n for _, n in others.most_common(most))
    return ", ".join([*parts, f"{rest} of other kinds"] if rest else parts)


def stamp(path: Path) -> list[int]:
    """Size and time of a file, by which a changed one is told; [] where there is none."""
    try:
        status = os.stat(path)
    except OSError:
        return []
    return [status.st_size, status.st_mtime_ns]


def name_apart(paths: Iterable[Path], reserved: Iterable[str] = ()) -> Iterator[str]:
    """For each file a name, without its ending, that no other has, whatever the case, that isn't
    `reserved`, hidden or a device's, and to which something may be added."""
    taken = {name.casefold() for name in reserved}
    for path in paths:
        stem = f"_{path.stem[1:]}" if path.stem.startswith(".") else path.stem
        if stem.partition(".")[0].rstrip().casefold() in DEVICES:
            stem = f"_{stem}"
        while len(os.fsencode(stem)) > LONGEST_STEM:
            stem = stem[:-1]
        name, number = stem, 1
        while name.casefold() in taken:
            number += 1
            name = f"{stem}_{number}"
        taken.add(name.casefold())
        yield name
