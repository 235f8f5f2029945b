"""COCO's JSON (Lin et al., 2014): one file for all pictures; boxes are x, y, width, height there.

Read as plain JSON, since what tools write under COCO's name lacks areas, ids and categories that
pycocotools insists on; its masks are decoded by pycocotools.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from hematovision.annotations.annotation import (
    Annotation,
    Corners,
    bounds,
    frame_of,
    list_points,
    number,
)

LARGEST_MASK = 1 << 16  # pixels of a side


def is_coco(content: Any) -> bool:
    return isinstance(content, dict) and isinstance(content.get("images"), list)


def read_coco(path: Path, content: dict[str, Any]) -> Iterator[Annotation]:
    """All pictures of a file."""
    names = {str(c.get("id")): str(c.get("name")) for c in content.get("categories") or []}
    found: dict[str, Annotation] = {}
    for image in content["images"]:
        name = str(image.get("file_name") or image.get("coco_url") or "")
        frame = frame_of(image.get("width"), image.get("height"))
        found[str(image.get("id"))] = Annotation(path, name, frame)
    for row in content.get("annotations") or []:
        target = found.get(str(row.get("image_id")))
        if target is None:
            continue
        if row.get("iscrowd") and not row.get("bbox"):
            target.left_out.append("box around a crowd of cells")
            continue
        kind = str(row.get("category_id"))
        target.add(names.get(kind, kind), corners_of(row, target.size))
    yield from found.values()


def corners_of(row: dict[str, Any], frame: tuple[int, int] | None) -> Corners | None:
    """The corners of a box, or of what else it is drawn by; None where there are none."""
    box = row.get("bbox")
    if isinstance(box, list) and len(box) == 4:
        x, y, w, h = map(number, box)
        return x, y, x + w, y + h
    drawn = row.get("segmentation")
    if isinstance(drawn, dict) and frame and max(frame) <= LARGEST_MASK:
        from pycocotools import mask

        counts = drawn.get("counts")
        if isinstance(counts, list):
            drawn = mask.frPyObjects(drawn, frame[1], frame[0])
        x, y, w, h = mask.toBbox(drawn).tolist()
        return x, y, x + w, y + h
    if isinstance(drawn, list):
        return bounds([p for part in drawn for p in list_points([number(v) for v in part])])
    return None


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
