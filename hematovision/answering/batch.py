"""A batch of pictures: looked at side by side and answered in order, the unreadable ones told."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Generic, TypeVar

from hematovision.program.console import UserError, run_ahead, say

Look = TypeVar("Look")


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
