"""Files on disk: written whole or not at all, and found in folders."""

from __future__ import annotations

import contextlib
import csv
import os
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from hematovision.console import UserError

HERE = Path(__file__).resolve().parents[1]  # the folder of the scripts, with data/
IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp")


@contextlib.contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """Give a temporary path that becomes `path` on success, and vanishes on any failure."""
    if path.is_dir():
        raise UserError(f"{path}: is a folder; name a file to write")
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=".", suffix=path.suffix, dir=path.parent)
    os.close(handle)
    try:
        yield Path(name)
        os.umask(mask := os.umask(0))  # mkstemp ignores it, and a user's files should follow it
        os.chmod(name, 0o666 & ~mask)
        os.replace(name, path)
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name)


def write_text(path: Path, text: str) -> None:
    """Write a text file in UTF-8, whole or not at all."""
    with written_whole(path) as temporary:
        temporary.write_text(text, "utf-8")


@contextlib.contextmanager
def csv_table(path: Path, columns: Iterable[str]) -> Iterator[csv.DictWriter]:
    """A table to fill row by row, written whole or not at all; its header stands already."""
    with (
        written_whole(path) as temporary,
        open(temporary, "w", newline="", encoding="utf-8") as file,
    ):
        table = csv.DictWriter(file, list(columns), restval="", lineterminator="\n")
        table.writeheader()
        yield table


def write_csv(
    path: Path, rows: Sequence[dict[str, Any]], columns: Iterable[str] | None = None
) -> None:
    """Write rows as a table, whole or not at all; `columns` are the first row's where not given."""
    with csv_table(path, columns or rows[0]) as table:
        table.writerows(rows)


def find_images(folder: Path) -> list[Path]:
    """The image files of a folder, by name."""
    files = (p for p in folder.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES)
    return sorted(p for p in files if not p.name.startswith("."))
