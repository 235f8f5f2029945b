"""Records are kept as JSON and read back with their types and ranges looked at."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from typing import Any, Literal

import pytest

from hematovision.program.records import read_record, within, write_record


@dataclass(frozen=True, kw_only=True)
class Inner:
    name: str


@dataclass(frozen=True, kw_only=True)
class Outer:
    kind: Literal["a", "b"]
    size: int = within(1, 9)
    share: float | None = within(0, 1)
    table: dict[str, float] = within(0, 5)
    lists: dict[str, list[str]] = field(default_factory=dict)
    sure: bool = False
    inner: Inner | None = None


GOOD: dict[str, Any] = {"kind": "a", "size": 2, "share": None, "table": {"x": 1, "y": 2.5}}


def test_what_is_written_is_read_again_and_keeps_its_order() -> None:
    record = read_record(Outer, GOOD | {"inner": {"name": "n"}, "lists": {"l": ["m"]}})
    assert record.inner == Inner(name="n") and record.table == {"x": 1, "y": 2.5}
    told = write_record(record)
    assert list(told) == ["kind", "size", "share", "table", "lists", "sure", "inner"]
    assert read_record(Outer, json.loads(json.dumps(told))) == record


def test_what_is_none_as_declared_is_not_written_and_what_must_be_there_is() -> None:
    told = write_record(read_record(Outer, GOOD))
    assert "inner" not in told and told["share"] is None


def test_a_key_that_is_not_known_is_passed_over() -> None:
    assert read_record(Outer, GOOD | {"of tomorrow": 1}) == read_record(Outer, GOOD)


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "c"}, {"kind": ["a"]}, {"size": 0}, {"size": 2.0}, {"size": True}, {"size": None},
        {"size": 10**400}, {"share": math.nan}, {"share": math.inf}, {"share": 2}, {"share": "1"},
        {"table": []}, {"table": {"x": True}}, {"table": {"x": 6}}, {"table": {"x": math.nan}},
        {"lists": {"l": "text"}}, {"lists": {"l": [1]}}, {"lists": None}, {"sure": 1},
        {"inner": []}, {"inner": {}}, {"inner": {"name": 3}},
    ],
    ids=lambda change: str(change)[:40],
)  # fmt: skip
def test_what_is_of_another_kind_is_refused_by_its_name(change: dict[str, Any]) -> None:
    (name,) = change
    with pytest.raises(ValueError, match=f"^{name}.{{0,150}}$"):
        read_record(Outer, GOOD | change)


@pytest.mark.parametrize("value", [[], None, "text", 3])
def test_what_is_no_object_is_none(value: Any) -> None:
    with pytest.raises(ValueError, match="no object"):
        read_record(Outer, value)


@pytest.mark.parametrize("key", ["kind", "size", "share", "table"])
def test_what_is_needed_is_named_where_it_lacks(key: str) -> None:
    with pytest.raises(ValueError, match=f"lacks {key}"):
        read_record(Outer, {k: v for k, v in GOOD.items() if k != key})
