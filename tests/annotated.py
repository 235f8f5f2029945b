"""The same two boxes of one picture, as each kind of annotation says them, flaws and all."""

from __future__ import annotations

import base64
import json
import struct
import zlib
from pathlib import Path
from typing import Any

from hematovision.annotations.annotation import Annotation
from hematovision.annotations.reading import read_annotations

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


# --- JSON of other tools --------------------------------------------------------------------------


def hundredths(corners: tuple[int, ...], **more: Any) -> dict[str, Any]:
    x0, y0, x1, y1 = corners
    unit = SIZE[0] / 100, SIZE[1] / 100
    place = {"x": x0 / unit[0], "y": y0 / unit[1]}
    return {**place, "width": (x1 - x0) / unit[0], "height": (y1 - y0) / unit[1], **more}


def studio_results() -> list[dict[str, Any]]:
    frame = {"original_width": SIZE[0], "original_height": SIZE[1], "image_rotation": 0}
    return [
        {**frame, "id": f"r{k}", "type": "rectanglelabels",
         "value": hundredths(c, rotation=0, rectanglelabels=[n])}
        for k, (n, c) in enumerate(BOXES)
    ]  # fmt: skip


def studio_task(*results: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    drawn = [{"result": r, "updated_at": f"2024-01-0{i}"} for i, r in enumerate(results, 1)]
    return {
        "id": 1,
        "data": {"image": "/data/upload/1/0a1b2c3d-a.jpg"},
        "annotations": drawn,
    } | more


LABEL_STUDIO = json.dumps([studio_task(studio_results())])
LABEL_STUDIO_MIN = json.dumps(
    [
        {
            "image": "a.jpg",
            "label": [
                {"original_width": SIZE[0], "original_height": SIZE[1],
                 **hundredths(c, rotation=0, rectanglelabels=[n])}
                for n, c in BOXES
            ],
        }
    ]
)  # fmt: skip


def feature(name: str, shape: dict[str, Any], **more: Any) -> dict[str, Any]:
    properties = {"objectType": "annotation", "classification": {"name": name}} | more
    return {"type": "Feature", "geometry": shape, "properties": properties}


def ring(corners: tuple[int, ...]) -> dict[str, Any]:
    points = polygon(corners)
    return {"type": "Polygon", "coordinates": [[*points, points[0]]]}


FEATURES = [feature(n, ring(c)) for n, c in BOXES]
QUPATH = json.dumps({"type": "FeatureCollection", "features": FEATURES})
CREATEML = json.dumps(
    [
        {
            "image": "a.jpg",
            "annotations": [
                {"label": n, "coordinates": {"x": (x0 + x1) / 2, "y": (y0 + y1) / 2,
                                             "width": x1 - x0, "height": y1 - y0}}
                for n, (x0, y0, x1, y1) in BOXES
            ],
        }
    ]
)  # fmt: skip


def supervisely(*cells: dict[str, Any]) -> str:
    size = {"height": SIZE[1], "width": SIZE[0]}
    return json.dumps({"description": "", "tags": [], "size": size, "objects": list(cells)})


def exterior(name: str, corners: tuple[int, ...]) -> dict[str, Any]:
    points = {"exterior": [list(corners[:2]), list(corners[2:])], "interior": []}
    return {"classTitle": name, "geometryType": "rectangle", "points": points}


def bitmap(name: str, corners: tuple[int, ...]) -> dict[str, Any]:
    """A mask as Supervisely packs it: a PNG, of which only the head matters here."""
    x0, y0, x1, y1 = corners
    head = b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sII", 13, b"IHDR", x1 - x0, y1 - y0)
    packed = base64.b64encode(zlib.compress(head + bytes(100))).decode()
    mask = {"data": packed, "origin": [x0, y0]}
    return {"classTitle": name, "geometryType": "bitmap", "bitmap": mask}


def corner(x: int, y: int) -> dict[str, int]:
    return {"r": y, "c": x}


BBBC041 = json.dumps(
    [
        {
            "image": {"pathname": "/images/a.jpg", "shape": {"r": SIZE[1], "c": SIZE[0]}},
            "objects": [
                {"category": n, "bounding_box": {"minimum": corner(*c[:2]),
                                                 "maximum": corner(*c[2:])}}
                for n, c in BOXES
            ],
        }
    ]
)  # fmt: skip
KAGGLE = "image_id,bbox,class\n" + "".join(
    f'a.jpg,"[{x0}, {y0}, {x1 - x0}, {y1 - y0}]",{n}\n' for n, (x0, y0, x1, y1) in BOXES
)
GOOD |= {
    "Label Studio": (".json", LABEL_STUDIO.encode()),
    "Label Studio, JSON-MIN": (".json", LABEL_STUDIO_MIN.encode()),
    "QuPath": (".geojson", QUPATH.encode()),
    "QuPath, a list": (".json", json.dumps(FEATURES).encode()),
    "CreateML": (".json", CREATEML.encode()),
    "Supervisely": (".json", supervisely(*(exterior(n, c) for n, c in BOXES)).encode()),
    "Supervisely, masks": (".json", supervisely(*(bitmap(n, c) for n, c in BOXES)).encode()),
    "BBBC041": (".json", BBBC041.encode()),
    "Excel's table": (".csv", ("\ufeffsep=;\r\n" + TABLE.replace(",", ";")).encode()),
    "table with tabs": (".tsv", TABLE.replace(",", "\t").encode()),
    "Kaggle's table": (".csv", KAGGLE.encode()),
}
UNNAMED = ("QuPath", "QuPath, a list", "Supervisely", "Supervisely, masks")  # by their file alone
UNSIZED = ("VIA", "RetinaNet's table", "QuPath", "QuPath, a list", "CreateML", "Kaggle's table")


def read_one(tmp_path: Path, suffix: str, data: bytes) -> Annotation:
    path = tmp_path / f"a{suffix}"
    path.write_bytes(data)
    (found,) = read_annotations(path)
    return found
