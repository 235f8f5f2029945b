"""Placing: boxes, from the frame that they were drawn in to the picture that lies on disk.

Pictures are resized, turned or exchanged after they were annotated. What the annotation says of its
frame, where the boxes lie and what they hold is evidence enough in most cases; else the field is
left out, since boxes in the wrong place teach that ground is a cell.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np

from hematovision.annotations.annotation import Annotation, Box
from hematovision.cells.cells import Segment
from hematovision.cells.taxonomy import is_a
from hematovision.datasets.findings import Example, Findings
from hematovision.program.console import UserError

NO_AREA = "box without area"
OUTSIDE = "box outside its field"
MOSTLY_OUTSIDE = "box mostly outside its field, cut to what is inside"
TWICE = "box drawn twice around one cell"
TWO_LABELS = "box with two labels that exclude each other"
ALMOST = "boxes that nearly cover each other, taken for two cells"
TWICE_PX = 1.5  # by which the edges of one box drawn twice may differ
ALMOST_SHIFT = 0.06  # of a box's side, by which edges differ where it is worth a look
SLACK = 0.02  # of a side: by how far boxes may stand out of their frame
SAME_SHAPE = 0.02  # by how much two proportions may differ through rounding


class Placed(NamedTuple):
    """An annotation's boxes in a picture."""

    segments: list[Segment]
    findings: Findings
    scaled: bool  # the picture isn't of the size that the boxes were drawn at


def fit_frame(annotation: Annotation, image: np.ndarray) -> tuple[list[Box], str, bool]:
    """The boxes in pixels of the picture (h, w, 3) uint8, what was put right ("": nothing), and
    whether they were scaled.

    Raises UserError where the sizes disagree and it isn't plain what the boxes mean.
    """
    height, width = image.shape[:2]
    boxes, size = annotation.boxes, annotation.size
    corners = np.array([b.corners for b in boxes], float).reshape(-1, 4)
    if annotation.normalised:
        return scale(boxes, width, height), "", True
    if len(corners) and corners.min() >= 0 and corners.max() <= 1 and (corners % 1).any():
        return scale(boxes, width, height), "field with corners from 0 to 1, taken as shares", True
    if size is None or size == (width, height) or not boxes:
        return boxes, "", False
    x, y = width / size[0], height / size[1]
    what = f"<size> {size[0]}x{size[1]}, picture {width}x{height}"
    in_size, in_picture = lies_in(corners, *size), lies_in(corners, width, height)
    turned = size == (height, width)
    same_shape = abs(x / y - 1) <= SAME_SHAPE
    near = all(
        abs(a - b) <= max(4, SAME_SHAPE * b) for a, b in zip(size, (width, height), strict=True)
    )
    if in_picture and (not in_size or turned or near):
        reason = "swapped" if turned else "another size"
        return boxes, f"field whose <size> is {reason}, boxes as they are", False
    if same_shape and in_size and not turned:
        if not in_picture or prefers_scaling(image, corners, x, y):
            return scale(boxes, x, y), "field of another size than its <size>, boxes scaled", True
        if prefers_scaling(image, corners, x, y) is False:
            return boxes, "field whose <size> is another size, boxes as they are", False
    raise UserError(
        f"{annotation.path}: {what}: it isn't plain where the boxes belong; "
        "annotate the picture that is there"
    )


def scale(boxes: Sequence[Box], x: float, y: float) -> list[Box]:
    return [Box(k, (a * x, b * y, c * x, d * y)) for k, (a, b, c, d) in boxes]


def lies_in(corners: np.ndarray, width: float, height: float) -> bool:
    """Whether all boxes (n, 4) lie in a frame, but for a little slack."""
    return bool(
        (corners[:, [0, 2]] <= width * (1 + SLACK)).all()
        and (corners[:, [1, 3]] <= height * (1 + SLACK)).all()
    )


def prefers_scaling(image: np.ndarray, corners: np.ndarray, x: float, y: float) -> bool | None:
    """Whether the boxes hold cells once they are scaled rather than as they are; None: can't tell.

    Cells absorb green, so the boxes of the right frame are darker inside than those of the wrong
    one, compared with the field around (in standard deviations of the field).
    """
    green = cv2.extractChannel(image, 1).astype(np.float32)
    sums = cv2.integral(green)
    height, width = green.shape

    def darkness(boxes: np.ndarray) -> float:
        b = np.clip(np.rint(boxes), 0, [width, height, width, height]).astype(int)
        area = np.prod(b[:, 2:] - b[:, :2], axis=1)
        if not (area > 0).any():
            return 0.0
        x0, y0, x1, y1 = b[area > 0].T
        inside = (sums[y1, x1] - sums[y0, x1] - sums[y1, x0] + sums[y0, x0]) / area[area > 0]
        return float((green.mean() - inside).mean() / max(green.std(), 1))

    scaled, kept = darkness(corners * [x, y, x, y]), darkness(corners)
    if max(scaled, kept) < 0.2 or abs(scaled - kept) < 0.3:
        return None
    return scaled > kept


