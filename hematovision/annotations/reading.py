"""Reading: an annotation file of any known format -> the annotations of its pictures.

A format more is a room of its own, which tells and reads it, and a line in FORMATS.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

from hematovision.annotations.annotation import Annotation
from hematovision.annotations.document import (
    Table,
    list_texts,
    load_json,
    load_json_lines,
    load_lines,
    load_table,
    load_xml,
    local,
)
from hematovision.annotations.formats import (
    bbbc041,
    coco,
    createml,
    cvat,
    geojson,
    imagescope,
    keras_yolo,
    label_studio,
    labelme,
    supervisely,
    table,
    via,
    voc,
)
from hematovision.program.console import UserError, first_line


class Format(NamedTuple):
    """How files of one kind are told and read."""

    load: Callable[[Path], Any]  # the file -> the document that is told and read
    is_it: Callable[[Any], bool]
    read: Callable[[Path, Any], Iterable[Annotation]]
    of_many: bool  # one file speaks of many pictures, so that its own name says nothing


# The first that fits counts. YOLO's text says nothing without its picture and class names: it is
# read by `yolo.read_yolo` where pictures and annotations are paired.
FORMATS = (
    Format(load_xml, imagescope.is_imagescope, imagescope.refuse_imagescope, False),
    Format(load_xml, cvat.is_cvat, cvat.read_cvat, True),
    Format(load_xml, voc.is_voc, voc.read_voc, False),
    Format(load_json, coco.is_coco, coco.read_coco, True),
    Format(load_json, labelme.is_labelme, labelme.read_labelme, False),
    Format(load_json, supervisely.is_supervisely, supervisely.read_supervisely, False),
    Format(load_json, bbbc041.is_bbbc041, bbbc041.read_bbbc041, True),
    Format(load_json, label_studio.is_label_studio, label_studio.read_label_studio, True),
    Format(load_json, createml.is_createml, createml.read_createml, True),
    Format(load_json, geojson.is_geojson, geojson.read_geojson, False),
    Format(load_json, via.is_via, via.read_via, True),
    Format(load_table, via.is_via_table, via.read_via_table, True),
    Format(load_table, table.is_table, table.read_table, True),
    Format(load_lines, keras_yolo.is_keras_yolo, keras_yolo.read_keras_yolo, True),
)
# By suffix, those that count first where a picture was annotated twice coming first.
LOADERS: dict[str, Callable[[Path], Any]] = {
    ".xml": load_xml, ".json": load_json, ".geojson": load_json, ".jsonl": load_json_lines,
    ".ndjson": load_json_lines, ".csv": load_table, ".tsv": load_table, ".txt": load_lines,
}  # fmt: skip
SUFFIXES = tuple(LOADERS)
SAID = (
    "Pascal VOC or CVAT (XML), COCO, LabelMe, VIA, Label Studio, QuPath, Supervisely or CreateML "
    "(JSON), YOLO (TXT), a table (CSV)"
)
EXPORT = "export as Pascal VOC, COCO, YOLO or CVAT"


class Opened(NamedTuple):
    """An annotation file, loaded, and of which kind it is; None: of none that is known."""

    path: Path
    document: Any
    kind: Format | None

    def read(self) -> list[Annotation]:
        """One annotation for each picture that it speaks of; none where its kind isn't known.

        Raises UserError where its parts aren't what its kind promises.
        """
        if self.kind is None:
            return []
        try:
            return list(self.kind.read(self.path, self.document))
        except (AttributeError, TypeError, LookupError, ValueError, RecursionError) as error:
            raise UserError(
                f"{self.path}: its parts don't fit together ({first_line(error)}); export it again"
            ) from None

    def list_texts(self) -> list[str]:
        """Texts in it, which name pictures where it is an annotation of a kind that isn't known."""
        return list_texts(self.document)

    def tell_kind(self) -> str:
        """What it is, where its kind isn't known, and what would be read."""
        if isinstance(self.document, Table):
            columns = ", ".join(self.document.header[:12])
            return f"a table with the columns {columns}, which isn't read; wants {table.WANTED}"
        parts = self.document[0] if self.document and isinstance(self.document, list) else None
        parts = self.document if isinstance(self.document, dict) else parts
        keys = ", ".join(str(k) for k in list(parts)[:8]) if isinstance(parts, dict) else ""
        what = f"JSON of another kind (keys: {keys})" if keys else "of another kind"
        return f"{what}, which isn't read; {EXPORT}"


def open_annotation(path: Path) -> Opened:
    """A file of one of SUFFIXES; UserError where it can't be read, or is XML of no known kind."""
    load = LOADERS[path.suffix.lower()]
    document = load(path)
    kind = next((k for k in FORMATS if k.load is load and k.is_it(document)), None)
    if kind is None and load is load_xml:
        raise UserError(f"{path}: XML of another kind (<{local(document)[:40]}>); {EXPORT}")
    return Opened(path, document, kind)


def read_annotations(path: Path) -> list[Annotation]:
    """The annotations in a file of one of SUFFIXES, one for each picture that it speaks of; none
    where it is something else, a package's settings say. UserError as `open_annotation`."""
    return open_annotation(path).read()
