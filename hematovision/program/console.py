"""What the four scripts say and ask on a terminal: options, errors, notices, progress.

A script declares its options as a dataclass of `option`s, fills it by `parse_options`, and wraps
its main in `command`, which turns what goes wrong into the one line that every script promises.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import functools
import math
import os
import sys
import threading
import types
import typing
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal

from hematovision.program.signals import Stopped, finish, stoppable
from hematovision.program.surroundings import printable, settled

STDERR_LOCK, ONCE_LOCK = threading.RLock(), threading.Lock()
SAID: set[str] = set()
HELD = threading.local()  # `notices` of a thread that works ahead: text, and its kind if it has one
ENDINGS: list[Callable[[], None]] = []  # what is to be done when a script ends, however it does


class UserError(Exception):
    """Something the user can put right; shown as one line ``error: ...`` with exit status 2."""


def first_line(error: BaseException) -> str:
    """What an error of some library says, as far as it fits into our one line."""
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200]


def option(
    default: Any, help: str, low: float | None = None, high: float | None = None, **extra: Any
) -> Any:
    """Declare one field of an options dataclass: its default, the line `--help` shows, and the
    range that a number must lie in, ends included."""
    return dataclasses.field(
        default=default, metadata={"help": help, "low": low, "high": high, **extra}
    )


def describe_range(low: float | None, high: float | None) -> str:
    """The range of an option in words; empty without one."""
    if low is None:
        return ""
    return f"{low} or more" if high is None else f"{low} to {high}"


class Parser(argparse.ArgumentParser):
    """An ArgumentParser whose complaints are the one line that every script promises."""

    def error(self, message: str) -> typing.NoReturn:
        raise UserError(f"{self.prog}: {message} (see --help)")


def parse_path(text: str) -> Path:
    """A file or folder that an option names; an empty name would be the working folder."""
    if not text:
        raise argparse.ArgumentTypeError("an empty name; name a file or a folder")
    return Path(text)


def parse_options(cls: type, description: str, argv: Sequence[str] | None) -> Any:
    """Fill the dataclass `cls` from the command line; each field is an option of that name."""
    parser = Parser(
        description=description.strip(), formatter_class=argparse.RawDescriptionHelpFormatter
    )
    hints = typing.get_type_hints(cls)
    several: list[str] = []
    for f in dataclasses.fields(cls):
        extra = {k: v for k, v in f.metadata.items() if k not in ("help", "low", "high")}
        kind = hints[f.name]
        if typing.get_origin(kind) in (types.UnionType, typing.Union):
            kind = typing.get_args(kind)[0]
        span = describe_range(f.metadata["low"], f.metadata["high"])
        text = f.metadata["help"] + (f", {span}" if span else "")
        if f.default not in (None, dataclasses.MISSING, False, ()):
            text += f" (default: {f.default})"
        if "nargs" in extra:
            parser.add_argument(f.name, type=parse_path, help=text, **extra)
            continue
        if typing.get_origin(kind) is tuple:  # given once or several times, one value or several
            kind = typing.get_args(kind)[0]
            several.append(f.name)
            extra |= {"action": "extend", "nargs": "+"}
        if kind is bool:
            extra["action"] = "store_true"
        elif typing.get_origin(kind) is Literal:
            extra["choices"] = typing.get_args(kind)
        else:
            read = parse_path if kind is Path else kind
            extra.update(type=read, metavar=extra.get("metavar", kind.__name__.upper()))
        default = None if f.name in several else f.default
        parser.add_argument("--" + f.name.replace("_", "-"), default=default, help=text, **extra)
    values = vars(parser.parse_args(argv))
    options = cls(**values | {name: tuple(values[name] or ()) for name in several})
    for f in dataclasses.fields(cls):
        value, low, high = getattr(options, f.name), f.metadata["low"], f.metadata["high"]
        # "Not within", rather than "outside of", refuses NaN too.
        if None not in (value, low) and not low <= value <= (math.inf if high is None else high):
            name = "--" + f.name.replace("_", "-")
            raise UserError(f"{name} {value}: wants {describe_range(low, high)}")
    return options


def command(main: Callable[[Sequence[str] | None], int]) -> Callable[..., int]:
    """Make `main` keep every script's promise: an error is one line and status 2, a signal one
    line and 128 more than its number (Ctrl-C: 130)."""

    def guarded(argv: Sequence[str] | None) -> int:
        SAID.clear()
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
                say(str(stopped))
                return stopped.status
            except KeyboardInterrupt:
                say("interrupted")
                return 130
            except BrokenPipeError:  # the reader of our output (`| head`) has left
                drop_stdout()
                return 0
            except OSError as error:
                say(f"error: {error.filename or main.__module__}: {error.strerror or error}")
                return 2
            finally:
                while ENDINGS:
                    ENDINGS.pop()()

    @functools.wraps(main)
    def run(argv: Sequence[str] | None = None) -> int:
        return finish(guarded(argv))

    return run


def drop_stdout() -> None:
    """Let what is still printed lead nowhere, and Python's own last flush too."""
    void = os.open(os.devnull, os.O_WRONLY)
    os.dup2(void, sys.stdout.fileno())
    os.close(void)


def tell(result: str, wanted: bool = True) -> None:
    """Print a result at once, so that it can be read while the next is worked on.

    Where its reader has left (`| head`) that is the end, unless results go elsewhere too and
    printing them isn't all that is `wanted`.
    """
    try:
        print(result, flush=True)
    except BrokenPipeError:
        if wanted:
            raise
        drop_stdout()


def say(text: str) -> None:
    """Print a notice, one line, on stderr: stdout is for results."""
    if hasattr(HELD, "notices"):
        HELD.notices.append((text, None))
    elif sys.stderr is not None:  # else print() would take stdout
        print(printable(text), file=sys.stderr, flush=True)


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
    from tqdm import tqdm

    pace = 0.1 if sys.stderr.isatty() else 10  # seconds: no flood in a log file
    yield from tqdm(
        items, label, total, leave=False, mininterval=pace, miniters=1, delay=1, smoothing=0
    )


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
            sys.stderr.flush()
        kept = os.dup(2)
        os.dup2(void.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)
