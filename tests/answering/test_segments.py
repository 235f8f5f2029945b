"""Segments: what is said of one, and which pictures are looked at for whole fields."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from conftest import EXAMPLES, PRETRAINED

from hematovision.answering.segments import SegmentNamer, format_json, format_line
from hematovision.program.console import tell

CELL, FIELD = EXAMPLES / "red_cell.png", EXAMPLES / "field.jpg"


def test_line_and_json_say_the_same_and_pictures_are_kept_where_wanted() -> None:
    namer = SegmentNamer(PRETRAINED, [FIELD])
    segment = namer.name(CELL)
    told = json.loads(format_json(segment))
    assert told["image"] == str(CELL) and told["label"] == "RBC"
    assert list(told)[:3] == ["image", "label", "type"]
    assert format_line(segment) == f"{CELL}: RBC (probability {told['probability']:.3f})"
    assert segment.picture is None
    field = namer.name(FIELD)
    assert field.picture is not None
    assert namer.count_large(field.picture) > 10


def test_names_are_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    segment = SegmentNamer(PRETRAINED, []).name(CELL)._replace(path=Path("a\n\x1b[31m.png"))
    tell(format_line(segment))
    (line,) = capsys.readouterr().out.splitlines()
    assert line.isprintable() and "[31m" in line
