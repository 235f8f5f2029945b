"""Fixtures that the tests share: a tiny drawn dataset in VOC form, and the real BCCD."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest

BCCD = Path(__file__).resolve().parents[2] / "shared" / "bccd"
Box = tuple[str, int, int, int, int]
# What is drawn for a label, in RGB: a smear's colours, roughly.
COLOURS = {"RBC": (205, 120, 125), "WBC": (95, 60, 150), "Platelets": (150, 90, 170)}
GROUND = (228, 214, 222)
BOXES: list[Box] = [
    ("RBC", 10, 10, 50, 48),
    ("RBC", 60, 14, 98, 54),
    ("WBC", 20, 100, 74, 160),
    ("Platelets", 120, 20, 136, 38),
]


def voc_xml(boxes: Sequence[Box], size: tuple[int, int] = (240, 180)) -> str:
    """A Pascal VOC annotation of boxes (label, xmin, ymin, xmax, ymax), without a namespace."""
    objects = "".join(
        f"<object><name>{label}</name><bndbox><xmin>{x0}</xmin><ymin>{y0}</ymin>"
        f"<xmax>{x1}</xmax><ymax>{y1}</ymax></bndbox></object>"
        for label, x0, y0, x1, y1 in boxes
    )
    width, height = size
    return (
        f"<annotation><size><width>{width}</width><height>{height}</height><depth>3</depth></size>"
        f"{objects}</annotation>"
    )


def draw_field(boxes: Sequence[Box], size: tuple[int, int] = (240, 180), seed: int = 0):
    """A field (height, width, 3) uint8 RGB: a noisy pale ground with an ellipse in each box."""
    width, height = size
    image = np.full((height, width, 3), GROUND, np.uint8)
    for label, x0, y0, x1, y1 in boxes:
        centre, axes = ((x0 + x1) // 2, (y0 + y1) // 2), ((x1 - x0) // 2, (y1 - y0) // 2)
        cv2.ellipse(image, centre, axes, 0, 0, 360, COLOURS.get(label, (120, 100, 90)), -1)
    noise = np.random.default_rng(seed).integers(-4, 5, image.shape)
    return np.clip(image + noise, 0, 255).astype(np.uint8)


@pytest.fixture
def voc_dataset(tmp_path: Path) -> Callable[..., Path]:
    """Draw a dataset: ``voc_dataset(n)``, or ``voc_dataset({"name": boxes, ...})``, as PNG."""

    def make(
        fields: int | dict[str, list[Box]] = 8, name: str = "voc", suffix: str = ".png"
    ) -> Path:
        if isinstance(fields, int):
            fields = {f"field{i}": BOXES for i in range(fields)}
        root = tmp_path / name
        for folder in ("JPEGImages", "Annotations"):
            (root / folder).mkdir(parents=True, exist_ok=True)
        for seed, (stem, boxes) in enumerate(fields.items()):
            image = cv2.cvtColor(draw_field(boxes, seed=seed), cv2.COLOR_RGB2BGR)
            data = cv2.imencode(suffix, image)[1].tobytes()
            (root / "JPEGImages" / f"{stem}{suffix}").write_bytes(data)
            (root / "Annotations" / f"{stem}.xml").write_text(voc_xml(boxes))
        return root

    return make


@pytest.fixture(scope="session")
def bccd() -> Path:
    """The real BCCD dataset beside the repository; a test that wants it is skipped elsewhere."""
    if not (BCCD / "JPEGImages").is_dir():
        pytest.skip(f"the BCCD dataset isn't at {BCCD}")
    return BCCD
