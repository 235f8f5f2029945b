"""Joining: one picture in two datasets is one field, and the drawn sample is known."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from conftest import SAMPLE

from hematovision.cells.cells import Segment
from hematovision.datasets.dataset import Dataset
from hematovision.datasets.field import Field, Mask, digest_bytes
from hematovision.datasets.findings import Findings
from hematovision.datasets.joining import are_drawn, gather, join
from hematovision.datasets.pairing.layout import Layout


def make(lab: str, *cells: tuple[str, int], **more: object) -> list[Field]:
    free = Mask.pack(np.ones((1, 1), bool))
    return [
        Field(Path(d), [Segment("RBC", (0, 0, 9, 9))] * n, free, name=f"{d}.jpg", lab=lab,
              digest=d, **more)  # type: ignore[arg-type]  # as the record takes them
        for d, n in cells
    ]  # fmt: skip


def dataset(lab: str, *missing: str) -> Dataset:
    return Dataset(Path(lab), lab, Layout(Path(lab)), [], {}, missing, Findings())


def test_a_picture_of_two_datasets_has_the_boxes_of_that_with_more() -> None:
    large = make("large", ("a", 1), ("b", 2), ("c", 3), ("d", 1))
    small = make("small", ("a", 5), ("x", 1), ("y", 1), listed="test")
    datasets = [dataset("small", "val.txt"), dataset("large")]
    fields, missing = join(datasets, [small, large])
    assert [(f.name, f.lab, len(f.segments), f.listed) for f in fields] == [
        ("x.jpg", "small", 1, "test"), ("y.jpg", "small", 1, "test"), ("a.jpg", "large", 5, "test"),
        ("b.jpg", "large", 2, ""), ("c.jpg", "large", 3, ""), ("d.jpg", "large", 1, ""),
    ]  # fmt: skip
    assert missing == {"small": ("val.txt",), "large": ()}
    assert "taken for 1 of them" in gather(datasets).notices[0]
    assert len(large[0].segments) == 1  # what was read stays as it was


def test_datasets_that_share_half_are_one_laboratory_and_names_stay_apart() -> None:
    first, second = make("a", ("p", 1), ("q", 1), ("r", 1)), make("b", ("p", 1), ("s", 1))
    fields, _ = join([dataset("a"), dataset("b")], [first, second])
    assert {f.lab for f in fields} == {"a"}
    other = [f for f in make("c", ("z", 1))]
    same_name = [replace(f, name="z.jpg") for f in make("d", ("w", 1))]
    fields, _ = join([dataset("c"), dataset("d")], [other, same_name])
    assert [f.name for f in fields] == ["c/z.jpg", "d/z.jpg"]


def test_the_sample_is_known_by_its_files() -> None:
    (one, *_) = sorted((SAMPLE / "JPEGImages").iterdir())
    digest = digest_bytes(one.read_bytes())
    assert are_drawn(make("x", (digest, 1))) and not are_drawn(make("x", ("0", 1)))
