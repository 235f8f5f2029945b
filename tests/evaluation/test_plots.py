"""The report's plots, and its percentages."""

from __future__ import annotations

from pathlib import Path

import cv2
import pytest

from hematovision.evaluation.plots import format_percent


@pytest.mark.parametrize("kind", ["confusion", "roc", "precision_recall"])
def test_pictures_are_pictures(report: Path, kind: str) -> None:
    (path,) = (p for p in report.glob("*.png") if p.name.startswith(kind))
    picture = cv2.imread(str(path))
    assert picture is not None
    assert min(picture.shape[:2]) >= 300
    assert picture.std() > 5  # something is drawn


@pytest.mark.parametrize(
    ("share", "text"),
    [(0, "0 %"), (1, "100 %"), (0.5, "50.0 %"), (0.99941, "99.94 %"), (0.99999, ">99.99 %"),
     (0.00001, "<0.01 %"), (0.0004, "0.04 %"), (None, "-")],
)  # fmt: skip
def test_a_percentage_is_never_rounded_to_all_or_nothing(share: float | None, text: str) -> None:
    assert format_percent(share).replace("\xa0", " ") == text
