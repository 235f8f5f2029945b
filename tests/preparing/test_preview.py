"""The contact sheet: a row of crops for each label."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
from conftest import read_dataset

from hematovision.preparing.preview import draw_preview
from hematovision.preparing.writing import Crops


def test_a_row_for_each_label_the_same_for_a_seed(
    voc_dataset: Callable[..., Path], tmp_path: Path
) -> None:
    fields, _ = read_dataset(voc_dataset(2))
    crops = Crops([(f, f.segments) for f in fields], 32)
    draw_preview(tmp_path / "a.png", [crops], 1)
    draw_preview(tmp_path / "b.png", [crops], 1)
    sheet = cv2.imread(str(tmp_path / "a.png"))
    labels = {s.label for f in fields for s in f.segments}
    assert sheet.shape == (len(labels) * (28 + 32), 16 * 32, 3)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
