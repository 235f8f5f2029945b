"""What was named on the command line: files, patterns, and folders that stand for their images;
looked at side by side and answered in order, the unreadable ones told."""

from __future__ import annotations

import glob
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Generic, TypeVar

import numpy as np

from hematovision.pictures.images import read_image
from hematovision.program.console import UserError, run_ahead, say
from hematovision.program.files import describe_others, survey
from hematovision.program.left import LIST, Left
from hematovision.program.marks import is_drawn

Look = TypeVar("Look")


def list_images(paths: Sequence[Path], may_be_empty: bool = False) -> tuple[list[Path], list[str]]:
    """Spread folders out into their images, and tell what else was there; UserError where nothing
    is given, or a folder holds none and none `may_be_empty`."""
    if not paths:
        raise UserError("IMAGE: name an image, or a folder of images (see --help)")
    images: list[Path] = []
    notices = []
    for path in (of for given in paths for of in expand(given)):
        if not path.is_dir():
            images.append(path)
            continue
        found, others = survey(path)
        found, copies = leave_copies_out(path, found)
        if not found and not may_be_empty:
            holds = f" but {describe_others(others)}" if others else ""
            raise UserError(
                f"{path}: no image in this folder{holds}; name a file or another folder"
            )
        if copies:
            others["copied by an earlier run"] = copies
        if others:
            notices.append(
                f"notice: {path}: {others.total()} files passed over ({describe_others(others)}); "
                "JPEG, PNG, BMP, TIFF and WebP are read"
            )
        images += found
    return images, notices


def expand(path: Path) -> list[Path]:
    """The files of a pattern that no shell has spread out (``*.jpg`` on Windows), by name; else
    the path itself."""
    if not glob.has_magic(str(path)) or path.exists():
        return [path]
    return sorted(map(Path, glob.glob(str(path), recursive=True))) or [path]


class Copies:
    """The pictures that earlier runs copied beside their annotations, somewhere in a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._left: dict[Path, Left | None] = {}

    def __contains__(self, image: Path) -> bool:
        for parent in image.parents:
            if parent not in self._left:
                listed = (parent / LIST).is_file()
                self._left[parent] = Left(parent) if listed else None
            left = self._left[parent]
            if left and image in left:
                return True
            if parent == self._folder:
                break
        return False


def leave_copies_out(folder: Path, images: Sequence[Path]) -> tuple[list[Path], int]:
    """The images without such copies, and how many these are; all where there are no others: then
    it is the copies that are meant."""
    copies = Copies(folder)
    own = [image for image in images if image not in copies]
    return (own, len(images) - len(own)) if own else (list(images), 0)


def read_given(path: Path) -> np.ndarray:
    """A picture (height, width, 3) uint8 RGB; UserError where it can't be read, or is a drawing of
    ours."""
    if is_drawn(path):
        raise UserError(f"{path}: was drawn by HematoVision; name the picture that it shows")
    return read_image(path)


class Batch(Generic[Look]):
    """Pictures looked at ahead of the reader, in order, so that memory stays flat.

    Yields each path with what `look` makes of it, or with None where that raises UserError, which
    is said as a warning and counted in `failed`; a picture that is the only one raises it.
    `notices` are said before the first result, and once: an error is one line.
    """

    def __init__(
        self,
        look: Callable[[Path], Look],
        paths: Sequence[Path],
        workers: int,
        notices: list[str],
        alone: bool,
    ) -> None:
        self._look, self._paths, self._workers = look, paths, workers
        self._notices, self._alone = notices, alone
        self.failed = 0

    def _try(self, path: Path) -> Look | UserError:
        try:
            return self._look(path)
        except UserError as error:
            return error

    def __iter__(self) -> Iterator[tuple[Path, Look | None]]:
        with ThreadPoolExecutor(self._workers) as pool:
            looked_at = run_ahead(pool, self._try, self._paths, 2 * self._workers)
            for path, result in zip(self._paths, looked_at, strict=True):
                if isinstance(result, UserError):
                    if self._alone:
                        raise result
                    say(f"warning: {result}")
                    self.failed += 1
                    yield path, None
                    continue
                while self._notices:
                    say(self._notices.pop(0))
                yield path, result
