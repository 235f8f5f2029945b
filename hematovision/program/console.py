"""What the four scripts say on a terminal: results, errors, notices, progress.

A script wraps its main in `command`, which turns what goes wrong into the one line that every
script promises.
"""

from __future__ import annotations

import contextlib
import functools
import os
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from hematovision.program.signals import Stopped, finish, stoppable
from hematovision.program.surroundings import printable, settled

STDERR_LOCK, ONCE_LOCK = threading.RLock(), threading.Lock()
SAID: set[str] = set()
HELD = threading.local()  # `notices` of a thread that works ahead: text, and its kind if it has one
WAYS_ON: list[str] = []  # how a run goes on that is stopped now
ENDINGS: list[Callable[[], None]] = []  # what is to be done when a script ends, however it does


class UserError(Exception):
    """Something the user can put right; shown as one line ``error: ...`` with exit status 2."""


def first_line(error: BaseException) -> str:
    """What an error of some library says, as far as it fits into our one line."""
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200]


def command(main: Callable[[Sequence[str] | None], int]) -> Callable[..., int]:
    """Make `main` keep every script's promise: an error is one line and status 2, a signal one
    line and 128 more than its number (Ctrl-C: 130)."""

    def guarded(argv: Sequence[str] | None) -> int:
        SAID.clear()
        WAYS_ON.clear()
        with settled():
            try:
                with stoppable():
                    status = main(argv)
                    if sys.stdout is not None:
                        sys.stdout.flush()
                    return status
            except UserError as error:
                say(f"error: {error}")
                return 2
            except Stopped as stopped:
                say("; ".join([str(stopped), *WAYS_ON]))
                return stopped.status
            except KeyboardInterrupt:
                say("; ".join(["interrupted", *WAYS_ON]))
                return 130
            except BrokenPipeError:  # the reader of our output (`| head`) has left
                drop_stdout()
                return 0
            except OSError as error:
                say(f"error: {error.filename or 'standard output'}: {error.strerror or error}")
                return 2
            finally:
                while ENDINGS:
                    ENDINGS.pop()()

    @functools.wraps(main)
    def run(argv: Sequence[str] | None = None) -> int:
        return finish(guarded(argv))

    return run


def can_go_on() -> None:
    """From here on a run that is stopped says how to go on with it."""
    WAYS_ON[:] = ["the same command with --resume goes on"]


def drop_stdout() -> None:
    """Let what is still printed lead nowhere, and Python's own last flush too."""
    void = os.open(os.devnull, os.O_WRONLY)
    os.dup2(void, sys.stdout.fileno())
    os.close(void)


def tell(result: str, wanted: bool = True) -> None:
    """Print a result, one line, at once, so that it can be read while the next is worked on.

    Where its reader has left (`| head`) that is the end, unless results go elsewhere too and
    printing them isn't all that is `wanted`.
    """
    try:
        print(printable(result), flush=True)
    except BrokenPipeError:
        if wanted:
            raise
        drop_stdout()


def say(text: str) -> None:
    """Print a notice, one line, on stderr: stdout is for results."""
    if hasattr(HELD, "notices"):
        HELD.notices.append((text, None))
    elif sys.stderr is not None:  # else print() would take stdout
        try:
            print(printable(text), file=sys.stderr, flush=True)
        except OSError:  # on a full disk: what is said is lost, the result needn't be
            sys.stderr = open(os.devnull, "w")  # noqa: SIM115  for as long as the script runs


def say_once(text: str, kind: str) -> None:
    """Print a notice, but in a run only the first of its kind."""
    if hasattr(HELD, "notices"):
        HELD.notices.append((text, kind))
        return
    with ONCE_LOCK:
        if kind in SAID:
            return
        SAID.add(kind)
    say(text)


def progress(items: Iterable, total: int, label: str) -> Iterator:
    """Iterate with a bar on stderr, shown only where the work lasts over a second."""
    if sys.stderr is None:
        yield from items
        return
    from tqdm import tqdm

    pace = 0.1 if sys.stderr.isatty() else 10  # seconds: no flood in a log file
    yield from tqdm(
        items, label, total, leave=False, file=Bar(), mininterval=pace, miniters=1, delay=1,
        smoothing=0,
    )  # fmt: skip


class Bar:
    """Where a bar is drawn: stderr, also where nothing can be written to it any more."""

    def write(self, text: str) -> None:
        with contextlib.suppress(OSError):
            sys.stderr.write(text)

    def flush(self) -> None:
        with contextlib.suppress(OSError):
            sys.stderr.flush()

    def fileno(self) -> int:
        return sys.stderr.fileno()


def run_ahead(
    pool: ThreadPoolExecutor, function: Callable, items: Iterable, ahead: int
) -> Iterator[Any]:
    """Map in threads and in order, at most `ahead` items further than what is asked for.

    What `function` says is said when its result is handed out: notices have the order of the items,
    whatever the threads do.
    """
    waiting: deque[Future] = deque()
    for item in items:
        waiting.append(pool.submit(hold_notices, function, item))
        if len(waiting) > ahead:
            yield hand_out(waiting.popleft())
    while waiting:
        yield hand_out(waiting.popleft())


def hold_notices(
    function: Callable, item: Any
) -> tuple[Any, Exception | None, list[tuple[str, str | None]]]:
    """What a function makes of an item or fails with, and what it wanted to say meanwhile."""
    notices: list[tuple[str, str | None]] = []
    HELD.notices = notices
    try:
        return function(item), None, notices
    except Exception as error:
        return None, error, notices
    finally:
        del HELD.notices


def hand_out(done: Future) -> Any:
    """The result of `hold_notices`, after its notices; or what it failed with is raised."""
    result, error, notices = done.result()
    for text, kind in notices:
        if kind is None:
            say(text)
        else:
            say_once(text, kind)
    if error is not None:
        raise error
    return result


@contextlib.contextmanager
def quiet_stderr() -> Iterator[None]:
    """Keep what native libraries write to stderr off the screen, for one thread at a time."""
    with STDERR_LOCK, open(os.devnull, "wb") as void:
        if sys.stderr is not None:
            with contextlib.suppress(OSError):
                sys.stderr.flush()
        kept = os.dup(2)
        os.dup2(void.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)
