"""Marks: our own files are known by what is in them, whatever they are called.

write_bytes(path, mark_picture(png))    # a drawing of ours
is_drawn(path)                          # one, told by its first bytes: no field to be read
check_drawn(path)                       # UserError where a picture there isn't ours to replace

left = Left(folder)                     # what runs have left in a folder for people to correct
left.is_changed(path)                   # ... and somebody has
left.note(path)
"""

from __future__ import annotations

import hashlib
import os
import struct
import zlib
from pathlib import Path
from typing import BinaryIO

from hematovision.program.console import UserError

MAKER = "HematoVision"
PNG, JPEG = b"\x89PNG\r\n\x1a\n", b"\xff\xd8"
HEADER = 33  # bytes of a PNG up to the end of its first chunk, IHDR
FIRST = 4096  # bytes in which a mark stands
SOFTWARE = b"tEXtSoftware\0" + MAKER.encode()  # as Matplotlib writes it too


def mark_picture(data: bytes) -> bytes:
    """A PNG or JPEG file that says that we drew it; of other kinds the file as it is."""
    if data.startswith(PNG):
        chunk = struct.pack(">I", len(SOFTWARE) - 4) + SOFTWARE
        chunk += struct.pack(">I", zlib.crc32(SOFTWARE))
        return data[:HEADER] + chunk + data[HEADER:]
    if data.startswith(JPEG):
        at = 2
        if data[2:4] == b"\xff\xe0":  # JFIF's own segment stays the first
            at += 2 + int.from_bytes(data[4:6], "big")
        comment = b"\xff\xfe" + struct.pack(">H", 2 + len(MAKER)) + MAKER.encode()
        return data[:at] + comment + data[at:]
    return data


def is_drawn(path: Path) -> bool:
    """Whether a file is a picture that we drew."""
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    try:
        handle = os.open(path, flags)  # a named pipe has no end, and isn't waited for
    except (OSError, ValueError):
        return False
    try:
        data = os.read(handle, FIRST)
    except OSError:
        return False
    finally:
        os.close(handle)
    if data.startswith(PNG):
        return SOFTWARE in data
    return data.startswith(JPEG) and b"\xff\xfe\0\x0e" + MAKER.encode() in data


def check_drawn(path: Path) -> None:
    """UserError where something stands at `path` that isn't a picture of ours, to be replaced."""
    if os.path.lexists(path) and not is_drawn(path):
        raise UserError(
            f"{path}: is there already, and no drawing of ours; move it, or name another output"
        )


def digest_at(path: Path) -> str:
    """SHA-256 of the file at `path`."""
    with open(path, "rb") as file:
        return digest_file(file)


def digest_file(file: BinaryIO) -> str:
    """SHA-256 of an open file, read from where it stands."""
    digest = hashlib.sha256()
    while chunk := file.read(1 << 20):
        digest.update(chunk)
    return digest.hexdigest()
