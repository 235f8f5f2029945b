"""An archive is checked, not trusted: whatever is no archive of ours is one error line."""

from __future__ import annotations

import json
import re
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import load, metadata

from hematovision.archive.loading import load_archive
from hematovision.archive.schema import check_members
from hematovision.program.console import UserError

Arrays = dict[str, np.ndarray]


def change(key: str, edit: Callable[[np.ndarray], np.ndarray]) -> Callable[[Arrays], Arrays]:
    return lambda arrays: arrays | {key: edit(arrays[key].copy())}


def put(key: str, where: Any, value: Any) -> Callable[[Arrays], Arrays]:
    def edit(array: np.ndarray) -> np.ndarray:
        array[where] = value
        return array

    return change(key, edit)


def say(**facts: Any) -> Callable[[Arrays], Arrays]:
    """Change metadata; None takes a key out."""

    def edit(arrays: Arrays) -> Arrays:
        changed = {k: v for k, v in (metadata(arrays) | facts).items() if v is not None}
        return arrays | {"metadata": np.array(json.dumps(changed))}

    return edit


WRONG: dict[str, Callable[[Arrays], Arrays]] = {
    "a negative class": put("y_train", 0, -1),
    "a class too many": put("y_train", 0, 2),
    "classes as numbers with a point": change("y_train", lambda y: y.astype(float)),
    "pixels from 0 to 255": change("X_train", lambda x: x * np.float16(255)),
    "a pixel that is NaN": put("X_train", (0, 0, 0, 0), np.nan),
    "a pixel that is infinite": put("X_train", (0, 0, 0, 0), np.inf),
    "pixels as bytes": change("X_train", lambda x: (x * 255).astype(np.uint8)),
    "grey crops": change("X_train", lambda x: x[..., :1]),
    "one class twice": change("classes", lambda c: np.array(["RBC", "RBC"])),
    "a class without a name": change("classes", lambda c: np.array(["", "RBC"])),
    "classes that are numbers": change("classes", lambda c: np.array([0, 1])),
    "no class": change("classes", lambda c: c[:0]),
    "a box that is NaN": change("box_train", lambda b: np.where(b == b[0], np.nan, b)),
    "a box without area": put("box_train", 0, [5, 5, 5, 9]),
    "boxes of three corners": change("box_train", lambda b: b[:, :3]),
    "labels that are numbers": change("label_train", lambda v: np.arange(len(v))),
    "a source too few": change("source_train", lambda v: v[:-1]),
    "a field that isn't there": put("field_index_train", 0, 10_000),
    "a field before the first": put("field_index_train", 0, -1),
    "ends that go back": change("field_end_train", lambda v: v[::-1]),
    "metadata that are a list": lambda a: a | {"metadata": np.array("[]")},
    "metadata without a size": say(image_size=None),
    "a size that is text": say(image_size="96"),
    "a size of nothing": say(image_size=0),
    "a size beyond reason": say(image_size=10**9),
    "another task": say(task="regression"),
    "no digests": say(field_sha256=None),
    "digests that are none": say(field_sha256={"train": 3}),
    "metadata without a way of splitting": say(split=None),
    "metadata without counts": say(counts=None),
    "counts that are text": say(counts={"train": {"RBC": "7"}}),
    "folds that are text": say(folds={"a": "two"}),
    "a seed that is a list": say(seed=[1]),
    "a field renamed": put("field_train", 0, "another.png"),
    "a field twice": change("field_train", lambda v: np.array([v[1], *v[1:]])),
    "crops of a field that isn't there": put("source_train", 0, "another.png"),
    "metadata nested without end": lambda a: a | {"metadata": np.array("[" * 100_000)},
}


@pytest.mark.parametrize("wrong", WRONG)
def test_what_is_no_archive_is_told_in_one_line(wrong: str, tiny: Path, tmp_path: Path) -> None:
    path = tmp_path / "wrong.npz"
    np.savez(path, **WRONG[wrong](load(tiny)))
    with pytest.raises(UserError) as error:
        load_archive(path, ["train", "val"])
    assert re.fullmatch(r".*wrong\.npz: .+; make one with preprocess_data\.py", str(error.value))


