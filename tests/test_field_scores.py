"""How well the bundled detector finds and counts cells of fields it has not learnt from."""

from __future__ import annotations

from pathlib import Path

import pytest
from benchmarks.fields import score_folder
from conftest import ROOT

from hematovision.classifier import PRETRAINED


def test_cells_of_completely_boxed_fields_are_found_and_counted(bccd: Path) -> None:
    notes = ROOT / "tests" / "complete_val"
    found = score_folder(PRETRAINED, bccd / "JPEGImages", notes)
    assert found["RBC"]["ap50"] > 0.9
    assert found["WBC"]["ap50"] > 0.95
    assert found["RBC"]["counting_accuracy"] > 0.9


def test_cells_of_another_laboratory_are_found_and_counted(bccd: Path) -> None:
    elsewhere = bccd.parent / "raabin"
    if not elsewhere.is_dir():
        pytest.skip(f"no fields of another laboratory at {elsewhere}")
    notes = elsewhere / "Annotations"
    stems = sorted(path.stem for path in notes.glob("*.xml"))[:40]
    found = score_folder(PRETRAINED, elsewhere / "JPEGImages", notes, stems)
    assert found["RBC"]["ap50"] > 0.9
    assert found["RBC"]["counting_accuracy"] > 0.85
