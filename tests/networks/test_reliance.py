"""Reliance: from which figures on a label is called found."""

from __future__ import annotations

import pytest

from hematovision.networks.reliance import is_found


@pytest.mark.parametrize(
    ("annotated", "counted", "both", "found"),
    [(100, 110, 90, True), (4, 28, 0, False), (12, 9, 2, False), (3, 1, 0, True), (0, 40, 0, True),
     (8, 0, 0, False), (10, 10, 5, True), (10, 10, 4, False)],
)  # fmt: skip
def test_what_is_found_to_speak_of(annotated: int, counted: int, both: int, found: bool) -> None:
    assert is_found(annotated, counted, both) == found
