"""CVAT: its shapes, dots, splits, and its video format."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest
from annotated import CVAT, read_one

from hematovision.annotations.annotation import DOT
from hematovision.annotations.formats.cvat import is_cvat
from hematovision.annotations.reading import read_annotations
from hematovision.program.console import UserError


def shape(tmp_path: Path, xml: str) -> tuple[float, ...]:
    data = f'<annotations><image name="a.jpg" width="99" height="99">{xml}</image></annotations>'
    (box,) = read_one(tmp_path, ".xml", data.encode()).boxes
    return box.corners


@pytest.mark.parametrize(
    "xml, corners",
    [
        ('<box label="a" xtl="10" ytl="20" xbr="50" ybr="40" rotation="90"/>', (20, 10, 40, 50)),
        ('<ellipse label="a" cx="9" cy="8" rx="4" ry="2"/>', (5, 6, 13, 10)),
        ('<ellipse label="a" cx="9" cy="8" rx="4" ry="2" rotation="90"/>', (7, 4, 11, 12)),
        ('<mask label="a" rle="1, 2" left="3" top="4" width="5" height="6"/>', (3, 4, 8, 10)),
        ('<polyline label="a" points="1,2;3,4"/>', (1, 2, 3, 4)),
    ],
)
def test_every_shape_by_its_bounds(tmp_path: Path, xml: str, corners: tuple[float, ...]) -> None:
    assert shape(tmp_path, xml) == pytest.approx(corners)


@pytest.mark.parametrize("attribute", ['rotation="1e308"', 'xtl="inf"', f'xbr="{"9" * 5000}"'])
def test_numbers_beyond_all_pictures_leave_the_box_out(tmp_path: Path, attribute: str) -> None:
    name = attribute.partition("=")[0]
    data = CVAT.replace(f'{name}="10"', attribute).replace(f'{name}="50"', attribute)
    data = data if attribute in data else data.replace('ybr="60"', f'ybr="60" {attribute}')
    found = read_one(tmp_path, ".xml", data.encode())
    assert len(found.boxes) == 1 and len(found.left_out) == 1


def test_dots_are_told_as_dots_and_tags_are_of_the_picture(tmp_path: Path) -> None:
    more = '<points label="RBC" points="1,2"/><tag label="blurred"/>'
    found = read_one(tmp_path, ".xml", CVAT.replace("</image>", more + "</image>").encode())
    assert len(found.boxes) == 2 and found.left_out == [DOT]


def test_all_pictures_with_their_subsets(tmp_path: Path) -> None:
    path = tmp_path / "annotations.xml"
    image = '<image name="{}.jpg" subset="{}" width="9" height="9"/>'
    path.write_text(f"<annotations>{image.format('a', 'Train')}{image.format('b', '')}"
                    "</annotations>")  # fmt: skip
    assert [(n.picture, n.split) for n in read_annotations(path)] == [
        ("a.jpg", "Train"),
        ("b.jpg", ""),
    ]
    path.write_text("<annotations/>")
    with pytest.raises(UserError, match="without a picture"):
        read_annotations(path)


def test_what_is_one() -> None:
    assert is_cvat(ElementTree.fromstring(CVAT))
    assert not is_cvat(ElementTree.fromstring("<annotation/>"))
