"""The answer to a whole field: what was found in it, as JSON promises; what to doubt about it."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from hematovision.cells.cells import Cells
from hematovision.networks.detector import Detector
from hematovision.networks.scale import Scale
from hematovision.program.console import say, say_once

SMALL, JPEG = 32, (".jpg", ".jpeg", ".jfif")  # pixels across a cell that JPEG does harm to


def describe_field(
    path: Path, image: np.ndarray, cells: Cells, detector: Detector
) -> dict[str, Any]:
    """What a field shows, as the JSON object promises."""
    counted = detector.is_counted(cells)
    count = Counter(cells.label[counted].tolist())
    low, high = np.floor(cells.box[:, :2]), np.ceil(cells.box[:, 2:])
    boxes = np.concatenate([low, high], axis=1).astype(int).tolist()
    return {
        "image": str(path),
        "width": image.shape[1],
        "height": image.shape[0],
        "counts": {label: count[k] for k, label in enumerate(detector.labels)},
        "cells": [
            {
                "label": detector.labels[k],
                "probability": float(p),
                "box": box,
                "counted": bool(sure),
            }
            for k, p, box, sure in zip(cells.label, cells.probability, boxes, counted, strict=True)
        ],
    }


def tell_scale(path: Path, scale: Scale) -> None:
    """Say where a field's counts may be off for the size of its cells."""
    if not scale.certain:
        say(
            f"warning: {path}: no size of red cells explains this field, the best is "
            f"{scale.cell_px:.0f} pixels across: counts may be far off; state it with "
            "--cell-size PX"
        )
    elif scale.cell_px < SMALL and path.suffix.lower() in JPEG:
        say_once(
            f"notice: {path}: red cells are {scale.cell_px:.0f} pixels across; in a JPEG "
            "of so small cells some are missed (1 in 20 to 1 in 5): photograph closer, or "
            "save as PNG",
            "small cells",
        )
