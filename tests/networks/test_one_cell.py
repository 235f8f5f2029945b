"""One cell is one cell, however large: white cells blown up over fields are never counted twice."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest
from conftest import EXAMPLES, ROOT

from hematovision.annotations.reading import read_annotations
from hematovision.cells.cells import Cells, sides
from hematovision.cells.labels import find_name
from hematovision.cells.taxonomy import lineage
from hematovision.networks.card import PRETRAINED, read_card
from hematovision.networks.detector import Detector
from hematovision.pictures.images import read_image

FIELDS = 8  # of each laboratory that are tried
# Laboratories whose fields may lie beside the project, and how many of FIELDS must show the cell as
# one white cell. BCISC's boxes are wide: twice as large, they are five red cells wide.
LABORATORIES = {
    "ankara": 4, "bccd_complete": 4, "bcisc": 1, "pbc": 4, "raabin": 4, "wartypig": 4,
}  # fmt: skip
ROOM = 0.8  # of a field's sides, at most, that a blown-up cell takes
RIM = 0.12  # of its reach over which it passes into the field


@pytest.fixture(scope="module")
def detector() -> Detector:
    return Detector.load(PRETRAINED, read_card(PRETRAINED))


def blow_up(
    image: np.ndarray, box: np.ndarray, times: float
) -> tuple[np.ndarray, np.ndarray] | None:
    """The field with the cell in `box` (4,) so many times as large, in its place, and the box of
    it (4,); None where there is no room."""
    height, width = image.shape[:2]
    x0, y0, x1, y1 = np.round(box).astype(int).tolist()
    large = cv2.resize(image[y0:y1, x0:x1], None, fx=times, fy=times, interpolation=cv2.INTER_CUBIC)
    high, wide = large.shape[:2]
    if high > ROOM * height or wide > ROOM * width:
        return None
    left = int(np.clip((x0 + x1 - wide) // 2, 0, width - wide))
    top = int(np.clip((y0 + y1 - high) // 2, 0, height - high))
    y, x = np.mgrid[-1 : 1 : high * 1j, -1 : 1 : wide * 1j]
    share = np.clip((1 + RIM / 3 - np.hypot(x, y)) / RIM, 0, 1)[..., np.newaxis]
    grown, there = image.copy(), np.s_[top : top + high, left : left + wide]
    grown[there] = (share * large + (1 - share) * image[there]).astype(np.uint8)
    return grown, np.array([left, top, left + wide, top + high], float)


def count_within(cells: Cells, box: np.ndarray, label: int) -> int:
    """How many of the cells of a label have their middle on the round cell in `box` (4,)."""
    middle = (cells.box[:, :2] + cells.box[:, 2:]) / 2
    reach = (box[2:] - box[:2]) / 2
    within = (((middle - (box[:2] + box[2:]) / 2) / reach) ** 2).sum(axis=1) < ROOM
    return int((within & (cells.label == label)).sum())


def find_whole_white(path: Path, width: int, height: int) -> np.ndarray | None:
    """The box (4,) of the largest annotated white cell that no border cuts."""
    (annotation,) = read_annotations(path)
    white = [
        box.corners
        for box in annotation.boxes
        if "WBC" in lineage(find_name(box.label) or "Other") and min(box.corners) > 1
        and box.corners[2] < width - 1 and box.corners[3] < height - 1
    ]  # fmt: skip
    boxes = np.array(white, float).reshape(-1, 4)
    return boxes[int(sides(boxes).argmax())] if len(boxes) else None


@pytest.mark.parametrize("laboratory", LABORATORIES)
def test_a_white_cell_twice_as_large_is_counted_once(detector: Detector, laboratory: str) -> None:
    folder = ROOT.parent / "shared" / laboratory
    if not folder.is_dir():
        pytest.skip(f"no fields of {laboratory} here")
    pictures, counts = sorted((folder / "JPEGImages").iterdir()), Counter[int]()
    for i in np.random.default_rng(0).permutation(len(pictures)).tolist():
        image = read_image(pictures[i])
        note = folder / "Annotations" / f"{pictures[i].stem}.xml"
        box = find_whole_white(note, image.shape[1], image.shape[0])
        grown = None if box is None else blow_up(image, box, 2.0)
        if grown is not None:
            cells = detector.search(grown[0]).cells
            cells = cells.pick(detector.is_counted(cells))
            counts[count_within(cells, grown[1], detector.labels.index("WBC"))] += 1
        if counts.total() == FIELDS:
            break
    assert counts.total() == FIELDS
    assert max(counts) <= 1
    assert counts[1] >= LABORATORIES[laboratory]


@pytest.mark.parametrize("times", [1.25, 1.5])
def test_nuclei_and_granules_of_a_large_cell_are_no_cells(detector: Detector, times: float) -> None:
    image, white = read_image(EXAMPLES / "field.jpg"), detector.labels.index("WBC")
    cells = detector.search(image).cells
    box = cells.box[(cells.label == white) & detector.is_counted(cells)]
    grown = blow_up(image, box[int(sides(box).argmax())], times)
    assert grown is not None
    found = detector.search(grown[0]).cells
    found = found.pick(detector.is_counted(found))
    assert count_within(found, grown[1], white) == 1
    assert len(found.label) > 0
    for label in set(range(len(detector.labels))) - {white}:
        assert count_within(found, grown[1], label) == 0
