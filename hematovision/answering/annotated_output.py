"""What was found in fields, as a dataset of annotations that is opened, corrected, and read again.

voc   JPEGImages/ and Annotations/NAME.xml           labelImg, CVAT
coco  images/ and annotations.json
yolo  images/, labels/NAME.txt, labels/classes.txt (labelImg opens none without) and data.yaml

Beside them complete.json: every cell of the pictures has its box. What somebody has corrected since
is never written over.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import cv2
import numpy as np

from hematovision.annotations.annotation import Annotation, Box
from hematovision.annotations.class_names import format_names
from hematovision.annotations.complete import NAME as COMPLETE
from hematovision.annotations.complete import format_complete
from hematovision.annotations.formats.coco import write_coco
from hematovision.annotations.formats.voc import format_voc
from hematovision.annotations.formats.yolo import format_yolo
from hematovision.answering.counting import CountedField
from hematovision.answering.field_answer import FieldAnswer
from hematovision.pictures.formats import read_header
from hematovision.program.console import UserError
from hematovision.program.files import read_file
from hematovision.program.left import Left
from hematovision.program.share import Share

FORMATS = ("voc", "coco", "yolo")
COPIED = {"JPEG": ".jpg", "PNG": ".png", "BMP": ".bmp"}  # kinds that every tool shows
PICTURES = {"voc": "JPEGImages", "coco": "images", "yolo": "images"}
NOTES = {"voc": "Annotations", "coco": ".", "yolo": "labels"}
SUFFIX = {"voc": ".xml", "yolo": ".txt"}  # of a picture's own annotation
# Names that files beside YOLO's annotations have, for class names and splits.
RESERVED = ("classes", "labels", "predefined_classes", "_classes", "train", "val", "valid", "test")


def describe_found(path: Path, file: str, answer: FieldAnswer) -> Annotation:
    """The cells that an answer counts, as an annotation of the picture `file`."""
    cells = [Box(cell.name, cell.box) for cell in answer.list_counted()]
    return Annotation(path, file, (answer.width, answer.height), cells)


class AnnotatedOutput:
    """A dataset in `folder`, of fields as they come; `close` writes what speaks of all of them."""

    def __init__(
        self, folder: Path, kind: str, labels: Sequence[str], types: Sequence[str], left: Left
    ) -> None:
        """`labels` of the field network, `types` of what it finds; `left`: what runs have left in
        the folder. UserError where it holds a dataset that isn't ours."""
        self.folder, self.kind = folder, kind
        self._labels, self._names, self._left = list(labels), [*labels, *types], left
        self._pictures, self._notes = folder / PICTURES[kind], folder / NOTES[kind]
        whole = {"coco": "annotations.json", "yolo": "data.yaml"}.get(kind)
        self._refuse([folder / name for name in (whole, COMPLETE) if name])
        if kind == "yolo":
            self._refuse([self._notes / "classes.txt"])
        for part in (self._pictures, self._notes):
            part.mkdir(parents=True, exist_ok=True)

    def check(self, names: Sequence[str]) -> None:
        """UserError where one of these, to be written, is there and was corrected, or isn't
        ours."""
        suffixes = [*COPIED.values()]
        self._refuse([self._pictures / f"{name}{of}" for name in names for of in suffixes])
        if self.kind in SUFFIX:
            self._refuse([self._notes / f"{name}{SUFFIX[self.kind]}" for name in names])

    def _refuse(self, paths: Sequence[Path]) -> None:
        changed = [path for path in paths if self._left.is_changed(path)]
        if changed:
            more = f" and {len(changed) - 1} more" if len(changed) > 1 else ""
            raise UserError(
                f"{changed[0]}{more}: corrected since predict.py wrote it, or not written by it; "
                "to train on it: preprocess_data.py --data-dir; to annotate anew: name another "
                "--output, or move it away"
            )

    def add(self, name: str, field: CountedField) -> str:
        """Write one field under `name`, without an ending. Returns its picture's file."""
        self.check([name])
        file = self._write_picture(name, field.path, field.image)
        found = describe_found(field.path, file, field.answer)
        if self.kind == "voc":
            self._write(self._notes / f"{name}.xml", format_voc(found))
        elif self.kind == "yolo":
            text = format_yolo(found, self._names)
            self._write(self._notes / f"{name}.txt", text.encode("utf-8"))
        return file

    def _write(self, path: Path, data: bytes) -> None:
        with self._left.written(path) as temporary:
            temporary.write_bytes(data)

    def _write_picture(self, name: str, path: Path, image: np.ndarray) -> str:
        """The picture as it was, or as PNG where tools would show it otherwise than it was read:
        turned, in more than 8 bits, or not at all. Returns its file's name."""
        data = read_file(path, "picture")
        header = read_header(data)
        plain = header.bits == 8 and header.orientation == 1 and not header.alpha
        if plain and header.kind in COPIED:
            suffix = COPIED[header.kind]
        else:
            suffix, data = ".png", cv2.imencode(".png", image[..., ::-1])[1].tobytes()
        self._write(self._pictures / f"{name}{suffix}", data)
        return f"{name}{suffix}"

    def close(self, found: Callable[[], Iterable[Annotation]], share: Share | None = None) -> None:
        """Write what speaks of all fields: `found` goes through them, as often as it is called."""

        def of_share(name: str) -> Path:
            return share.name(self.folder / name) if share else self.folder / name

        if self.kind == "coco":
            with (
                self._left.written(of_share("annotations.json")) as temporary,
                open(temporary, "w", encoding="utf-8") as file,
            ):
                file.writelines(write_coco(found, self._names))
        elif self.kind == "yolo":
            self._write(self.folder / "data.yaml", format_names(self._names).encode("utf-8"))
            classes = "".join(f"{name}\n" for name in self._names)
            self._write(self._notes / "classes.txt", classes.encode("utf-8"))
        pictures = [note.picture for note in found()]
        self._write(of_share(COMPLETE), format_complete(self._labels, pictures).encode("utf-8"))