def place_boxes(
    annotation: Annotation, image: np.ndarray, example: Example, keep: int = 1
) -> Placed:
    """An annotation's boxes as segments of the picture, in whole pixels and inside its frame.

    Raises UserError where it isn't plain where they belong.
    """
    found = Findings(keep)
    height, width = image.shape[:2]
    boxes, put_right, scaled = fit_frame(annotation, image)
    if put_right:
        found.add("put right", put_right, replace_boxes(example, boxes))
    for reason in annotation.left_out:
        found.add("left out", reason, example)
    segments = []
    for box in boxes:
        xmin, ymin, xmax, ymax = (round(v) for v in box.corners)
        if xmax <= xmin or ymax <= ymin:
            found.add("left out", NO_AREA, replace_boxes(example, [box]))
            continue
        inside = (max(xmin, 0), max(ymin, 0), min(xmax, width), min(ymax, height))
        if inside[2] <= inside[0] or inside[3] <= inside[1]:
            found.add("left out", OUTSIDE, replace_boxes(example, [box]))
            continue
        area = (inside[2] - inside[0]) * (inside[3] - inside[1])
        if 2 * area < (xmax - xmin) * (ymax - ymin):
            found.add("put right", MOSTLY_OUTSIDE, replace_boxes(example, [box]))
        segments.append(Segment(box.label, inside))
    return Placed(drop_doubles(segments, found, example), found, scaled)


def drop_doubles(segments: Sequence[Segment], found: Findings, example: Example) -> list[Segment]:
    """Each cell once: of boxes in one place that say the same, or the one what the other is a kind
    of, the first or the finer stays; where they contradict each other, none."""
    gone: set[int] = set()
    instead: dict[int, int] = {}  # of a box that went, the one that stays
    for i, j, apart in find_doubles(np.array([s.box for s in segments], float).reshape(-1, 4)):
        i, j = sorted((instead.get(i, i), instead.get(j, j)))
        if i == j or {i, j} & gone:
            continue
        first, second = segments[i], segments[j]
        boxes = [Box(s.label, s.box) for s in (first, second)]
        if apart > TWICE_PX:
            found.add("noticed", ALMOST, replace_boxes(example, boxes))
        elif is_a(second.label, first.label) or is_a(first.label, second.label):
            finer = first.label != second.label and is_a(second.label, first.label)
            kept, lost = (j, i) if finer else (i, j)
            gone.add(lost)
            instead |= {lost: kept} | {k: kept for k, of in instead.items() if of == lost}
            found.add("put right", TWICE, replace_boxes(example, boxes))
        else:
            gone |= {i, j}
            found.add("left out", TWO_LABELS, replace_boxes(example, boxes), 2)
    return [segment for i, segment in enumerate(segments) if i not in gone]


def find_doubles(box: np.ndarray) -> list[tuple[int, int, float]]:
    """Pairs i < j of boxes (n, 4) that lie nearly in one place, and how many pixels their edges are
    apart at most.

    Of several there, each is paired with one: so there are no more pairs than boxes.
    """
    order = np.argsort(box[:, 0], kind="stable")
    box = box[order]
    side = np.minimum(*(box[:, 2:] - box[:, :2]).T) if len(box) else np.zeros(0)
    near = np.maximum(TWICE_PX, ALMOST_SHIFT * side)
    ends = np.searchsorted(box[:, 0], box[:, 0] + near, side="right")
    pairs, paired = [], np.zeros(len(box), bool)
    for i, end in enumerate(ends.tolist()):
        if paired[i]:
            continue
        apart = np.abs(box[i + 1 : end] - box[i]).max(axis=1, initial=0)
        close = apart <= np.minimum(near[i], near[i + 1 : end])
        paired[i + 1 : end] |= close
        for j in np.flatnonzero(close).tolist():
            first, second = sorted((int(order[i]), int(order[i + 1 + j])))
            pairs.append((first, second, float(apart[j])))
    return sorted(pairs)


def replace_boxes(example: Example, boxes: Sequence[Box]) -> Example:
    return example._replace(boxes=tuple((box.label, box.corners) for box in boxes))
