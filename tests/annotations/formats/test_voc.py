"""Pascal VOC: shapes of its relatives, what is left out, and what is written."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest
from annotated import CVAT, VOC_BOX, read_one, voc, voc_objects

from hematovision.annotations.annotation import Annotation, Box
from hematovision.annotations.formats.voc import format_voc, is_voc, parse_points, read_voc


def test_turned_boxes_are_taken_by_their_bounds(tmp_path: Path) -> None:
    turned = "<robndbox><cx>50</cx><cy>40</cy><w>20</w><h>10</h><angle>1.5707963</angle></robndbox>"
    data = voc(f"<object><name>RBC</name>{turned}</object>").encode()
    assert read_one(tmp_path, ".xml", data).boxes[0].corners == pytest.approx((45, 30, 55, 50))
    endless = turned.replace("1.5707963", "1e300")
    data = voc(f"<object><name>RBC</name>{endless}</object>").encode()
    assert len(read_one(tmp_path, ".xml", data).left_out) == 1


@pytest.mark.parametrize(
    "objects",
    [
        "<object><name></name>" + VOC_BOX.format(1, 2, 3, 4) + "</object>",
        "<object><name>RBC</name></object>",
        "<object><name>RBC</name>" + VOC_BOX.format("x", 2, 3, 4) + "</object>",
        "<object><name>RBC</name>" + VOC_BOX.format("nan", 2, 3, 4) + "</object>",
        "<object><name>RBC</name>" + VOC_BOX.format("1e999", 2, 3, 4) + "</object>",
        "<object><name>RBC</name>" + VOC_BOX.format("1e308", 2, 3, 4) + "</object>",
        "<object><name>RBC</name>" + VOC_BOX.format("1" * 5000, 2, 3, 4) + "</object>",
        f"<object><name>{'x' * 101}</name>" + VOC_BOX.format(1, 2, 3, 4) + "</object>",
    ],
)
def test_a_box_that_cannot_be_used_is_left_out_with_its_reason(
    tmp_path: Path, objects: str
) -> None:
    found = read_one(tmp_path, ".xml", voc(objects + voc_objects()).encode())
    assert len(found.boxes) == 2
    assert len(found.left_out) == 1


def test_what_was_deleted_in_labelme_is_gone(tmp_path: Path) -> None:
    gone = "<object><name>RBC</name><deleted>1</deleted>" + VOC_BOX.format(1, 2, 3, 4) + "</object>"
    found = read_one(tmp_path, ".xml", voc(gone + voc_objects()).encode())
    assert len(found.boxes) == 2 and found.left_out == []


def test_labelimgs_mark_says_that_somebody_went_through_it(tmp_path: Path) -> None:
    data = voc(voc_objects()).replace("<annotation>", '<annotation verified="yes">').encode()
    assert read_one(tmp_path, ".xml", data).verified
    assert not read_one(tmp_path, ".xml", voc(voc_objects()).encode()).verified


def test_what_is_written_is_read_back() -> None:
    boxes = [Box('R&B<C>"', (1, 2, 11, 12)), Box("红细胞", (0, 0, 5, 6))]
    note = Annotation(Path("a.xml"), "a<&>.jpg", (40, 30), boxes)
    root = ElementTree.fromstring(format_voc(note))
    assert is_voc(root)
    (found,) = read_voc(note.path, root)
    assert (found.picture, found.size, found.boxes) == (note.picture, note.size, boxes)


def test_points_in_a_line_and_what_is_none() -> None:
    assert parse_points("1,2;3.5,4") == [(1, 2), (3.5, 4)]
    assert parse_points("1,2,3;;4") == []
    assert not is_voc(ElementTree.fromstring(CVAT))
