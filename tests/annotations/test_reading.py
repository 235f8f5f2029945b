"""Reading: the same two boxes from files of every kind; what is no annotation; a megabyte of the
worst."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from annotated import BOXES, GOOD, SIZE, UNNAMED, UNSIZED, read_one

from hematovision.annotations.reading import FORMATS, SUFFIXES, open_annotation, read_annotations
from hematovision.program.console import UserError


@pytest.mark.parametrize("kind", GOOD)
def test_the_same_boxes_from_every_kind(tmp_path: Path, kind: str) -> None:
    found = read_one(tmp_path, *GOOD[kind])
    assert [box.label for box in found.boxes] == [label for label, _ in BOXES]
    for box, (_, corners) in zip(found.boxes, BOXES, strict=True):
        assert box.corners == pytest.approx(corners, abs=1e-9)
    assert found.left_out == [] == found.notices
    assert found.picture.endswith("a.jpg") or kind in UNNAMED
    assert found.size == (None if kind in UNSIZED else SIZE)


@pytest.mark.parametrize("kind", GOOD)
def test_each_file_is_of_one_kind_alone(tmp_path: Path, kind: str) -> None:
    suffix, data = GOOD[kind]
    path = tmp_path / f"a{suffix}"
    path.write_bytes(data)
    opened = open_annotation(path)
    assert opened.kind is not None
    load = opened.kind.load
    assert [k for k in FORMATS if k.load is load and k.is_it(opened.document)] == [opened.kind]


BILLION = '<!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;">]><annotation>&b;</annotation>'


@pytest.mark.parametrize(
    "suffix, data, said",
    [
        (".xml", b"", "empty"),
        (".xml", b" \n", "empty"),
        (".xml", BILLION.encode(), "DTD"),
        (".xml", BILLION.encode("utf-16"), "DTD"),
        (".xml", b"<html><body/></html>", "another kind"),
        (".xml", b"<annotation><object></annotation>", "not Pascal VOC XML"),
        (".xml", b"<annotations><track/></annotations>", "video"),
        (".xml", b"<Annotations><Annotation><Regions/></Annotation></Annotations>", "ImageScope"),
        (".json", b"{", "not JSON"),
        (".json", b"[" * 100_000, "not JSON"),
        (".json", b"1" * 5000, "not JSON"),
        (".json", b'{"images": [1]}', "don't fit"),
        (".json", b'{"shapes": [{"points": [3]}]}', "don't fit"),
        (".json", b'[{"image": "a.jpg", "annotations": [3]}]', "don't fit"),
        (".json", b'{"size": {}, "objects": [3]}', "don't fit"),
    ],
)
def test_what_is_no_annotation_is_one_line_with_its_file(
    tmp_path: Path, suffix: str, data: bytes, said: str
) -> None:
    with pytest.raises(UserError) as error:
        read_one(tmp_path, suffix, data)
    assert said in str(error.value) and f"a{suffix}" in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "name, data",
    [
        ("package.json", b'{"name": "a package"}'),
        ("list.json", b"[1, 2]"),
        ("words.json", b'"words"'),
        ("tasks.json", b'[{"id": 1, "tool": "unheard of"}]'),
        ("results.csv", b"epoch,loss\n1,0.5\n"),
        ("README.txt", b"Pictures of smears.\n"),
        ("rows.ndjson", b'{"external_id": "x"}\n'),
    ],
)
def test_what_is_something_else_says_nothing_of_pictures(
    tmp_path: Path, name: str, data: bytes
) -> None:
    path = tmp_path / name
    path.write_bytes(data)
    assert read_annotations(path) == []
    assert "isn't read" in open_annotation(path).tell_kind()


def test_a_table_of_other_columns_names_those_found_and_those_wanted(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("picture,what,left edge\na.jpg,RBC,3\n")
    told = open_annotation(path).tell_kind()
    assert "picture, what, left_edge" in told and "xmin" in told


MEGABYTE = 1 << 20
HALF = MEGABYTE // 2
WORST = {
    "DOCTYPE again and again": (".xml", "<a>" + "<!DOCTYPE " * (MEGABYTE // 10)),
    "DOCTYPE that never ends": (".xml", "<!DOCTYPE a" + " " * MEGABYTE),
    "ampersands": (".xml", "<annotation>" + "&" * MEGABYTE + "</annotation>"),
    "a prefix without an end": (".xml", "<annotation><" + "a." * HALF),
    "prefixes": (".xml", "<annotation>" + "<a:a " * (MEGABYTE // 5)),
    "parts in parts": (".xml", "<annotation><object>" + "<part>" * 50_000),
    "parts in parts, closed": (
        ".xml",
        "<annotation><object>" + "<part>" * 20_000 + "</part>" * 20_000 + "</object></annotation>",
    ),
    "points": (
        ".xml",
        "<annotation><object><name>a</name><polygon>" + "1,2;" * (MEGABYTE // 4)
        + "</polygon></object></annotation>",
    ),
    "lists in lists": (".json", "[" * HALF + "]" * HALF),
    "a mask of endless runs": (
        ".json",
        json.dumps({"images": [{"id": 1, "width": 9, "height": 9}], "annotations": [
            {"image_id": 1, "segmentation": {"size": [9, 9], "counts": "o" * MEGABYTE}}]}),
    ),
    "rings in rings": (
        ".geojson",
        '{"type": "Feature", "geometry": {"type": "Polygon", "coordinates": '
        + "[" * 900 + "1, 2" + "]" * 900 + "}}",
    ),
    "one cell": (".csv", "a" * MEGABYTE),
    "a quote without an end": (".csv", 'a,b\n"' + "a," * HALF),
    "columns": (".csv", "xmin," * (MEGABYTE // 5)),
    "rows of one picture": (".csv", "filename,class,xmin,ymin,xmax,ymax\n" + "a,,,,,\n" * 150_000),
    "boxes on one line": (".txt", "a.jpg" + " 1,2,3,4,0" * (MEGABYTE // 10)),
    "blanks": (".txt", "a" + " " * MEGABYTE + "b"),
    "commas": (".txt", "," * MEGABYTE),
}  # fmt: skip


@pytest.mark.parametrize("kind", WORST)
def test_a_megabyte_of_the_worst_is_answered_soon(tmp_path: Path, kind: str) -> None:
    suffix, text = WORST[kind]
    path = tmp_path / f"a{suffix}"
    path.write_text(text)
    start = time.process_time()
    try:
        read_annotations(path)
    except UserError as error:
        assert "\n" not in str(error)
    assert time.process_time() - start < 10


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_every_suffix_is_read_by_some_kind(suffix: str) -> None:
    told = (".jsonl", ".ndjson")  # told where they speak of pictures, read by no room so far
    assert any(of == suffix for of, _ in GOOD.values()) or suffix in (".txt", *told)
