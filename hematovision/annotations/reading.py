"""Reading: an annotation file of any known format -> the annotations of its pictures.

A format more is a room of its own, which tells and reads it, and a line in FORMATS.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

from hematovision.annotations import coco, cvat, labelme, table, via, voc, yolo
from hematovision.annotations.annotation import Annotation
from hematovision.annotations.document import load_json, load_table, load_xml, local
from hematovision.program.console import UserError, first_line


class Format(NamedTuple):
    """How files of one kind are told and read."""

    load: Callable[[Path], Any]  # the file -> the document that is told and read
    is_it: Callable[[Any], bool]
    read: Callable[[Path, Any], Iterable[Annotation]]


# The first that fits counts. YOLO's text says nothing without its picture and class names: it is
# read by `yolo.read_yolo` where pictures and annotations are paired.
FORMATS = (
    Format(load_xml, cvat.is_cvat, cvat.read_cvat),
    Format(load_xml, voc.is_voc, voc.read_voc),
    Format(load_json, coco.is_coco, coco.read_coco),
    Format(load_json, labelme.is_labelme, labelme.read_labelme),
    Format(load_json, via.is_via, via.read_via),
    Format(load_table, via.is_via_table, via.read_via_table),
    Format(load_table, table.is_table, table.read_table),
)
# By suffix, those that count first where a picture was annotated twice coming first.
LOADERS: dict[str, Callable[[Path], Any]] = {
    ".xml": load_xml, ".json": load_json, ".csv": load_table,
}  # fmt: skip
SUFFIXES = (*LOADERS, yolo.SUFFIX)
SAID = "Pascal VOC or CVAT (XML), COCO or LabelMe (JSON), YOLO (TXT), a table (CSV)"


def read_annotations(path: Path) -> list[Annotation]:
    """The annotations in a file of XML, JSON or CSV, one for each picture that it speaks of; none
    where it is something else, a package's settings say.

    Raises UserError where it can't be read, its parts aren't what its kind promises, or XML is of
    no kind that is known.
    """
    load = LOADERS[path.suffix.lower()]
    document = load(path)
    for kind in FORMATS:
        if kind.load is load and kind.is_it(document):
            try:
                return list(kind.read(path, document))
            except (AttributeError, TypeError, LookupError, ValueError) as error:
                raise UserError(
                    f"{path}: its parts don't fit together ({first_line(error)}); export it again"
                ) from None
    if load is load_xml:
        raise UserError(
            f"{path}: XML of another kind (<{local(document)[:40]}>); "
            "export as Pascal VOC, COCO, YOLO or CVAT"
        )
    return []
