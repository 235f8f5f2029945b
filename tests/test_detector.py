"""The detector: tiles, scale, what is found in drawn and in real fields."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest
from conftest import SAMPLE, SampleRun
from drawing import COLOURS, TYPICAL

from hematovision.cells import overlap
from hematovision.classifier import PRETRAINED, read_card
from hematovision.detector import (
    CELL,
    NAME,
    OVERLAP,
    TILE,
    Detector,
    decode,
    estimate_cell_px,
    find_cells,
    spread_tiles,
)
from hematovision.ground import QUARTER
from hematovision.images import GROUND, level_light, read_image, resize


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


@pytest.mark.parametrize("length", [64, 640, 4001, 20_000])
@pytest.mark.parametrize("scale", [0.4, 1.0, 3.1])
def test_every_place_is_one_tiles_and_well_inside_it(length: int, scale: float) -> None:
    tiles = spread_tiles(length, scale)
    assert tiles[0][0][0] == 0 and tiles[-1][0][1] == length
    for (start, end), (low, high) in tiles:
        assert (end - start) * scale <= TILE + scale
        assert low == -np.inf or (low - start) * scale > OVERLAP / 2 - 2 * scale - 1
        assert high == np.inf or (end - high) * scale > OVERLAP / 2 - 2 * scale - 1
    seams = [part for _, part in tiles]
    assert all(a[1] == b[0] for a, b in pairwise(seams))


@pytest.mark.parametrize(
    ("size", "side"), [((640, 480), 100), ((2600, 1900), 80), ((300, 300), 60)]
)
def test_cells_are_found_where_they_are_in_one_look_or_in_tiles(
    size: tuple[int, int], side: int
) -> None:
    image, boxes = draw_discs(*size, side)
    cells = find_cells(find_discs, image, side, 0.5)
    assert len(cells.label) == len(boxes)
    assert overlap(cells.box, boxes).max(axis=1).min() > 0.75
    assert overlap(cells.box, boxes).max(axis=0).min() > 0.75


@pytest.mark.parametrize(
    ("size", "side"),
    [
        ((640, 480), 105),
        ((575, 575), 140),
        ((363, 360), 80),
        ((1600, 1200), 60),
        ((3000, 2000), 70),
    ],
)
def test_the_size_of_a_cell_is_found_in_fields_of_any_magnification(
    size: tuple[int, int], side: int
) -> None:
    image, _ = draw_discs(*size, side)
    assert estimate_cell_px(find_discs, image, TYPICAL) == pytest.approx(side, rel=0.15)


def test_a_field_without_a_cell_has_a_scale_and_no_cells() -> None:
    blank = np.full((480, 640, 3), 220, np.uint8)
    cell = estimate_cell_px(find_discs, blank, TYPICAL)
    assert cell > 0
    assert find_cells(find_discs, blank, cell, 0.3).box.shape == (0, 4)


def test_of_two_answers_for_one_cell_the_likelier_stays() -> None:
    heat, reach = np.zeros((20, 20, 3), np.float32), np.full((20, 20, 4), 5, np.float32)
    heat[8, 8, 1], heat[8, 10, 1], heat[8, 12, 2], heat[15, 15, 1] = 0.6, 0.9, 0.5, 0.2
    cells = decode(heat, reach, (80, 80), 0.3)
    # Another label may lie over it; 0.2 is too little.
    order = np.argsort(cells.label)
    assert cells.label[order].tolist() == [1, 2]
    assert cells.probability[order].tolist() == pytest.approx([0.9, 0.5])
    red = cells.box[cells.label == 1][0]
    assert red.tolist() == [22, 14, 62, 54]


def test_answers_do_not_depend_on_threads(bccd: Path) -> None:
    image = read_image(bccd / "JPEGImages" / "BloodImage_00007.jpg")
    card = read_card(PRETRAINED)
    one, two = (Detector.load(PRETRAINED, card, n).find(image, 0.02) for n in (1, 2))
    assert all((a == b).all() for a, b in zip(one, two, strict=True))


def test_the_exported_network_agrees_with_the_keras_one(sample_run: SampleRun) -> None:
    keras = pytest.importorskip("keras")
    network = keras.models.load_model(sample_run.model / f"{NAME}.keras", compile=False)
    detector = Detector.load(sample_run.model, read_card(sample_run.model))
    image = level_light(read_image(next((SAMPLE / "JPEGImages").iterdir())))
    for size in ((352, 288), (192, 256)):
        picture = resize(image, *size)
        heat, reach = detector.run(picture)
        wanted = network(picture[np.newaxis].astype(np.float32), training=False).numpy()[0]
        assert heat == pytest.approx(wanted[..., :3], abs=0.01)
        assert np.abs(reach / wanted[..., 3:] - 1).max() < 0.05
