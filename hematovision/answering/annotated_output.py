"""What was found in fields, as a dataset of annotations that is opened, corrected, and read again.

voc   JPEGImages/ and Annotations/NAME.xml           labelImg, CVAT, Label Studio
coco  images/ and annotations.json
yolo  images/, labels/NAME.txt and data.yaml
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np

from hematovision.annotations.annotation import Annotation, Box
from hematovision.annotations.class_names import format_names
from hematovision.annotations.coco import write_coco
from hematovision.annotations.voc import format_voc
from hematovision.annotations.yolo import format_yolo
from hematovision.answering.counting import CountedField
from hematovision.answering.field_answer import FieldAnswer
from hematovision.pictures.formats import read_header
from hematovision.pictures.images import write_image
from hematovision.program.files import read_file, write_bytes, write_text, written_whole
from hematovision.program.share import Share

FORMATS = ("voc", "coco", "yolo")
COPIED = {"JPEG": ".jpg", "PNG": ".png", "BMP": ".bmp"}  # kinds that every tool shows


def describe_found(path: Path, file: str, answer: FieldAnswer) -> Annotation:
    """The cells that an answer counts, as an annotation of the picture `file`."""
    cells = [Box(cell.name, cell.box) for cell in answer.list_counted()]
    return Annotation(path, file, (answer.width, answer.height), cells)


class AnnotatedOutput:
    """A dataset in `folder`, of fields as they come; `close` writes what speaks of all of them."""

    def __init__(self, folder: Path, kind: str, labels: Sequence[str]) -> None:
        self.folder, self.kind, self.labels = folder, kind, list(labels)
        self._pictures = folder / ("JPEGImages" if kind == "voc" else "images")
        self._notes = folder / {"voc": "Annotations", "yolo": "labels", "coco": "."}[kind]
        for part in (self._pictures, self._notes):
            part.mkdir(parents=True, exist_ok=True)

    def add(self, name: str, field: CountedField) -> str:
        """Write one field under `name`, without an ending. Returns its picture's file."""
        file = self._write_picture(name, field.path, field.image)
        found = describe_found(field.path, file, field.answer)
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

    def close(self, found: Callable[[], Iterable[Annotation]], share: Share | None = None) -> None:
        """Write what speaks of all fields: `found` goes through them, as often as it is called."""
        if self.kind == "coco":
            path = self.folder / "annotations.json"
            with (
                written_whole(share.name(path) if share else path) as temporary,
                open(temporary, "w", encoding="utf-8") as file,
            ):
                file.writelines(write_coco(found, self.labels))
        elif self.kind == "yolo":
            write_text(self.folder / "data.yaml", format_names(self.labels))
