"""The file that says which pictures were gone through: there and back, and damaged."""

from __future__ import annotations

from pathlib import Path

import pytest

from hematovision.annotations.complete import (
    Complete,
    format_complete,
    is_complete_file,
    read_complete,
)
from hematovision.program.console import UserError


def test_it_is_read_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "complete.json"
    path.write_text(format_complete(["WBC", "RBC"], ["b.png", "ä.jpg"]), encoding="utf-8")
    assert read_complete(path) == Complete(("RBC", "WBC"), ("b.png", "ä.jpg"))
    assert format_complete(["RBC", "WBC"], ["ä.jpg", "b.png"]) == path.read_text("utf-8")


@pytest.mark.parametrize("text", ["{}", "[]", '{"hematovision": "complete 1", "labels": 3}', "x"])
def test_another_file_of_that_name_is_told(tmp_path: Path, text: str) -> None:
    path = tmp_path / "complete.json"
    path.write_text(text)
    with pytest.raises(UserError, match="complete"):
        read_complete(path)


def test_it_is_known_by_its_name_and_so_are_its_shares() -> None:
    for name in ("complete.json", "Complete.JSON", "complete-00001-of-00004.json"):
        assert is_complete_file(name)
    assert not is_complete_file("incomplete.json") and not is_complete_file("complete-1.json")
