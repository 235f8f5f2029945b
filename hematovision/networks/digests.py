"""Digests of a model's training fields, beside its card where these are many: a card stays small.

told = write_digests(folder / "hematovision_training_fields.npy", digests)   # of many fields
digests = Digests(path, told)           # a sequence of text; the file is read when asked
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, overload

import numpy as np

from hematovision.program.console import UserError
from hematovision.program.files import open_regular, written_whole
from hematovision.program.marks import digest_at

AT_ONCE = 4096  # digests that are made text together


@dataclass(frozen=True, kw_only=True)
class Kept:
    """What a card says of such a file."""

    count: int
    bytes_each: int
    sha256: str  # of the file


def write_digests(path: Path, digests: Sequence[str]) -> Kept:
    """Write digests (n,), hexadecimal and all of one length, whole or not at all."""
    width = len(digests[0]) // 2
    rows = np.empty((len(digests), width), np.uint8)
    for start in range(0, len(digests), AT_ONCE):
        some = digests[start : start + AT_ONCE]
        rows[start : start + len(some)] = np.frombuffer(
            bytes.fromhex("".join(some)), np.uint8
        ).reshape(-1, width)
    with written_whole(path) as temporary:
        with open(temporary, "wb") as file:
            np.save(file, rows)
        return Kept(count=len(rows), bytes_each=width, sha256=digest_at(temporary))


class Digests(Sequence[str]):
    """The digests in a file, as text; read some at a time, so that memory doesn't grow."""

    def __init__(self, path: Path, kept: Kept) -> None:
        self._path, self._kept = path, kept

    def __repr__(self) -> str:
        return f"{self._kept.count} digests, {self._kept.sha256}"

    def __len__(self) -> int:
        return self._kept.count

    def __iter__(self) -> Iterator[str]:
        """All, in order; UserError where the file is missing or isn't the card's."""
        width, digest = self._kept.bytes_each, hashlib.sha256()
        told = f"{self._path}: doesn't belong to the model's card; copy all files of a model"
        with open_regular(self._path, "digests") as file:
            try:
                shape, _, kind = np.lib.format.read_array_header_1_0(skip_magic(file))
            except ValueError:
                raise UserError(told) from None
            if shape != (len(self), width) or kind != np.uint8:
                raise UserError(told)
            header = file.tell()
            file.seek(0)
            digest.update(file.read(header))
            while data := file.read(AT_ONCE * width):
                digest.update(data)
                text = data.hex()
                yield from (text[i : i + 2 * width] for i in range(0, len(text), 2 * width))
        if digest.hexdigest() != self._kept.sha256:
            raise UserError(told)

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[str]: ...
    def __getitem__(self, index: int | slice) -> str | Sequence[str]:
        return list(self)[index]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]  # equal to a list, which has none either


def skip_magic(file: Any) -> Any:
    """The file behind the first bytes of NumPy's format; ValueError where these are others."""
    if np.lib.format.read_magic(file) != (1, 0):
        raise ValueError("another version of NumPy's format")
    return file
