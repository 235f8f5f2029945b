"""What an archive must be: checked at load, never trusted; whatever isn't so raises ValueError.

`check_members` comes before any array is read, so that no header's promise is paid in memory, and
`read_arrays` after it; the others look at keys, types, shapes, ranges and agreement.
"""

from __future__ import annotations

import lzma
import os
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Sequence
from typing import Any, BinaryIO

import numpy as np

from hematovision.archive.arrays import StoredArray, read_header
from hematovision.archive.metadata import Metadata
from hematovision.program.console import first_line

# What unpacks to more bytes than so many times its own isn't ours: drawn cells reach a tenth of it.
MOST_RATIO = 100
# What reading a broken .npz or network raises: NumPy, zipfile, zlib each in their own ways.
BROKEN = (
    OSError, ValueError, TypeError, EOFError, AttributeError, LookupError, MemoryError, SyntaxError,
    ArithmeticError, RuntimeError, tokenize.TokenError, struct.error, zipfile.BadZipFile,
    zlib.error, lzma.LZMAError,
)  # fmt: skip
SMALL = 64 << 20  # bytes that may be unpacked whatever the ratio
MOST_CLASSES, LONGEST_NAME = 1000, 4096


def check_members(archive: BinaryIO) -> None:
    """Each array is as long as its header says, and all of them no bomb."""
    size = archive.seek(0, os.SEEK_END)
    with zipfile.ZipFile(archive) as file:
        members = file.infolist()
        unpacked = sum(member.file_size for member in members)
        if unpacked > max(SMALL, MOST_RATIO * size):
            raise ValueError(f"it would unpack to {unpacked:,} bytes")
        for member in members:
            with file.open(member) as array:
                shape, _, kind = read_header(array, member.filename)
                count = int(np.prod(shape, dtype=object)) if shape else 1
                if kind.hasobject or array.tell() + count * kind.itemsize != member.file_size:
                    raise ValueError(f"{member.filename} isn't as long as it says")


def read_arrays(archive: BinaryIO, wanted: Sequence[str] | None = None) -> dict[str, np.ndarray]:
    """The arrays of a small archive, such as lies beside a model: all, or the `wanted` ones.
    ValueError where it is broken or lacks one."""
    try:
        check_members(archive)
        archive.seek(0)
        with np.load(archive, allow_pickle=False) as file:
            return {name: file[name] for name in wanted or file}
    except BROKEN as error:
        raise ValueError(f"not a readable archive ({first_line(error)})") from None


def check_names(classes: Any) -> None:
    """At least one class, each a different name."""
    if not isinstance(classes, list) or not all(isinstance(name, str) for name in classes):
        raise ValueError("its classes are no list of names")
    if not 1 <= len(classes) <= MOST_CLASSES or not all(classes):
        raise ValueError(f"{len(classes)} classes, or one without a name")
    if len(set(classes)) < len(classes):
        raise ValueError("a class is there twice")


def check_crops(key: str, shape: tuple[int, ...], kind: np.dtype, size: int) -> None:
    """What the header of an array of crops (n, size, size, 3) says."""
    if shape[1:] != (size, size, 3) or kind.kind != "f":
        raise ValueError(f"{key} is no array of crops of {size} pixels")


def check_pixels(key: str, crops: np.ndarray) -> None:
    """Some crops of an array, in [0, 1]."""
    if not ((crops >= 0) & (crops <= 1)).all():  # NaN is neither
        raise ValueError(f"{key} holds pixels outside of 0 to 1")


def check_split(name: str, n: int, columns: Sequence[np.ndarray], lab: np.ndarray, k: int) -> None:
    """The columns of a split of `n` crops: class (n,) of `k`, label (n,), source (n,), box (n, 4);
    and the laboratory (n,)."""
    y, label, source, box = columns
    if y.shape != (n,) or y.dtype.kind not in "iu":
        raise ValueError(f"y_{name} is no class for each crop")
    if n and not (y.min() >= 0 and y.max() < k):
        raise ValueError(f"y_{name} holds a class that isn't there")
    for what, column in (("label", label), ("source", source), ("lab", lab)):
        check_text(f"{what}_{name}", column, n)
    check_boxes(f"box_{name}", box, n)


def check_fields(
    name: str, columns: Sequence[np.ndarray], file: StoredArray, lab: np.ndarray,
    complete: np.ndarray,
) -> None:  # fmt: skip
    """The fields of a split as `FieldSplit` holds them: name and end (f,), box (m, 4), label and
    index (m,); the bytes of their files, their laboratories and complete labels (f,)."""
    field, end, box, label, index = columns
    f, m = len(field), len(index)
    check_text(f"field_{name}", field, f)
    check_text(f"field_lab_{name}", lab, f)
    check_text(f"field_complete_{name}", complete, f, MOST_CLASSES * LONGEST_NAME)
    if file.dtype != np.uint8 or file.ndim != 1:
        raise ValueError(f"field_file_{name} are no bytes")
    if end.shape != (f,) or end.dtype.kind not in "iu" or (np.diff(end, prepend=0) <= 0).any():
        raise ValueError(f"field_end_{name} doesn't tell the files apart")
    if (end[-1] if f else 0) != len(file):
        raise ValueError(f"field_file_{name} and field_end_{name} don't fit together")
    check_text(f"field_label_{name}", label, m)
    check_boxes(f"field_box_{name}", box, m)
    if index.shape != (m,) or index.dtype.kind not in "iu":
        raise ValueError(f"field_index_{name} is no field for each box")
    if m and not (index.min() >= 0 and index.max() < f):
        raise ValueError(f"field_index_{name} names a field that isn't there")


def check_names_told(split: str, source: np.ndarray, field: np.ndarray, metadata: Metadata) -> None:
    """The fields of a split (f,) by name, each once, are those that its crops (n,) are of and that
    the metadata tell of."""
    names = set(field.tolist())
    if len(names) < len(field):
        raise ValueError(f"field_{split} names a field twice")
    if names != metadata.field_sha256[split].keys():
        raise ValueError(f"field_{split} holds other fields than its metadata tell of")
    if not names.issuperset(np.unique(source).tolist()):
        raise ValueError(f"source_{split} names a field that isn't there")


def check_text(key: str, column: np.ndarray, n: int, longest: int = LONGEST_NAME) -> None:
    if column.shape != (n,) or (n and column.dtype.kind != "U"):
        raise ValueError(f"{key} is no text for each of {n}")
    if column.dtype.itemsize > 4 * longest:
        raise ValueError(f"{key} holds names of over {longest} characters")


def check_boxes(key: str, box: np.ndarray, n: int) -> None:
    if box.shape != (n, 4) or box.dtype.kind not in "iuf" or not np.isfinite(box).all():
        raise ValueError(f"{key} is no box for each of {n}")
    if (box[:, 2:] <= box[:, :2]).any():
        raise ValueError(f"{key} holds a box without area")
