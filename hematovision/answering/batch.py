"""A batch of pictures: looked at side by side and answered in order, the unreadable ones told."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from hematovision.program.console import UserError, run_ahead, say
from hematovision.program.files import describe_others, survey


class Batch:
    """Pictures looked at ahead of the reader, in order, so that memory stays flat.

    `look` maps a path to what is yielded; where it raises UserError, the error is said as a warning
    and counted in `failed`, or raised where the picture is the only one. `notices` are said before
    the first result: an error is one line. `on_failure` is told of each that couldn't be read.
    """

    def __init__(
        self,
        look: Callable[[Path], Any],
        paths: Sequence[Path],
        workers: int,
        notices: Iterable[str],
        on_failure: Callable[[Path], None] | None = None,
    ) -> None:
        self._on_failure = on_failure
        self._look, self._paths, self._workers = look, paths, workers
        self._notices = list(notices)
        self.failed = 0

    def _try(self, path: Path) -> Any:
        try:
            return self._look(path)
        except UserError as error:
            return error

    def __iter__(self) -> Iterator[Any]:
        with ThreadPoolExecutor(self._workers) as pool:
            looked_at = run_ahead(pool, self._try, self._paths, 2 * self._workers)
            for path, result in zip(self._paths, looked_at, strict=True):
                if isinstance(result, UserError):
                    if len(self._paths) == 1:
                        raise result
                    say(f"warning: {result}")
                    self.failed += 1
                    if self._on_failure:
                        self._on_failure(path)
                    continue
                while self._notices:
                    say(self._notices.pop(0))
                yield result


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
