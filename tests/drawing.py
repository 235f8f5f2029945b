"""What the tests draw: smear fields of ellipses, their annotations, fields to learn from."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from hematovision.networks.tiles import CELL
from hematovision.pictures.frame import QUARTER
from hematovision.pictures.light import GROUND
from hematovision.training.fields.fields import TrainingField

Box = tuple[str, int, int, int, int]
# What is drawn for a label, in RGB: a smear's colours, roughly.
COLOURS = {"RBC": (205, 120, 125), "WBC": (95, 60, 150), "Platelets": (150, 90, 170)}
GROUND_COLOUR = (228, 214, 222)
RBC: Box = ("RBC", 10, 10, 50, 48)
WBC: Box = ("WBC", 20, 100, 74, 160)
PLATELET: Box = ("Platelets", 120, 20, 136, 38)
BOXES: list[Box] = [RBC, ("RBC", 60, 14, 98, 54), WBC, PLATELET]
# The labels of BCCD and the sample, in order; which are red; how large their cells are in red ones.
LABELS = ["Platelets", "RBC", "WBC"]
RED = np.array([False, True, False])
TYPICAL = np.array([0.4, 1.0, 1.85])


def voc_xml(boxes: Sequence[Box], size: tuple[int, int] = (240, 180)) -> str:
    """A Pascal VOC annotation of boxes (label, xmin, ymin, xmax, ymax), without a namespace."""
    objects = "".join(box_xml(*corners, label) for label, *corners in boxes)
    width, height = size
    return (
        f"<annotation><size><width>{width}</width><height>{height}</height><depth>3</depth></size>"
        f"{objects}</annotation>"
    )


def box_xml(xmin: object, ymin: object, xmax: object, ymax: object, name: str = "RBC") -> str:
    """One object of a Pascal VOC annotation; its corners may be anything."""
    corners = zip(("xmin", "ymin", "xmax", "ymax"), (xmin, ymin, xmax, ymax), strict=True)
    inner = "".join(f"<{k}>{v}</{k}>" for k, v in corners)
    return f"<object><name>{name}</name><bndbox>{inner}</bndbox></object>"


def draw_field(boxes: Sequence[Box], size: tuple[int, int] = (240, 180), seed: int = 0):
    """A field (height, width, 3) uint8 RGB: a noisy pale ground with an ellipse in each box.

    Stained unevenly, for every seed in another way: else fields of the same boxes were twins. The
    green channel, in which ground is looked for, stays as it is.
    """
    width, height = size
    image = np.full((height, width, 3), GROUND_COLOUR, np.uint8)
    for label, x0, y0, x1, y1 in boxes:
        centre, axes = ((x0 + x1) // 2, (y0 + y1) // 2), ((x1 - x0) // 2, (y1 - y0) // 2)
        cv2.ellipse(image, centre, axes, 0, 0, 360, COLOURS.get(label, (120, 100, 90)), -1)
    noise = np.random.default_rng(seed).integers(-4, 5, image.shape)
    patches = np.random.default_rng(seed).normal(0, 90 if seed else 0, (9, 12)).astype(np.float32)
    stain = cv2.resize(patches, size, interpolation=cv2.INTER_CUBIC).clip(-80, 60)
    return np.clip(image + noise + stain[..., np.newaxis] * [1, 0, 1], 0, 255).astype(np.uint8)


def make_training_field(boxes: Sequence[Box] | None = None) -> TrainingField:
    """A drawn field to learn from; its left two thirds may hide a cell."""
    if boxes is None:
        boxes = [
            ("RBC", 20, 20, 60, 60),
            ("WBC", 90, 60, 160, 130),
            ("Platelets", 200, 20, 214, 36),
        ]
    data = cv2.imencode(".png", draw_field(boxes)[..., ::-1])[1].tobytes()
    label = np.array([LABELS.index(name) for name, *_ in boxes])
    box = np.array([b[1:] for b in boxes], float).reshape(-1, 4)
    free = np.zeros((45, 60), bool)
    free[:, 40:] = True
    return TrainingField("f.png", data, box, label, "drawn", ~RED, len(box), 40.0, free, box[:0])


def draw_discs(
    width: int, height: int, side: int, step: float = 1.6
) -> tuple[np.ndarray, np.ndarray]:
    """A field of red discs on a lattice, some of them cut by the border; and their boxes."""
    image = np.full((height, width, 3), round(255 * GROUND), np.uint8)
    boxes = []
    for y in np.arange(0, height + side / 2, side * step):
        for x in np.arange(0, width + side / 2, side * step):
            cv2.circle(image, (round(x), round(y)), side // 2, COLOURS["RBC"], -1)
            boxes.append((x - side / 2, y - side / 2, x + side / 2, y + side / 2))
    return image, np.clip(boxes, 0, [width, height, width, height])


def find_discs(picture: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A stand-in for the network: each dark island is a red cell, if it's of a size to be seen."""
    h, w = (n // QUARTER for n in picture.shape[:2])
    heat, reach = np.zeros((h, w, 3), np.float32), np.ones((h, w, 4), np.float32)
    dark = (picture[..., 1] < 165).astype(np.uint8)
    _, _, stats, _ = cv2.connectedComponentsWithStats(dark)
    for x, y, wide, high, area in stats[1:]:
        if area < 60 or max(wide, high) > 3 * CELL:
            continue
        cx, cy = (x + wide / 2) / QUARTER, (y + high / 2) / QUARTER
        i, j = min(int(cy), h - 1), min(int(cx), w - 1)
        heat[i, j, 1] = 0.9
        reach[i, j] = np.array([
            j + 0.5 - x / 4, i + 0.5 - y / 4, (x + wide) / 4 - j - 0.5, (y + high) / 4 - i - 0.5
        ])  # fmt: skip
    return heat, reach
