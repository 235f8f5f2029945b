"""Pictures of a folder a class that show a whole field: each cut to the cell that its folder names.

Sets of white cells often come as pictures of 360 x 363 or 320 x 240 pixels, a folder a type, with
the white cell among red ones. What is asked later is a cell cut out, so training sees that too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from hematovision.cells.cells import Segment
from hematovision.cells.taxonomy import lineage
from hematovision.datasets.field import Field
from hematovision.datasets.findings import Example, Findings
from hematovision.networks.card import NAME, PRETRAINED, read_card
from hematovision.networks.detector import FIELD_CELLS, FIELD_SIDES, Detector
from hematovision.pictures.images import read_image
from hematovision.program.console import progress

CUT = "picture of many cells, cut to the one that its folder names"


def cut_to_named_cells(fields: Sequence[Field], findings: Findings) -> list[Field]:
    """The fields, those whose folder is their class cut to its cell, where they show many.

    The bundled model finds it. A picture of many cells none of which is of the kind that its folder
    names stays whole, and is said: the model may not know that kind in that stain.
    """
    if not any(field.whole for field in fields) or not (PRETRAINED / f"{NAME}.json").is_file():
        return list(fields)
    detector = Detector.load(PRETRAINED, read_card(PRETRAINED))
    missed, cut = [], []
    for field in progress(fields, len(fields), "cutting pictures to their cells"):
        boxes = None
        if field.whole:
            (segment,) = field.segments
            boxes = list_boxes(detector, read_image(field.path, field.read()), segment.label)
        if boxes is not None and len(boxes):
            box = pick_middle(boxes, segment.box)
            findings.add("put right", CUT, Example(field.path.name, field.path))
            field = replace(field, segments=[Segment(segment.label, box)])
        elif boxes is not None:
            missed.append(field.name)
        cut.append(field)
    if missed:
        findings.notices.append(
            f"{len(missed)} picture(s) of many cells, none of which is plainly what the folder "
            f"names (e.g. {missed[0]}), are taken whole"
        )
    return cut


def list_boxes(detector: Detector, image: np.ndarray, label: str) -> np.ndarray | None:
    """The boxes (n, 4) of cells of a kind in a picture (h, w, 3) uint8 that shows many cells; None
    where it doesn't, or the model knows no such kind."""
    *_, root = lineage(label)
    if root not in detector.labels or (np.sort(image.shape[:2]) < FIELD_SIDES).any():
        return None
    cells, scale, _ = detector.search(image)
    cells = cells.pick(detector.is_counted(cells))
    if len(cells.label) < FIELD_CELLS or not scale.certain:
        return None
    return cells.box[cells.label == detector.labels.index(root)]


def pick_middle(boxes: np.ndarray, whole: Sequence[int]) -> tuple[int, int, int, int]:
    """That of the boxes (n, 4) which lies nearest to the middle of the picture `whole`, in whole
    pixels."""
    middle = np.array([whole[0] + whole[2], whole[1] + whole[3]]) / 2
    centre = (boxes[:, :2] + boxes[:, 2:]) / 2
    x0, y0, x1, y1 = boxes[np.hypot(*(centre - middle).T).argmin()]
    low, high = np.floor([x0, y0]).astype(int), np.ceil([x1, y1]).astype(int)
    low = np.maximum(low, whole[:2])
    high = np.minimum(high, whole[2:])
    return int(low[0]), int(low[1]), int(high[0]), int(high[1])
