"""Splits: fields that show the same stand on one side, whatever they are told by."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hematovision.cells.cells import Segment
from hematovision.datasets.field import Field, Mask
from hematovision.datasets.findings import Findings
from hematovision.preparing.splits import (
    assign_splits,
    deal,
    group_twins,
    keep_groups_together,
    split_fields,
)
from hematovision.program.console import UserError

FREE = Mask.pack(np.ones((4, 4), bool))


def make(count: int, **more: object) -> list[Field]:
    segments = [Segment("RBC", (0, 0, 9, 9))]
    return [
        Field(Path(f"{i}"), segments, FREE, name=f"{i:03}.jpg", lab="lab", digest=str(i), group=i,
              **more)  # type: ignore[arg-type]  # as the record takes them
        for i in range(count)
    ]  # fmt: skip


def test_fields_are_dealt_in_shares_and_groups_stay_together() -> None:
    fields = [replace(f, group=i // 3) for i, f in enumerate(make(60))]
    sides = deal(fields, 2, 7)
    assert all(len({sides[3 * g + k] for k in range(3)}) == 1 for g in range(20))
    counts = Counter(sides)
    assert counts[1] >= 9 and counts[2] >= 9 and counts[0] >= 36
    assert deal(fields, 2, 7) == sides
    with pytest.raises(UserError, match="wants at least 3"):
        deal(fields[:6], 2, 7)


def test_versions_copies_and_their_names_are_one_group() -> None:
    fields = make(8)
    fields[1] = replace(fields[1], name="000_aug_1.jpg")
    fields[2] = replace(fields[2], digest="0")
    findings = Findings()
    grouped = group_twins(fields, findings)
    assert len({f.group for f in grouped[:3]}) == 1
    assert len({f.group for f in grouped}) == 6
    assert [f.group for f in fields] == list(range(8))  # those given stay as they were
    assert any("augmented versions" in notice for notice in findings.notices)


def test_what_a_given_split_tears_apart_is_left_out_and_said() -> None:
    fields = [
        replace(f, group=0, split=s) for f, s in zip(make(3), ("train", "val", "test"), strict=True)
    ]
    findings = Findings()
    assert [f.split for f in keep_groups_together(fields, findings)] == ["", "", "test"]
    assert sum(findings.of("left out").values()) == 2


def test_the_way_of_each_laboratory() -> None:
    listed = make(20, listed="train")
    assert split_fields(listed, "auto", (), 1)[1] == "official"
    assert split_fields(listed, "auto", ("val.txt",), 1)[1] == "random"
    given = [replace(f, given="train" if i else "val") for i, f in enumerate(make(20))]
    home, way = split_fields(given, "auto", ("train.txt",), 1)
    assert way == "official" and "test" in home
    with pytest.raises(UserError, match="--split random"):
        split_fields(make(20), "official", ("train.txt",), 1)


def test_few_fields_are_dealt_to_folds() -> None:
    fields, ways = assign_splits(make(5), {}, "auto", 1, Findings())
    assert ways == {"lab": "folds"}
    assert all(f.split == "train" and f.fold is not None for f in fields)
    with pytest.raises(UserError, match="annotate more"):
        assign_splits(make(1), {}, "auto", 1, Findings())
