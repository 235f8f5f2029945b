"""Training fields: the fields of an archive as they are learnt from, at the scale of their cells.

prepare_fields(split, labels)     # archive -> fields, with where a cell may lack its box
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np

from hematovision.archive.arrays import StoredBytes
from hematovision.archive.contents import AnnotatedField, FieldSplit
from hematovision.cells.cells import Segment, overlap, sides, touches
from hematovision.cells.labels import is_rbc
from hematovision.datasets.ground import find_free_area
from hematovision.networks.tiles import CELL
from hematovision.pictures.frame import QUARTER, find_frame
from hematovision.pictures.images import read_image
from hematovision.pictures.light import level_light

DOUBLE = 0.8  # intersection over union from which two boxes of a label are the same cell's


@dataclass(frozen=True)
class TrainingField:
    """A field as it is learnt from. Images stay in their files' form, a twentieth of their size."""

    name: str
    data: bytes | StoredBytes  # the image file
    box: np.ndarray  # (n, 4) float, annotated or, after that, found by the network itself
    label: np.ndarray  # (n,) index into the labels
    lab: str  # the laboratory
    complete: np.ndarray  # (k,) bool, labels of which no cell lacks its box
    annotated: int  # how many of the boxes are
    cell_px: float  # pixels across a red cell
    free: np.ndarray  # (ceil(h / 4), ceil(w / 4)) bool, certainly no cell
    dismissed: np.ndarray  # (d, 4) found by the network, but with too little of a cell shown
    counted: int = 0  # red cells that a model gone on from counts, where boxes may be missing
    # (k,) bool, labels that are boxed completely nowhere: where they have no box, ground isn't
    # learnt as free of them.
    unboxed: np.ndarray | None = None

    def image(self) -> np.ndarray:
        """The field as the network is shown it, its light levelled, (height, width, 3) uint8."""
        raw = self.raw()
        return level_light(raw, find_frame(raw))

    def raw(self) -> np.ndarray:
        """The field as it was photographed."""
        return read_image(Path(self.name), bytes(self.data))

    def unsure(self) -> np.ndarray:
        """Where an unboxed cell may be, at a quarter of the resolution: (h, w) uint8."""
        unsure = (~self.free).astype(np.uint8)
        for x0, y0, x1, y1 in self.dismissed / QUARTER:
            unsure[int(y0) : int(np.ceil(y1)), int(x0) : int(np.ceil(x1))] = 0
        for x0, y0, x1, y1 in self.box / QUARTER:
            # The corners of a box are not the cell's, and often a neighbour's.
            axes = 0.95 * float(x1 - x0), 0.95 * float(y1 - y0)
            cv2.ellipse(unsure, ((float(x0 + x1) / 2, float(y0 + y1) / 2), axes, 0.0), 0, -1)
        return unsure


def measure_red(
    box: np.ndarray, label: np.ndarray, size: Sequence[int], red: np.ndarray
) -> np.ndarray:
    """Sides of the whole red cells of a field, `size` (width, height)."""
    whole = ~touches(box, *size).any(axis=1)
    return sides(box[whole & red[label]])


def drop_doubles(field: AnnotatedField) -> AnnotatedField:
    """The field without boxes that repeat another of the same label: a cell boxed twice."""
    same = np.triu(overlap(field.box, field.box) > DOUBLE, k=1)
    same &= field.label[:, np.newaxis] == field.label
    kept = ~same.any(axis=0)
    return field._replace(box=field.box[kept], label=field.label[kept])


def measure_typical(
    fields: Iterable[tuple[np.ndarray, np.ndarray, str, float]], labels: int
) -> np.ndarray:
    """Side of a cell of each label in parts of a red cell's, (labels,); NaN where there is none.

    `fields`: boxes, labels, laboratory and pixels across a red cell of each. The median of the
    laboratories' medians.
    """
    ratio: dict[tuple[str, int], list[np.ndarray]] = {}
    for box, label, lab, cell_px in fields:
        for k in np.unique(label):
            ratio.setdefault((lab, k), []).append(sides(box[label == k]) / cell_px)
    medians = {key: np.median(np.concatenate(parts)) for key, parts in ratio.items()}
    return np.array([
        np.median([m for (_, j), m in medians.items() if j == k] or [np.nan]) for k in range(labels)
    ])  # fmt: skip


