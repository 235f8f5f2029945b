"""Which file speaks of which picture, and what counts where two say different things."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from annotated import BOXES, coco, voc, voc_objects

from hematovision.annotations.annotation import Annotation, Box
from hematovision.datasets.findings import Findings
from hematovision.datasets.pairing.claims import Claims, say_the_same, settle
from hematovision.datasets.pairing.layout import scan
from hematovision.datasets.pairing.picture_index import PictureIndex
from hematovision.datasets.store import Store

VOC = voc(voc_objects())
YOLO = "".join(
    f"{k} {(a + c) / 320} {(b + d) / 240} {(c - a) / 160} {(d - b) / 120}\n"
    for k, (_, (a, b, c, d)) in enumerate(BOXES)
)
OTHER = VOC.replace("<name>WBC</name>", "<name>RBC</name>")


def claim(root: Path, files: dict[str, str]) -> tuple[dict[str, tuple[str, int]], Findings]:
    """Of each picture the file that counts, and how many boxes it has there."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    layout, findings = scan(root), Findings()
    reader = Claims(layout, PictureIndex(layout.pictures), findings, Store())
    order = sorted(layout.annotations, key=lambda p: (".xml", ".json", ".txt").index(p.suffix))
    claims = [c for p in order for c in reader.read(p)]
    return {
        str(c.picture): (str(c.file), len(c.kept.load().boxes)) for c in settle(claims, findings)
    }, findings


def test_files_that_say_the_same_are_silent(tmp_path: Path) -> None:
    found, findings = claim(
        tmp_path,
        {"a.jpg": "", "a.xml": VOC, "a.txt": YOLO, "a.json": coco(), "classes.txt": "RBC\nWBC\n"},
    )
    assert found == {"a.jpg": ("a.xml", 2)} and not findings.counts


@pytest.mark.parametrize("name, text", [("a.jpg.xml", OTHER), ("a.json", coco(annotations=[]))])
def test_files_that_contradict_are_told_and_the_first_counts(
    tmp_path: Path, name: str, text: str
) -> None:
    found, findings = claim(tmp_path, {"a.jpg": "", "a.xml": VOC, name: text})
    first = min("a.xml", name) if name.endswith(".xml") else "a.xml"
    assert found["a.jpg"][0] == first
    assert findings.of("left out") == {"annotation that contradicts another of its picture": 1}


def test_a_file_of_many_pictures_is_none_of_the_picture_of_its_name(tmp_path: Path) -> None:
    found, _ = claim(tmp_path, {"a.jpg": "", "annotations.jpg": "", "annotations.json": coco()})
    assert found == {"a.jpg": ("annotations.json", 2)}


def test_the_ending_in_a_files_name_chooses_between_two_pictures(tmp_path: Path) -> None:
    found, _ = claim(tmp_path, {"a.jpg": "", "a.png": "", "a.png.xml": VOC.replace("a.jpg", "")})
    assert list(found) == ["a.png"]


def test_yolo_without_its_picture_is_told_and_a_readme_is_not(tmp_path: Path) -> None:
    files = {"a.jpg": "", "b.txt": YOLO, "README.txt": "words\n"}
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    layout = scan(tmp_path)
    reader = Claims(layout, PictureIndex(layout.pictures), Findings(), Store())
    claims = [c for p in layout.annotations for c in reader.read(p)]
    assert [(c.picture, c.name()) for c in claims] == [(None, "b.txt")]


def test_json_of_another_kind_is_kept_where_it_speaks_of_pictures(tmp_path: Path) -> None:
    for name, text in {
        "a.jpg": "",
        "tool.json": json.dumps({"frames": [{"file": "a.jpg"}]}),
        "package.json": json.dumps({"name": "smears", "main": "index.js"}),
    }.items():
        (tmp_path / name).write_text(text)
    layout = scan(tmp_path)
    reader = Claims(layout, PictureIndex(layout.pictures), Findings(), Store())
    assert [c for p in layout.annotations for c in reader.read(p)] == []
    (strange,) = reader.strange
    assert str(strange.file) == "tool.json" and "frames" in strange.told


def test_boxes_are_the_same_in_whatever_order_and_unit() -> None:
    def note(*boxes: Box, **more: object) -> Annotation:
        return Annotation(Path("x"), "a.jpg", (100, 50), list(boxes), **more)  # type: ignore[arg-type]  # as the record takes them

    first, second = Box("RBC", (10, 10, 20, 20)), Box("rbc", (50, 10, 60, 21))
    assert say_the_same(note(first, second), note(second, first))
    shares = Box("RBC", (0.1, 0.2, 0.2, 0.4))
    assert say_the_same(note(first), note(shares, normalised=True))
    assert not say_the_same(note(first), note(second))
    assert not say_the_same(note(first), note(first, second))
