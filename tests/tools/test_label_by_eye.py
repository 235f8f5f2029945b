"""Tables of types and boxes: which box of a picture they name."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import cv2
import numpy as np
import pytest

from tools.label_by_eye import add_box, main, read_types, relabel

CELLS = [("RBC", [0, 0, 20, 20]), ("WBC", [60, 0, 95, 35]), ("WBC", [40, 40, 70, 70])]


@pytest.fixture
def note() -> ElementTree.Element:
    """A picture of 100 x 100 with a red cell and two white ones, the last near its middle."""
    root = ElementTree.Element("annotation")
    size = ElementTree.SubElement(root, "size")
    for side in ("width", "height"):
        ElementTree.SubElement(size, side).text = "100"
    for label, box in CELLS:
        add_box(root, np.array(box), label)
    return root


def names(note: ElementTree.Element) -> list[str | None]:
    return [item.findtext("name") for item in note.iter("object")]


def test_a_type_without_a_box_is_that_of_the_white_cell_in_the_middle(
    note: ElementTree.Element,
) -> None:
    assert relabel(note, [(None, "Monocyte")], []) == 1
    assert names(note) == ["RBC", "WBC", "Monocyte"]


def test_experts_go_before_what_was_named_by_eye(note: ElementTree.Element) -> None:
    box = np.array([58.0, 0, 95, 36])
    assert relabel(note, [(box, "Eosinophil")], [(box, "Neutrophil")]) == 1
    assert names(note) == ["RBC", "Eosinophil", "WBC"]


def test_a_box_that_lies_on_no_white_cell_names_none(note: ElementTree.Element) -> None:
    assert relabel(note, [(np.array([0.0, 0, 20, 20]), "Basophil")], []) == 0
    assert names(note) == [label for label, _ in CELLS]


def test_pictures_in_a_folder_a_type_become_fields_with_a_box(tmp_path: Path) -> None:
    source = tmp_path / "set"
    (source / "Blast").mkdir(parents=True)
    cv2.imwrite(str(source / "Blast" / "one.png"), np.full((30, 30, 3), 200, np.uint8))
    (source / "boxes.tsv").write_text("Blast/one\t3\t4\t20\t21\n")
    assert main(["--data-dir", str(source), "--boxes", str(source / "boxes.tsv"),
                 "--output", str(tmp_path / "voc")]) == 0  # fmt: skip
    (note,) = (tmp_path / "voc" / "Annotations").iterdir()
    assert "<name>Blast</name>" in note.read_text()
    assert (tmp_path / "voc" / "JPEGImages" / "one.png").is_file()


def test_a_table_is_read_by_picture(tmp_path: Path) -> None:
    (tmp_path / "t.tsv").write_text("a\tBasophil\nb\tMonocyte\t1\t2\t3\t4\n")
    named = read_types(tmp_path / "t.tsv")
    assert named["a"] == [(None, "Basophil")]
    assert named["b"][0][0].tolist() == [1, 2, 3, 4]
