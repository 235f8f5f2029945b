"""COCO's JSON (Lin et al., 2014): one file for all pictures; boxes are x, y, width, height there.

Read as plain JSON, since what tools write under COCO's name lacks areas, ids and categories that
pycocotools insists on, and its C code ends the process on masks without a size.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import numpy as np

from hematovision.annotations.annotation import (
    DOT,
    Annotation,
    Corners,
    bounds,
    frame_of,
    list_points,
    number,
)
from hematovision.program.console import UserError

LARGEST_MASK = 1 << 16  # pixels of a side
LONGEST_RUN = 12  # characters of a number in a mask's text, 5 bits each
CROWD = "box around a crowd of cells"
# Of how many times a label's usual area, or all labels', a box marked as crowd is one.
CROWD_OF_LABEL, CROWD_OF_ALL = 4, 10
UNLISTED = "box of a picture that its file doesn't list"


class Row(NamedTuple):
    """A row of ``annotations``."""

    label: str
    corners: Corners | None
    marked: bool  # as a crowd
    dot: bool

    def area(self) -> float:
        x0, y0, x1, y1 = self.corners or (0, 0, 0, 0)
        return (x1 - x0) * (y1 - y0)


def is_coco(content: Any) -> bool:
    return isinstance(content, dict) and isinstance(content.get("images"), list)


def read_coco(path: Path, content: dict[str, Any]) -> Iterator[Annotation]:
    """All pictures of a file; UserError where an id stands for two pictures or two categories."""
    names = name_ids(path, "category", content.get("categories") or [], "name")
    files = name_ids(path, "picture", content["images"], "file_name", "coco_url")
    found: dict[str, Annotation] = {}
    for image in content["images"]:
        file, frame = files[str(image.get("id"))], frame_of(image.get("width"), image.get("height"))
        found.setdefault(file, Annotation(path, file, frame))
    rows: defaultdict[str, list[Row]] = defaultdict(list)
    unlisted = 0
    for row in content.get("annotations") or []:
        name = files.get(str(row.get("image_id")))
        if name is None:
            unlisted += 1
            continue
        kind = str(row.get("category_id"))
        corners = corners_of(row, found[name].size)
        dot = corners is None and bool(row.get("keypoints"))
        rows[name].append(Row(names.get(kind, kind), corners, bool(row.get("iscrowd")), dot))
    usual = Usual.of(row for of in rows.values() for row in of)
    for name, target in found.items():
        for row in rows[name]:
            if row.dot or (row.marked and usual.is_crowd(row, rows[name])):
                target.left_out.append(DOT if row.dot else CROWD)
            else:
                target.add(row.label, row.corners)
    for target in list(found.values())[:1]:
        target.left_out += [UNLISTED] * unlisted
    yield from found.values()


def name_ids(path: Path, what: str, entries: Sequence[Any], *keys: str) -> dict[str, str]:
    """By id what a category or a picture is called; UserError where one id has two names."""
    names: dict[str, str] = {}
    for entry in entries:
        name = str(next((entry[k] for k in keys if entry.get(k)), ""))
        known = names.setdefault(str(entry.get("id")), name)
        if known != name:
            raise UserError(
                f"{path}: the id {entry.get('id')} is used twice, for the {what} {known} and for "
                f"{name}; number them anew, or keep the files apart that were merged"
            )
    return names


class Usual(NamedTuple):
    """How large boxes usually are, by label and in all, in pixels of area."""

    of_label: dict[str, float]
    of_all: float

    @classmethod
    def of(cls, rows: Iterable[Row]) -> Usual:
        areas: defaultdict[str, list[float]] = defaultdict(list)
        for row in rows:
            if row.corners and not row.marked and row.area() > 0:
                areas[row.label].append(row.area())
        every = [area for of in areas.values() for area in of]
        return cls({k: median(of) for k, of in areas.items()}, median(every) if every else 0.0)

    def is_crowd(self, row: Row, others: Sequence[Row]) -> bool:
        """Whether what is marked as one is a crowd: far larger than a cell, or around several.

        CVAT marks every mask as a crowd, that of a single cell too.
        """
        if row.corners is None:
            return True
        of_label = self.of_label.get(row.label)
        if of_label is not None and row.area() > CROWD_OF_LABEL * of_label:
            return True
        if self.of_all and row.area() > CROWD_OF_ALL * self.of_all:
            return True
        x0, y0, x1, y1 = row.corners
        within = 0
        for other in others:
            if other is not row and other.corners and other.area() < row.area() / 2:
                a, b, c, d = other.corners
                within += x0 < (a + c) / 2 < x1 and y0 < (b + d) / 2 < y1
        return within > 1


def corners_of(row: dict[str, Any], frame: tuple[int, int] | None) -> Corners | None:
    """The corners of a box, or of what else it is drawn by; None where there are none."""
    box = row.get("bbox")
    if isinstance(box, list) and len(box) == 4:
        x, y, w, h = map(number, box)
        return x, y, x + w, y + h
    drawn = row.get("segmentation")
    if isinstance(drawn, dict):
        return mask_corners(drawn, frame)
    if isinstance(drawn, list):
        return bounds([p for part in drawn for p in list_points([number(v) for v in part])])
    return None


def mask_corners(mask: dict[str, Any], frame: tuple[int, int] | None) -> Corners | None:
    """The bounds of a mask of runs, column by column; None where it is empty or damaged."""
    given = mask.get("size")
    stated = frame_of(given[1], given[0]) if isinstance(given, list) and len(given) == 2 else frame
    if stated is None or max(stated) > LARGEST_MASK:
        return None
    width, height = stated
    counts = mask.get("counts")
    runs = unpack_runs(counts) if isinstance(counts, str) else counts
    if not isinstance(runs, list):
        return None
    lengths = np.array([number(run) for run in runs])
    if not (lengths >= 0).all() or lengths.sum() != width * height:
        return None
    ends = np.cumsum(lengths.astype(np.int64))
    first, last = ends[:-1:2], ends[1::2] - 1  # of each run inside the mask
    first, last = first[last >= first], last[last >= first]
    if not len(first):
        return None
    several = first // height < last // height  # a run over more than one column
    top = 0 if several.any() else int((first % height).min())
    bottom = height if several.any() else int((last % height).max()) + 1
    return int(first.min() // height), top, int(last.max() // height) + 1, bottom


def unpack_runs(text: str) -> list[int]:
    """The runs of COCO's compressed masks; ValueError where they are damaged."""
    runs: list[int] = []
    value = place = 0
    for character in text:
        code = ord(character) - 48
        if not 0 <= code < 64 or place > LONGEST_RUN:
            raise ValueError("a damaged mask")
        value |= (code & 31) << (5 * place)
        place += 1
        if not code & 32:
            if code & 16:
                value -= 1 << (5 * place)
            runs.append(value + runs[-2] if len(runs) > 2 else value)
            value = place = 0
    return runs


def write_coco(noted: Callable[[], Iterable[Annotation]], labels: Sequence[str]) -> Iterator[str]:
    """The JSON of all fields, in pieces. `noted` goes through the fields, here twice."""

    def describe_images() -> Iterator[dict[str, Any]]:
        for i, of in enumerate(noted(), 1):
            width, height = of.size or (0, 0)
            yield {"id": i, "file_name": of.picture, "width": width, "height": height}

    def describe_cells() -> Iterator[dict[str, Any]]:
        cells = ((i, *box) for i, of in enumerate(noted(), 1) for box in of.boxes)
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