def rewrite(source: Path, target: Path, edit: Callable[[bytearray], None]) -> None:
    """A copy of a zip file, of which the bytes of its headers are changed."""
    data = bytearray(source.read_bytes())
    edit(data)
    target.write_bytes(data)


def set_in_headers(offset: int, value: int) -> Callable[[bytearray], None]:
    """Set two bytes of each member's header, where they stand in the directory's; in the member's
    own they stand two before."""

    def edit(data: bytearray) -> None:
        for mark, at in ((b"PK\x01\x02", offset), (b"PK\x03\x04", offset - 2)):
            start = 0
            while (start := data.find(mark, start)) >= 0:
                data[start + at : start + at + 2] = value.to_bytes(2, "little")
                start += 4

    return edit


@pytest.mark.parametrize(
    ("offset", "value"),
    [(8, 1), (10, 99), (10, 12), (10, 14), (10, 1), (8, 0x21)],
    ids=["encrypted", "AES", "bzip2 that is none", "LZMA that is none", "shrunk", "patched"],
)
def test_a_zip_of_another_kind_is_told_in_one_line(
    offset: int, value: int, tiny: Path, tmp_path: Path
) -> None:
    rewrite(tiny, tmp_path / "wrong.npz", set_in_headers(offset, value))
    with pytest.raises(UserError, match=r"wrong\.npz: [^\n]+; (make one|name the file)"):
        load_archive(tmp_path / "wrong.npz", ["train", "val"])


def test_the_untouched_archive_is_none_of_these(tiny: Path) -> None:
    assert load_archive(tiny, ["train", "val", "test"]).classes == ["Other", "RBC"]


def header(shape: str) -> bytes:
    text = f"{{'descr': '<f2', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode()


@pytest.mark.parametrize(
    "content",
    [
        header("(1000000000000, 96, 96, 3)"),
        header("(2, 2)"),
        header("(-1, 96)") + bytes(500),
        header("(2,"),
        header("((((((((((((2"),
        header("'"),
        header("(1e9, 2)"),
        header("(" + "9" * 60 + ",)"),
        b"\x93NUMPY\x01\x00\x76\x00" + b"\xff" * 118,
        b"\x93NUMPY\x01\x00\x76\x00" + b"{" * 118,
        b"\x93NUMPY\x09\x00",
        b"",
    ],
    ids=[
        "a promise of petabytes",
        "shorter than it says",
        "negative",
        "cut",
        "open",
        "quoted",
        "of 1e9",
        "of 60 digits",
        "no text",
        "braces",
        "version 9",
        "empty",
    ],
)
def test_a_header_that_promises_what_is_not_there(
    content: bytes, tiny: Path, tmp_path: Path
) -> None:
    path = tmp_path / "promise.npz"
    with zipfile.ZipFile(tiny) as good, zipfile.ZipFile(path, "w") as file:
        for member in good.infolist():
            whole = good.read(member) if member.filename != "X_train.npy" else content
            file.writestr(member.filename, whole)
    with pytest.raises(UserError, match="not a readable archive"):
        load_archive(path, ["train"])


def test_an_archive_of_ours_passes(tiny: Path) -> None:
    with open(tiny, "rb") as file:
        check_members(file)


def test_a_small_file_that_unpacks_to_gigabytes_costs_none(tmp_path: Path) -> None:
    path = tmp_path / "bomb.npz"
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as file,
        file.open("X_train.npy", "w", force_zip64=True) as array,
    ):
        array.write(header("(100, 2, 1000000)"))
        for _ in range(400):
            array.write(bytes(1_000_000))
    assert path.stat().st_size < 4e6
    tracemalloc.start()
    with pytest.raises(UserError, match="would unpack"):
        load_archive(path, ["train"])
    assert tracemalloc.get_traced_memory()[1] < 50e6
    tracemalloc.stop()
