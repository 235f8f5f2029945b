"""What was named on the command line: files, patterns, and folders that stand for their images."""

from __future__ import annotations

import glob
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from hematovision.pictures.images import read_image
from hematovision.program.console import UserError
from hematovision.program.files import describe_others, survey
from hematovision.program.marks import LISTS, Left, is_drawn


def list_images(paths: Iterable[Path]) -> tuple[list[Path], list[str]]:
    """Spread folders out into their images, and tell what else was there; UserError where a folder
    holds none."""
    images: list[Path] = []
    notices = []
    for path in (of for given in paths for of in expand(given)):
        if not path.is_dir():
            images.append(path)
            continue
        found, others = survey(path)
        found, copies = leave_copies_out(path, found)
        if not found:
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


def leave_copies_out(folder: Path, images: Sequence[Path]) -> tuple[list[Path], int]:
    """The images without those that an earlier run copied beside its annotations, and how many
    these are; all where there are no others: then it is the copies that are meant."""
    left: dict[Path, Left | None] = {}

    def find_left(parent: Path) -> Left | None:
        if parent not in left:
            listed = next(parent.glob(LISTS), None)
            left[parent] = Left(parent) if listed else None
        return left[parent]

    def is_copy(image: Path) -> bool:
        for parent in image.parents:
            of = find_left(parent)
            if of and image in of:
                return True
            if parent == folder:
                break
        return False

    own = [image for image in images if not is_copy(image)]
    return (own, len(images) - len(own)) if own else (list(images), 0)


def read_given(path: Path) -> np.ndarray:
    """A picture (height, width, 3) uint8 RGB; UserError where it can't be read, or is a drawing of
    ours."""
    if is_drawn(path):
        raise UserError(f"{path}: was drawn by HematoVision; name the picture that it shows")
    return read_image(path)
