"""The annotation: what is taken, what isn't and why; numbers and text as tools write them."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from hematovision.annotations.annotation import (
    LARGEST,
    UNREADABLE,
    Annotation,
    bounds,
    decode_text,
    frame_of,
    number,
    turned_bounds,
)


@pytest.mark.parametrize("text, value", [("12,5", 12.5), (" 7 ", 7), (3, 3), ("-1e3", -1000)])
def test_numbers_as_tools_write_them(text: str | int, value: float) -> None:
    assert number(text) == value


@pytest.mark.parametrize(
    "text",
    [None, "", "x", "1,2,3", "1e308", "-1e10", "inf", "Infinity", "nan", "9" * 5000, 10**400,
     math.inf, [1], {}],
)  # fmt: skip
def test_what_is_no_number_or_beyond_all_pictures(text: object) -> None:
    assert math.isnan(number(text))


def test_a_frame_is_two_numbers_that_can_be() -> None:
    assert frame_of("640", 480.0) == (640, 480)
    assert [frame_of(*of) for of in ((0, 5), ("", 5), (5, "1e300"), (math.nan, 5))] == [None] * 4
    assert frame_of(LARGEST, 1) == (LARGEST, 1)


def test_boxes_are_put_in_order_and_what_cannot_be_used_is_told() -> None:
    note = Annotation(Path("a.xml"), "a.jpg")
    note.add("RBC", (9, 8, 1, 2))
    assert note.boxes == [("RBC", (1, 2, 9, 8))]
    for label, corners in (("", (1, 2, 3, 4)), ("RBC", None), ("RBC", (1, 2, math.nan, 4))):
        note.add(label, corners)
    assert note.left_out == [UNREADABLE] * 3 and len(note.boxes) == 1


def test_the_bounds_of_points_and_of_what_is_turned() -> None:
    assert bounds([]) is None and bounds([(1, math.nan)]) is None
    assert bounds([(3, 4), (1, 9)]) == (1, 4, 3, 9)
    assert turned_bounds((5, 5), (2, 1), math.pi / 2) == pytest.approx((4, 3, 6, 7))
    diagonal = math.sqrt(2)
    circle = turned_bounds((0, 0), (1, 1), math.pi / 4, ellipse=True)
    assert circle == pytest.approx((-1, -1, 1, 1))
    square = turned_bounds((0, 0), (1, 1), math.pi / 4)
    assert square == pytest.approx((-diagonal, -diagonal, diagonal, diagonal))


def test_text_of_any_encoding() -> None:
    words = "Größe 红细胞"
    for encoding in ("utf-8", "utf-8-sig", "utf-16", "utf-32"):
        assert decode_text(words.encode(encoding)) == words
    assert decode_text("红细胞".encode("gb18030")) == "红细胞"
    assert decode_text("Größe, naïve".encode("cp1252")) == "Größe, naïve"
    assert decode_text(b"\x81\x8d") != ""  # of no encoding at all


@pytest.mark.parametrize(
    "name", ["punycode", "idna", "undefined", "unicode_escape", "rot13", "zlib", "no such", "oem"]
)
def test_an_encoding_that_no_file_is_written_in_is_not_believed(name: str) -> None:
    """Some raise an error of their own, or take the square of the text's length."""
    text = f'<?xml version="1.0" encoding="{name}"?><annotation>-{"9z" * 9}é\\u0041</annotation>'
    assert decode_text(text.encode()) == text
