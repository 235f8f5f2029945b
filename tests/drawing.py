"""What the tests draw: smear fields of ellipses, their annotations, fields to learn from."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from hematovision.training.field_views import TrainingField

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
    """A field (height, width, 3) uint8 RGB: a noisy pale ground with an ellipse in each box."""
    width, height = size
    image = np.full((height, width, 3), GROUND_COLOUR, np.uint8)
    for label, x0, y0, x1, y1 in boxes:
        centre, axes = ((x0 + x1) // 2, (y0 + y1) // 2), ((x1 - x0) // 2, (y1 - y0) // 2)
        cv2.ellipse(image, centre, axes, 0, 0, 360, COLOURS.get(label, (120, 100, 90)), -1)
    noise = np.random.default_rng(seed).integers(-4, 5, image.shape)
    return np.clip(image + noise, 0, 255).astype(np.uint8)


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
    return TrainingField("f.png", data, box, label, len(box), 40.0, free, box[:0])
