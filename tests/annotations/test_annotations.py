"""Annotations of every kind that is read: the same two boxes from each, flaws and all."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hematovision.annotations.annotation import Annotation, decode_text, number
from hematovision.annotations.class_names import number_names, read_names
from hematovision.annotations.reading import read_annotations
from hematovision.annotations.yolo import read_yolo
from hematovision.program.console import UserError

# What all the files below say.
BOXES = [("RBC", (10, 20, 50, 60)), ("WBC", (70, 5, 120, 90))]
SIZE = (160, 120)
VOC_BOX = "<bndbox><xmin>{}</xmin><ymin>{}</ymin><xmax>{}</xmax><ymax>{}</ymax></bndbox>"


def voc(objects: str, head: str = '<?xml version="1.0"?>\n', tag: str = "annotation") -> str:
    size = f"<size><width>{SIZE[0]}</width><height>{SIZE[1]}</height><depth>3</depth></size>"
    return f"{head}<{tag}><filename>a.jpg</filename>{size}{objects}</{tag.split()[0]}>"


def voc_objects(template: str = VOC_BOX) -> str:
    return "".join(f"<object><name>{n}</name>{template.format(*c)}</object>" for n, c in BOXES)


def coco(**changes: object) -> str:
    rows = [
        {"image_id": 7, "category_id": k, "bbox": [x0, y0, x1 - x0, y1 - y0]}
        for k, (_, (x0, y0, x1, y1)) in enumerate(BOXES)
    ]
    content = {
        "images": [{"id": 7, "file_name": "a.jpg", "width": SIZE[0], "height": SIZE[1]}],
        "categories": [{"id": k, "name": name} for k, (name, _) in enumerate(BOXES)],
        "annotations": rows,
    }
    return json.dumps(content | changes)


def polygon(corners: tuple[int, ...]) -> list[list[int]]:
    x0, y0, x1, y1 = corners
    return [[x0, y0], [x1, y0], [x1, y1], [x0, y1]]


def flat_polygon(corners: tuple[int, ...]) -> list[int]:
    return [v for point in polygon(corners) for v in point]


COCO_POLYGONS = coco(
    annotations=[
        {"image_id": 7, "category_id": k, "segmentation": [flat_polygon(c)]}
        for k, (_, c) in enumerate(BOXES)
    ]
)
LABELME = json.dumps(
    {
        "imagePath": "a.jpg",
        "imageWidth": SIZE[0],
        "imageHeight": SIZE[1],
        "shapes": [{"label": n, "points": polygon(c)} for n, c in BOXES],
    }
)
VIA = json.dumps(
    {
        "a.jpg1": {
            "filename": "a.jpg",
            "regions": [
                {
                    "shape_attributes": {
                        "name": "rect", "x": x0, "y": y0, "width": x1 - x0, "height": y1 - y0,
                    },
                    "region_attributes": {"cell": name},
                }
                for name, (x0, y0, x1, y1) in BOXES
            ],
        }
    }
)  # fmt: skip
CVAT = (
    '<annotations><image id="0" name="a.jpg" width="160" height="120">'
    '<box label="RBC" xtl="10" ytl="20" xbr="50" ybr="60"/>'
    '<polygon label="WBC" points="70,5;120,5;120,90;70,90"/></image></annotations>'
)
TABLE = "filename,width,height,class,xmin,ymin,xmax,ymax\n" + "".join(
    f"a.jpg,160,120,{n},{','.join(map(str, c))}\n" for n, c in BOXES
)
RETINANET = "".join(f"a.jpg,{','.join(map(str, c))},{n}\n" for n, c in BOXES)
TURNED_BACK = VOC_BOX.replace("xmin>{}", "xmin>{2}").replace("ymin>{}", "ymin>{3}")
TURNED_BACK = TURNED_BACK.replace("xmax>{}", "xmax>{0}").replace("ymax>{}", "ymax>{1}")
POLYGON = (
    "<polygon><pt><x>{0}</x><y>{1}</y></pt><pt><x>{2}</x><y>{1}</y></pt>"
    "<pt><x>{2}</x><y>{3}</y></pt></polygon>"
)
ROBOFLOW = "<polygon><x1>{0}</x1><y1>{1}</y1><x2>{2}</x2><y2>{3}</y2></polygon>"
PARTS = (
    "<part><name>head</name><bndbox><xmin>{0}</xmin><ymin>{1}</ymin><xmax>{2}</xmax>"
    "<ymax>{1}</ymax></bndbox></part><part><bndbox><xmin>{0}</xmin><ymin>{1}</ymin>"
    "<xmax>{0}</xmax><ymax>{3}</ymax></bndbox></part>"
)
GOOD: dict[str, tuple[str, bytes]] = {
    "VOC": (".xml", voc(voc_objects()).encode()),
    "VOC with a BOM": (".xml", b"\xef\xbb\xbf" + voc(voc_objects()).encode()),
    "VOC in UTF-16": (".xml", voc(voc_objects()).encode("utf-16")),
    "VOC in UTF-16 without a mark": (".xml", voc(voc_objects()).encode("utf-16-le")),
    "VOC that says UTF-16 and isn't": (
        ".xml", voc(voc_objects(), '<?xml version="1.0" encoding="utf-16"?>').encode(),
    ),
    "VOC in gb2312": (
        ".xml",
        voc("<folder>红细胞</folder>" + voc_objects(), '<?xml version="1.0" encoding="gb2312"?>')
        .encode("gb2312"),
    ),
    "VOC in cp1252, undeclared": (
        ".xml", voc("<folder>Größe</folder>" + voc_objects()).encode("cp1252"),
    ),
    "VOC after a blank line": (".xml", b"\n  " + voc(voc_objects()).encode()),
    "VOC with a bare ampersand": (".xml", voc("<path>R&D</path>" + voc_objects()).encode()),
    "VOC in a namespace": (
        ".xml", voc(voc_objects(), tag='annotation xmlns="http://example.org/voc"').encode(),
    ),
    "VOC with an undeclared prefix": (
        ".xml", voc("<x:note>1</x:note>" + voc_objects()).encode(),
    ),
    "VOC with a control character": (".xml", voc("<path>\x0b</path>" + voc_objects()).encode()),
    "VOC with a plain doctype": (
        ".xml", voc(voc_objects(), "<!DOCTYPE annotation>").encode(),
    ),
    "VOC, corners in any order": (".xml", voc(voc_objects(TURNED_BACK)).encode()),
    "VOC, decimal commas": (
        ".xml", voc(voc_objects(VOC_BOX.replace("{}", "{},0"))).encode(),
    ),
    "VOC, polygons": (".xml", voc(voc_objects(POLYGON)).encode()),
    "VOC, Roboflow's polygons": (".xml", voc(voc_objects(ROBOFLOW)).encode()),
    "VOC, parts": (".xml", voc(voc_objects(PARTS)).encode()),
    "COCO": (".json", coco().encode()),
    "COCO with a BOM": (".json", b"\xef\xbb\xbf" + coco().encode()),
    "COCO, polygons": (".json", COCO_POLYGONS.encode()),
    "LabelMe": (".json", LABELME.encode()),
    "VIA": (".json", VIA.encode()),
    "CVAT": (".xml", CVAT.encode()),
    "table": (".csv", TABLE.encode()),
    "table with semicolons": (".csv", TABLE.replace(",", ";").encode()),
    "RetinaNet's table": (".csv", RETINANET.encode()),
}  # fmt: skip


def read_one(tmp_path: Path, suffix: str, data: bytes) -> Annotation:
    path = tmp_path / f"a{suffix}"
    path.write_bytes(data)
    (found,) = read_annotations(path)
    return found


@pytest.mark.parametrize("kind", GOOD)
def test_the_same_boxes_from_every_kind(tmp_path: Path, kind: str) -> None:
    found = read_one(tmp_path, *GOOD[kind])
    assert [(box.label, box.corners) for box in found.boxes] == BOXES
    assert found.left_out == []
    assert Path(found.picture).name == "a.jpg"
    if kind not in ("VIA", "RetinaNet's table"):  # these don't say
        assert found.size == SIZE


def test_turned_boxes_are_taken_by_their_bounds(tmp_path: Path) -> None:
    turned = "<robndbox><cx>50</cx><cy>40</cy><w>20</w><h>10</h><angle>1.5707963</angle></robndbox>"
    data = voc(f"<object><name>RBC</name>{turned}</object>").encode()
    assert read_one(tmp_path, ".xml", data).boxes[0].corners == pytest.approx((45, 30, 55, 50))
    data = CVAT.replace('ybr="60"/>', 'ybr="40" rotation="90"/>').encode()
    assert read_one(tmp_path, ".xml", data).boxes[0].corners == pytest.approx((20, 10, 40, 50))


@pytest.mark.parametrize(
    "objects",
    [
        "<object><name></name>" + VOC_BOX.format(1, 2, 3, 4) + "</object>",
        "<object><name>RBC</name></object>",
        "<object><name>RBC</name>" + VOC_BOX.format("x", 2, 3, 4) + "</object>",
        "<object><name>RBC</name>" + VOC_BOX.format("nan", 2, 3, 4) + "</object>",
        "<object><name>RBC</name>" + VOC_BOX.format("1e999", 2, 3, 4) + "</object>",
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
        (".json", b"{", "not JSON"),
        (".json", b"[" * 100_000, "not JSON"),
        (".json", b'{"images": [1]}', "don't fit"),
        (".json", b'{"shapes": [{"points": [3]}]}', "don't fit"),
    ],
)
def test_what_is_no_annotation_is_one_line_with_its_file(
    tmp_path: Path, suffix: str, data: bytes, said: str
) -> None:
    with pytest.raises(UserError) as error:
        read_one(tmp_path, suffix, data)
    assert said in str(error.value) and f"a{suffix}" in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("data", [b'{"name": "a package"}', b"[1, 2]", b'"words"'])
def test_json_that_is_something_else_says_nothing_of_pictures(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "package.json"
    path.write_bytes(data)
    assert read_annotations(path) == []


def test_a_table_that_is_something_else_says_nothing_of_pictures(tmp_path: Path) -> None:
    path = tmp_path / "results.csv"
    path.write_text("epoch,loss\n1,0.5\n")
    assert read_annotations(path) == []


def test_yolo_is_shares_of_the_picture_by_class_number(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("0 0.5 0.5 0.2 0.4\n\n1.0 0.1 0.1 0.1 0.1 0.9\n2 0.1 0.1 0.3 0.1 0.3 0.5\n")
    found = read_yolo(path, number_names(["RBC", "WBC"]))
    assert found.normalised
    assert [box.label for box in found.boxes] == ["RBC", "WBC", "2"]
    assert found.boxes[0].corners == pytest.approx((0.4, 0.3, 0.6, 0.7))
    assert found.boxes[2].corners == pytest.approx((0.1, 0.1, 0.3, 0.5))
    path.write_text("")
    assert read_yolo(path, {}).boxes == []  # a picture without any cell


@pytest.mark.parametrize("line", ["0 0.5 0.5 0.2", "RBC 0.5 0.5 0.2 0.4", "0 a b c d"])
def test_a_line_that_is_no_yolo_is_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / "a.txt"
    path.write_text(f"0 0.5 0.5 0.2 0.4\n{line}\n")
    with pytest.raises(UserError, match="line 2"):
        read_yolo(path, {"0": "RBC"})


@pytest.mark.parametrize(
    "name, text, wanted",
    [
        ("classes.txt", "RBC\nWBC\n", ["RBC", "WBC"]),
        ("data.yaml", "nc: 2\nnames: ['RBC', \"WBC\"]\n", ["RBC", "WBC"]),
        ("data.yaml", "names:\n- RBC\n- WBC  # white\nnc: 2\n", ["RBC", "WBC"]),
        ("data.yaml", "names:\n  0: RBC\n  1: 'W: C'\n", {"0": "RBC", "1": "W: C"}),
        ("data.yaml", "names: {0: RBC, 1: WBC}\n", {"0": "RBC", "1": "WBC"}),
        ("data.yaml", "train: ../train\n", []),
    ],
)
def test_class_names(tmp_path: Path, name: str, text: str, wanted: list | dict) -> None:
    path = tmp_path / name
    path.write_text(text)
    assert read_names(path) == (wanted if isinstance(wanted, dict) else number_names(wanted))


@pytest.mark.parametrize("text, value", [("12,5", 12.5), (" 7 ", 7), (3, 3)])
def test_numbers_as_tools_write_them(text: str | int, value: float) -> None:
    assert number(text) == value


@pytest.mark.parametrize("text", [None, "", "x", "1,2,3"])
def test_what_is_no_number(text: str | None) -> None:
    assert number(text) != number(text)  # NaN


def test_text_of_any_encoding() -> None:
    words = "Größe 红细胞"
    for encoding in ("utf-8", "utf-8-sig", "utf-16", "utf-32"):
        assert decode_text(words.encode(encoding)) == words
    assert decode_text("红细胞".encode("gb18030")) == "红细胞"
    assert decode_text("Größe, naïve".encode("cp1252")) == "Größe, naïve"
    assert decode_text(b"\x81\x8d") != ""  # of no encoding at all
