"""What was named on the command line: files, and folders that stand for the images in them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from hematovision.program.console import UserError
from hematovision.program.files import describe_others, survey


def list_images(paths: Iterable[Path]) -> tuple[list[Path], list[str]]:
    """Spread folders out into their images, and tell what else was there; UserError where a folder
    holds none."""
    images: list[Path] = []
    notices = []
    for path in paths:
        if not path.is_dir():
            images.append(path)
            continue
        found, others = survey(path)
        if not found:
            holds = f" but {describe_others(others)}" if others else ""
            raise UserError(
                f"{path}: no image in this folder{holds}; name a file or another folder"
            )
        if others:
            notices.append(
                f"notice: {path}: {others.total()} files passed over ({describe_others(others)}); "
                "JPEG, PNG, BMP, TIFF and WebP are read"
            )
        images += found
    return images, notices
