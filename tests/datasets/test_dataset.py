"""The dataset: its labels counted, and what is said where it is empty."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from hematovision.annotations.annotation import Annotation, Box
from hematovision.datasets.dataset import Dataset, Noted
from hematovision.datasets.findings import Findings
from hematovision.datasets.pairing.layout import Layout


def test_labels_are_counted_over_all_pictures() -> None:
    boxes = [Box("RBC", (0, 0, 1, 1)), Box("WBC", (0, 0, 1, 1))]
    notes = [Noted(PurePosixPath("a"), Annotation(Path("a"), "", boxes=boxes))] * 2
    dataset = Dataset(Path("d"), "lab", Layout(Path("d")), notes, {}, (), Findings())
    assert dataset.count_labels() == {"RBC": 2, "WBC": 2}


def test_an_empty_one_says_what_is_there_and_what_is_wanted() -> None:
    layout = Layout(Path("d"), [PurePosixPath("a.jpg")])
    findings = Findings()
    findings.add("left out", "dot", None, 3)
    told = str(Dataset(Path("d"), "lab", layout, [], {}, (), findings).refuse_empty())
    assert "1 picture(s)" in told and "3 x dot" in told and "Label Studio" in told
