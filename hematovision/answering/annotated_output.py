"""What was found in fields, as a dataset of annotations that is opened, corrected, and read again.

voc   JPEGImages/ and Annotations/NAME.xml           labelImg, CVAT, Label Studio
coco  images/ and annotations.json
yolo  images/, labels/NAME.txt and data.yaml
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from xml.etree import ElementTree

import numpy as np

from hematovision.pictures.formats import read_header
from hematovision.pictures.images import write_image
from hematovision.program.files import read_file, write_bytes, write_text, written_whole
from hematovision.program.share import Share
from hematovision.program.surroundings import printable

FORMATS = ("voc", "coco", "yolo")
COPIED = {"JPEG": ".jpg", "PNG": ".png", "BMP": ".bmp"}  # kinds that every tool shows


class Found(NamedTuple):
    """One field: its picture's file beside the annotations, its size, and the cells counted."""

    file: str
    width: int
    height: int
    cells: list[tuple[str, list[int]]]  # label, box

    @classmethod
    def of(cls, file: str, width: int, height: int, answer: dict[str, Any]) -> Found:
        """What an answer counts."""
        cells = [
            (cell.get("type") or cell["label"], cell["box"])
            for cell in answer["cells"]
            if cell["counted"]
        ]
        return cls(file, width, height, cells)


class AnnotatedOutput:
    """A dataset in `folder`, of fields as they come; `close` writes what speaks of all of them."""

    def __init__(self, folder: Path, kind: str, labels: Sequence[str]) -> None:
        self.folder, self.kind, self.labels = folder, kind, list(labels)
        self._pictures = folder / ("JPEGImages" if kind == "voc" else "images")
        self._notes = folder / {"voc": "Annotations", "yolo": "labels", "coco": "."}[kind]
        for part in (self._pictures, self._notes):
            part.mkdir(parents=True, exist_ok=True)

    def add(self, name: str, path: Path, image: np.ndarray, answer: dict[str, Any]) -> str:
        """Write one field under `name`, without an ending; `image` is what was read of `path`.
        Returns its picture's file."""
        file = self._write_picture(name, path, image)
        found = Found.of(file, image.shape[1], image.shape[0], answer)
        if self.kind == "voc":
            write_bytes(self._notes / f"{name}.xml", format_voc(found))
        elif self.kind == "yolo":
            write_text(self._notes / f"{name}.txt", format_yolo(found, self.labels))
        return file

    def _write_picture(self, name: str, path: Path, image: np.ndarray) -> str:
        """The picture as it was, or as PNG where tools would show it otherwise than it was read:
        turned, in more than 8 bits, or not at all. Returns its file's name."""
        data = read_file(path, "picture")
        header = read_header(data)
        plain = header.bits == 8 and header.orientation == 1 and not header.alpha
        if plain and header.kind in COPIED:
            file = f"{name}{COPIED[header.kind]}"
            write_bytes(self._pictures / file, data)
        else:
            file = f"{name}.png"
            write_image(self._pictures / file, image)
        return file

    def close(self, found: Callable[[], Iterable[Found]], share: Share | None = None) -> None:
        """Write what speaks of all fields: `found` goes through them, as often as it is called."""
        if self.kind == "coco":
            path = self.folder / "annotations.json"
            with (
                written_whole(share.name(path) if share else path) as temporary,
                open(temporary, "w", encoding="utf-8") as file,
            ):
                file.writelines(write_coco(found, self.labels))
        elif self.kind == "yolo":
            names = "".join(f"  {i}: {json.dumps(name)}\n" for i, name in enumerate(self.labels))
            write_text(self.folder / "data.yaml", f"train: images\nval: images\nnames:\n{names}")


def format_voc(found: Found) -> bytes:
    """Pascal VOC's XML of one field, as labelImg writes it."""
    root = ElementTree.Element("annotation")

    def put(parent: ElementTree.Element, name: str, text: object) -> None:
        ElementTree.SubElement(parent, name).text = printable(str(text))

    put(root, "folder", "JPEGImages")
    put(root, "filename", found.file)
    size = ElementTree.SubElement(root, "size")
    for name, value in (("width", found.width), ("height", found.height), ("depth", 3)):
        put(size, name, value)
    for label, box in found.cells:
        cell = ElementTree.SubElement(root, "object")
        for name, value in (("name", label), ("pose", "Unspecified"), ("truncated", 0)):
            put(cell, name, value)
        put(cell, "difficult", 0)
        bounds = ElementTree.SubElement(cell, "bndbox")
        for name, value in zip(("xmin", "ymin", "xmax", "ymax"), box, strict=True):
            put(bounds, name, value)
    ElementTree.indent(root)
    return ElementTree.tostring(root, "utf-8", xml_declaration=True) + b"\n"


def format_yolo(found: Found, labels: Sequence[str]) -> str:
    """YOLO's text of one field: class, then centre, width and height as shares of the picture."""
    lines = []
    for label, (x0, y0, x1, y1) in found.cells:
        w, h = found.width, found.height
        place = (x0 + x1) / 2 / w, (y0 + y1) / 2 / h, (x1 - x0) / w, (y1 - y0) / h
        lines.append(" ".join([str(labels.index(label)), *(f"{v:.6f}" for v in place)]) + "\n")
    return "".join(lines)


def write_coco(found: Callable[[], Iterable[Found]], labels: Sequence[str]) -> Iterator[str]:
    """COCO's JSON of all fields (Lin et al., 2014), in pieces; boxes are x, y, width, height there.

    `found` goes through the fields, here twice.
    """

    def describe_images() -> Iterator[dict[str, Any]]:
        for i, of in enumerate(found(), 1):
            yield {"id": i, "file_name": of.file, "width": of.width, "height": of.height}

    def describe_cells() -> Iterator[dict[str, Any]]:
        cells = ((i, *cell) for i, of in enumerate(found(), 1) for cell in of.cells)
        for i, (image, label, (x0, y0, x1, y1)) in enumerate(cells, 1):
            yield {
                "id": i, "image_id": image, "category_id": labels.index(label) + 1,
                "bbox": [x0, y0, x1 - x0, y1 - y0], "area": (x1 - x0) * (y1 - y0), "iscrowd": 0,
            }  # fmt: skip

    def write_list(rows: Iterable[dict[str, Any]]) -> Iterator[str]:
        for i, row in enumerate(rows):
            yield (", " if i else "") + json.dumps(row)

    categories = [{"id": i, "name": name} for i, name in enumerate(labels, 1)]
    yield '{"images": ['
    yield from write_list(describe_images())
    yield f'], "categories": {json.dumps(categories)}, "annotations": ['
    yield from write_list(describe_cells())
    yield "]}\n"
