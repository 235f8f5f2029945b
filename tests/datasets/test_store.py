"""What is kept comes back equal, from any thread, and takes no memory meanwhile."""

from __future__ import annotations

import sqlite3
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hematovision.annotations.annotation import Annotation, Box
from hematovision.cells.cells import Segment
from hematovision.datasets.field import Field, Mask
from hematovision.datasets.store import Store
from hematovision.program.console import UserError


def make_boxes(seed: int, count: int) -> list[Box]:
    corners = np.random.default_rng(seed).uniform(0, 999, (count, 4)).tolist()
    return [Box(f"label {seed}", (a, b, c, d)) for a, b, c, d in corners]


def test_what_is_kept_is_read_as_it_was() -> None:
    store = Store()
    noted = Annotation(
        Path("é.xml"), "a.jpg", (640, 480), make_boxes(1, 9), ["\ud800"], split="val"
    )
    kept = store.keep(noted)
    assert kept.load() == noted and kept.load() is not noted
    boxes = store.keep_list(noted.boxes)
    assert boxes == noted.boxes and len(boxes) == 9 and boxes[-2:] == noted.boxes[-2:]
    assert store.keep_list([]) == [] and not store.keep_list([])


def test_a_field_that_is_kept_is_the_same_field() -> None:
    free = np.random.default_rng(0).random((31, 47)) < 0.5
    field = Field(Path("f"), [Segment("RBC", (1, 2, 3, 4))], Mask.pack(free), name="f", digest="d")
    kept = field.keep(Store())
    assert kept.segments == field.segments and kept.free.shape == (31, 47)
    assert (kept.free.unpack() == free).all() and (kept.name, kept.digest) == ("f", "d")


def test_threads_read_what_others_keep() -> None:
    store = Store()
    with ThreadPoolExecutor(4) as pool:
        kept = list(pool.map(lambda k: store.keep_list(make_boxes(k, 5)), range(200)))
        found = list(pool.map(list, kept))
    assert found == [make_boxes(k, 5) for k in range(200)]


def test_what_is_kept_takes_no_memory() -> None:
    store = Store()
    tracemalloc.start()
    kept = [store.keep_list(make_boxes(k, 50)) for k in range(1000)]
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held < 200 * len(kept)  # the boxes themselves are 14 KB


def test_a_full_disk_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    class Full:
        def execute(self, *_: Any) -> None:
            raise sqlite3.OperationalError("database or disk is full")

    store = Store()
    monkeypatch.setattr(store, "_base", Full())
    with pytest.raises(UserError, match=r"no room for what is read .*disk is full.*TMPDIR"):
        store.keep("x")
