"""Reading: an annotation file of any known format -> the annotations of its pictures."""

from __future__ import annotations

from pathlib import Path

from hematovision.annotations.annotation import Annotation
from hematovision.annotations.json_annotations import read_json
from hematovision.annotations.text_annotations import read_csv
from hematovision.annotations.xml_annotations import read_xml


def read_annotations(path: Path) -> list[Annotation]:
    """The annotations in a file of XML, JSON or CSV, one for each picture that it speaks of.

    YOLO's text files say nothing without their pictures and class names: see
    `text_annotations.read_yolo`. Raises UserError where the file is of no kind that is known.
    """
    suffix = path.suffix.lower()
    if suffix == ".xml":
        return read_xml(path)
    if suffix == ".json":
        return read_json(path)
    return read_csv(path)
