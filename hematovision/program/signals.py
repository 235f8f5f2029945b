"""Signals: Ctrl-C, a request to end, a terminal that closes -> one line and the usual status.

Imported before anything slow by the scripts: from here on a signal ends them in one line, and as
soon as they are at work (`stoppable`), after the last file was left whole or as it was. A second
signal ends at once.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Any

WORDS = {
    "SIGINT": "interrupted", "SIGBREAK": "interrupted",  # Windows' Ctrl-Break
    "SIGTERM": "terminated", "SIGHUP": "terminal closed",
}  # fmt: skip
CAUGHT = {getattr(signal, name): word for name, word in WORDS.items() if hasattr(signal, name)}
SCRIPTS = ("preprocess_data.py", "train_model.py", "evaluate_model.py", "predict.py")
TEMPORARY: set[str] = set()  # files that are being written, and locks: to be taken away
WHOLE: list[None] = []  # one for each `undivided` that the main thread is in
MET: list[int] = []  # signals that came meanwhile


class Stopped(BaseException):
    """A signal asked for the end; no error, so that nothing that catches errors holds it up."""

    def __init__(self, number: int) -> None:
        super().__init__(CAUGHT[number])
        self.status = 128 + number


@contextlib.contextmanager
def undivided() -> Iterator[None]:
    """What is begun within it is done before a signal is answered: a file is never made without
    being known as one to take away. For what takes moments."""
    if threading.current_thread() is not threading.main_thread():  # where no signal is answered
        yield
        return
    WHOLE.append(None)
    try:
        yield
    finally:
        WHOLE.pop()
        if MET and not WHOLE:
            number = MET[0]
            MET.clear()
            signal.raise_signal(number)


def is_put_off(number: int) -> bool:
    """Whether a signal has to wait for the end of what is `undivided`."""
    if WHOLE:
        MET.append(number)
    return bool(WHOLE)


def finish(status: int) -> int:
    """The status of a run; a script's ends here, before Python's own tidying, during which another
    signal would be met as if nothing had been arranged."""
    if is_script():
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, AttributeError, ValueError):
                stream.flush()
        os._exit(status)
    return status


def leave(number: int, frame: FrameType | None = None) -> None:
    """End at once, without what Python would still do."""
    if is_put_off(number):
        return
    for path in tuple(TEMPORARY):
        with contextlib.suppress(OSError):
            os.unlink(path)
    with contextlib.suppress(OSError, AttributeError, ValueError):
        os.write(sys.stderr.fileno(), f"{CAUGHT[number]}\n".encode())
    os._exit(128 + number)


def is_loading(frame: FrameType | None) -> bool:
    """Whether a library in C is being imported: what is raised there may end the process by C++'s
    own way, without a word."""
    while frame is not None:
        if frame.f_code.co_name == "create_module" and "importlib" in frame.f_code.co_filename:
            return True
        frame = frame.f_back
    return False


def stop(number: int, frame: FrameType | None) -> None:
    if is_put_off(number):
        return
    if is_loading(frame):
        leave(number)
    for other in CAUGHT:
        signal.signal(other, leave)
    raise Stopped(number)


@contextlib.contextmanager
def never_lost() -> Iterator[None]:
    """Python drops what is raised while an object is torn down (`__del__`, a callback of C's): a
    signal met there is sent again, for as long as it is awaited here."""
    before, gate, over = sys.unraisablehook, threading.Lock(), threading.Event()

    def send_again(number: int) -> None:
        while not over.wait(0.02):
            with gate:
                if over.is_set() or signal.getsignal(number) is not stop:
                    continue
                if hasattr(signal, "pthread_kill"):  # wakes the main thread where it waits, too
                    signal.pthread_kill(threading.main_thread().ident or 0, number)
                else:
                    signal.raise_signal(number)
                return

    def hook(dropped: Any) -> None:
        stopped = dropped.exc_value and find_stopped(dropped.exc_value)
        if stopped is None:
            before(dropped)
            return
        number = stopped.status - 128
        threading.Thread(target=send_again, args=(number,), daemon=True).start()
        for other in CAUGHT:  # the last thing: what is raised in a hook is dropped as well
            signal.signal(other, stop)

    sys.unraisablehook = hook
    try:
        yield
    finally:
        sys.unraisablehook = before
        with gate:
            over.set()


@contextlib.contextmanager
def stoppable() -> Iterator[None]:
    """Within it, a signal raises Stopped; a second one ends at once."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before: dict[int, Any] = {}
    for number in CAUGHT:
        handler = signal.getsignal(number)
        if handler is not signal.SIG_IGN:  # nohup's, or a shell's in the background
            before[number] = handler
            signal.signal(number, stop)
    try:
        with never_lost():
            yield
    except Exception as error:
        # A library in C that was being imported makes an error of its own of a signal.
        if stopped := find_stopped(error):
            raise stopped from None
        raise
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def find_stopped(error: BaseException) -> Stopped | None:
    """The signal that an error comes of, if one does."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, Stopped):
        cause = cause.__cause__ or cause.__context__
    return cause


def is_script() -> bool:
    """Whether one of the four scripts is what runs, not a notebook or a test that imports us."""
    return os.path.basename(getattr(sys.modules["__main__"], "__file__", None) or "") in SCRIPTS


if is_script():
    for _number in CAUGHT:
        if signal.getsignal(_number) is not signal.SIG_IGN:
            signal.signal(_number, leave)