def measure_scales(
    fields: FieldSplit, labels: Sequence[str], sizes: np.ndarray | None = None
) -> list[float]:
    """Pixels across a red cell of each field (all cells, where no label is red).

    That of the laboratory's whole red cells, or of the field's own where these clearly differ. A
    laboratory that boxes none is measured by its other cells, whose size in red ones the others
    tell, or else `sizes` (labels,).
    """
    red = np.array([is_rbc(name) for name in labels])
    red = red if red.any() else ~red
    own, boxed = [], []
    for field in fields.read(labels):
        height, width = field.image().shape[:2]
        own.append(measure_red(field.box, field.label, (width, height), red))
        boxed.append((field.box, field.label, field.lab))
    labs = np.array([lab for *_, lab in boxed])
    usual: dict[str, float] = {}
    for lab in np.unique(labs).tolist():
        together = np.concatenate([own[i] for i in np.flatnonzero(labs == lab)])
        if len(together):
            usual[lab] = float(np.median(together))
    known = [(*field, usual[field[2]]) for field in boxed if field[2] in usual]
    typical = measure_typical(known, len(labels))
    typical = np.where(np.isnan(typical), 1.0 if sizes is None else sizes, typical)
    for lab in set(labs.tolist()) - usual.keys():
        size = np.concatenate(
            [sides(box) / typical[label] for box, label, of in boxed if of == lab]
        )
        usual[lab] = float(np.median(size)) if len(size) else float(CELL)
    scales = []
    for found, lab in zip(own, labs.tolist(), strict=True):
        of_field = float(np.median(found)) if len(found) >= 4 else usual[lab]
        scales.append(of_field if abs(np.log(of_field / usual[lab])) > 0.3 else usual[lab])
    return scales


def prepare_fields(
    fields: FieldSplit, labels: Sequence[str], sizes: np.ndarray | None = None
) -> list[TrainingField]:
    """Turn one split of an archive into fields to learn from. `sizes`: see `measure_scales`.

    Boxes that are no kind of `labels` are left out.
    """
    prepared = []
    # Read a second time: all pictures at once would take more memory than all crops.
    scales = measure_scales(fields, labels, sizes)
    for field, cell_px in zip(fields.read(labels), scales, strict=True):
        single = drop_doubles(field)
        segments = [
            Segment(labels[k], (int(b[0]), int(b[1]), int(b[2]), int(b[3])))
            for b, k in zip(single.box, single.label, strict=True)
        ]
        free = find_free_area(single.image(), segments, cell_px)
        prepared.append(
            TrainingField(*single, len(single.box), cell_px, free, dismissed=single.box[:0])
        )
    return prepared


def pack_found(fields: Sequence[TrainingField]) -> dict[str, np.ndarray]:
    """The cells that the network found itself, as arrays: `unpack_found` puts them back."""
    box = [f.box[f.annotated :] for f in fields]
    dismissed = [f.dismissed for f in fields]
    return {
        "box": np.concatenate(box).reshape(-1, 4),
        "label": np.concatenate([f.label[f.annotated :] for f in fields]),
        "boxes": np.array([len(b) for b in box]),
        "dismissed": np.concatenate(dismissed).reshape(-1, 4),
        "dismissals": np.array([len(d) for d in dismissed]),
    }


def unpack_found(
    fields: Sequence[TrainingField], packed: dict[str, np.ndarray]
) -> list[TrainingField]:
    """The fields with the cells that an earlier run found in them."""
    ends, stops = np.cumsum(packed["boxes"]), np.cumsum(packed["dismissals"])
    boxes, labels = np.split(packed["box"], ends[:-1]), np.split(packed["label"], ends[:-1])
    dismissed = np.split(packed["dismissed"], stops[:-1])
    return [
        replace(
            f,
            box=np.concatenate([f.box[: f.annotated], box]),
            label=np.append(f.label[: f.annotated], label),
            dismissed=gone,
        )
        for f, box, label, gone in zip(fields, boxes, labels, dismissed, strict=True)
    ]
