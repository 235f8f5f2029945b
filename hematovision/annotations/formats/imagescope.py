"""Aperio ImageScope's XML: told by its name, not read, since it speaks of slides, not of fields."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

from hematovision.annotations.annotation import Annotation
from hematovision.annotations.document import child, local
from hematovision.program.console import UserError


def is_imagescope(root: ET.Element) -> bool:
    layers = [item for item in root if local(item) == "annotation"]
    return local(root) == "annotations" and any(child(k, "regions") is not None for k in layers)


def refuse_imagescope(path: Path, root: ET.Element) -> list[Annotation]:
    raise UserError(
        f"{path}: Aperio ImageScope's XML, which isn't read; open the slide in QuPath, and export "
        "fields as pictures and their cells as GeoJSON"
    )
