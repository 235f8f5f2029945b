"""What a script is started in, and must not depend on: notebooks, terminals, services, libraries.

with settled():          # around all that a script does
    print(printable(name))
"""

from __future__ import annotations

import contextlib
import faulthandler
import io
import logging
import os
import re
import sys
from collections.abc import Iterator

# Notebooks hand their own choices down to what they start; ours are these.
CHOICES = {"MPLBACKEND": "Agg", "KERAS_BACKEND": "tensorflow"}
# Control characters, line breaks, marks that turn the direction or can't be seen, lone surrogates.
UNPRINTABLE = (
    "[\x00-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff"
    "\ufff9-\ufffb\ud800-\udfff\U000e0000-\U000e0fff]"
)


def printable(text: object) -> str:
    """Text of a file name, a label or an option as one line that no terminal takes for a command.

    Bytes of a name that are no UTF-8 read ``\\xe4``.
    """

    def escape(match: re.Match[str]) -> str:
        code = ord(match[0])
        if 0xDC80 <= code <= 0xDCFF:  # how Python carries such a byte
            return f"\\x{code - 0xDC00:02x}"
        return match[0].encode("unicode_escape").decode()

    text = str(text)
    return text if text.isprintable() else re.sub(UNPRINTABLE, escape, text)


@contextlib.contextmanager
def settled() -> Iterator[None]:
    """The same surroundings for every run: backends, streams for any text, quiet libraries."""
    os.environ.update(CHOICES)
    # No home folder, a font cache to build: nothing that a user could put right.
    logging.getLogger("matplotlib").setLevel(logging.ERROR)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # an ASCII or cp1252 terminal takes any name
            stream.reconfigure(errors="backslashreplace")
    for number in range(3):  # started without one: a file of ours would take its place
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    with quiet_libraries():
        yield


@contextlib.contextmanager
def quiet_libraries() -> Iterator[None]:
    """Native libraries write to file 2 whatever happens to them: that leads nowhere meanwhile.

    Python's own stderr goes on to where it led, and so does the report of a crash.
    """
    kept, stream = os.dup(2), sys.stderr
    own = isinstance(stream, io.TextIOWrapper) and stream.fileno() == 2
    if own:
        stream.flush()
        raw = io.FileIO(kept, "w", closefd=False)
        sys.stderr = io.TextIOWrapper(
            io.BufferedWriter(raw), stream.encoding, stream.errors, line_buffering=True
        )
    if crashes := not faulthandler.is_enabled():
        faulthandler.enable(kept)
    void = os.open(os.devnull, os.O_WRONLY)
    os.dup2(void, 2)
    os.close(void)
    try:
        yield
    finally:
        if crashes:
            faulthandler.disable()
        if own:
            with contextlib.suppress(OSError, ValueError):
                sys.stderr.flush()
            sys.stderr = stream
        os.dup2(kept, 2)
        os.close(kept)
