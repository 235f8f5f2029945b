"""Records: frozen dataclasses kept as JSON, whose types and ranges are checked as they are read.

    @dataclass(frozen=True, kw_only=True)
    class Card:
        image_size: int = within(8, 1024)
        seal: str | None = None

    card = read_record(Card, json.loads(text))  # ValueError: "image_size 7: wants 8 to 1024"
    json.dumps(write_record(card))              # the keys in the order of the declaration

A key is written once, as the name of its attribute; keys that a record doesn't know are passed
over. Libraries that do the same take 10 ms to import, a twentieth of predict.py's start.
"""

from __future__ import annotations

import dataclasses
import sys
import types
import typing
from collections.abc import Sequence
from typing import Any, TypeVar

Record = TypeVar("Record")
WORDS = {int: "whole number", float: "number", str: "text", bool: "true or false"}


def within(low: float, high: float, default: Any = dataclasses.MISSING) -> Any:
    """Declare an attribute whose number, or each of whose numbers, lies in a range, ends
    included."""
    return dataclasses.field(default=default, metadata={"low": low, "high": high})


def some_within(low: float, high: float) -> Any:
    """Declare a table of numbers that lie in a range, ends included; none of them by default."""
    return dataclasses.field(default_factory=dict, metadata={"low": low, "high": high})


def read_record(cls: type[Record], value: Any) -> Record:
    """The record of a JSON object; ValueError where it lacks something, or is no such thing."""
    if not isinstance(value, dict):
        raise ValueError("it is no object")
    hints, known = typing.get_type_hints(cls), {}
    for field in dataclasses.fields(cls):  # type: ignore[arg-type]  # each is a dataclass
        if field.name in value:
            known[field.name] = read_value(hints[field.name], value[field.name], field.name)
            check_range(known[field.name], field)
        elif field.default is field.default_factory is dataclasses.MISSING:
            raise ValueError(f"it lacks {field.name}")
    return cls(**known)


def read_value(kind: Any, value: Any, name: str) -> Any:
    """A value of JSON as the type `kind`; ValueError where it is of another."""
    several, inner = typing.get_origin(kind), typing.get_args(kind)
    if several in (types.UnionType, typing.Union):
        return None if value is None else read_value(inner[0], value, name)
    if several is typing.Literal:
        if value not in inner:
            raise ValueError(f"{name} {value!r:.40}: none of {', '.join(map(str, inner))}")
        return value
    if several in (list, Sequence):
        if not isinstance(value, list):
            raise ValueError(f"{name}: no list")
        if all(type(item) is inner[0] for item in value) and inner[0] is str:
            return value  # thousands of digests, looked at in no time
        return [read_value(inner[0], item, name) for item in value]
    if several is dict:
        if not isinstance(value, dict):
            raise ValueError(f"{name}: no object")
        return {
            key: read_value(inner[1], item, f"{name}, {key:.40}") for key, item in value.items()
        }
    if dataclasses.is_dataclass(kind):
        try:
            return read_record(typing.cast(type, kind), value)
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from None
    known = (int, float) if kind is float else (kind,)
    if type(value) not in known:  # True is no number here
        raise ValueError(f"{name} {value!r:.40}: no {WORDS[kind]}")
    if kind is float and not abs(value) <= sys.float_info.max:  # as NaN isn't either
        raise ValueError(f"{name} {value!r:.40}: no finite number")
    return value


def check_range(value: Any, field: dataclasses.Field[Any]) -> None:
    """ValueError where a number, or one of a table of numbers, lies outside of what is declared."""
    if "low" not in field.metadata or value is None:
        return
    low, high = field.metadata["low"], field.metadata["high"]
    for key, number in value.items() if isinstance(value, dict) else [("", value)]:
        if not low <= number <= high:
            name = f"{field.name}, {key:.40}" if key else field.name
            raise ValueError(f"{name} {number!r:.40}: wants {low} to {high}")


def write_record(record: Any) -> dict[str, Any]:
    """What JSON holds of a record; what is None as declared is left out."""
    found = {}
    for field in dataclasses.fields(record):
        value = getattr(record, field.name)
        if value is None and field.default is None:
            continue
        found[field.name] = write_record(value) if dataclasses.is_dataclass(value) else value
    return found
