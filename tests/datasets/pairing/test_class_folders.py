"""A folder a class: of names that no table knows, beside annotated fields, of any encoding."""

from __future__ import annotations

import os
from pathlib import Path, PurePosixPath

import pytest

from hematovision.datasets.findings import Findings
from hematovision.datasets.pairing.class_folders import NO_KIND, name_folder, read_class_folders
from hematovision.datasets.pairing.layout import Layout


def read(*pictures: str, named: tuple[str, ...] = (), only_known: bool = False):
    findings = Findings()
    rest = [PurePosixPath(p) for p in pictures]
    notes = read_class_folders(Layout(Path("d")), rest, named, only_known, findings)
    return {str(n.picture): n.annotation.boxes[0].label for n in notes}, findings


def test_folders_of_names_that_no_table_knows_are_classes_and_told() -> None:
    found, findings = read("c/Parasitized/1.png", "c/Uninfected/2.png", "c/Uninfected/3.png")
    assert set(found.values()) == {"Parasitized", "Uninfected"} and len(found) == 3
    assert "Uninfected (2)" in findings.notices[0]
    assert read("a/1.png", "a/2.png")[0] == {}


def test_beside_annotated_fields_known_ones_count_and_the_others_are_told() -> None:
    pictures = ("Neutrophils/1.png", "EBO/2.png", "images/3.png")
    found, findings = read(*pictures, only_known=True)
    assert found == {"Neutrophils/1.png": "Neutrophils"}
    assert findings.of("left out") == {NO_KIND: 1}
    found, findings = read(*pictures, only_known=True, named=("ebo",))
    assert len(found) == 2 and not findings.counts
    found, findings = read("smear 1/1.png", "smear 2/2.png", only_known=True)
    assert found == {} and not findings.counts


@pytest.mark.parametrize("name", [b"Zellen_\xfc", "Zellen_ü".encode()])
def test_a_folder_is_named_in_whatever_encoding(name: bytes) -> None:
    assert name_folder(PurePosixPath(os.fsdecode(name)) / "1.png") == "Zellen_ü"


def test_folders_named_by_what_they_hold_or_a_split_are_no_classes() -> None:
    for folder in ("JPEGImages", "train", "images"):
        assert name_folder(PurePosixPath(folder) / "1.png") == ""
