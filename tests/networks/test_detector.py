"""The detector: one cell is one count, in drawn and in real fields of any size."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from conftest import ROOT, SAMPLE, SampleRun
from drawing import RED, TYPICAL

from hematovision.cells.cells import Cells, sides
from hematovision.networks.card import PRETRAINED, read_card
from hematovision.networks.detector import NAME, Detector, find_doubles, find_in_field
from hematovision.pictures.images import read_image, resize
from hematovision.pictures.light import level_light


def test_what_is_found_under_two_labels_is_one_cell() -> None:
    """Platelets, red and white cells: 0, 1, 2."""
    box = np.array([
        [0, 0, 100, 100],  # a white cell,
        [5, 5, 95, 98],  # the same as a red one,
        [20, 20, 60, 60],  # its nucleus as a white one, as a red one,
        [25, 20, 65, 60],
        [30, 30, 45, 45],  # and a platelet on it
        [90, 40, 140, 90],  # a red cell beside
        [300, 300, 350, 350],  # two red cells, one half over the other
        [320, 300, 370, 350],
        [500, 500, 540, 540],  # a red one, and nearly the same again
        [502, 501, 541, 541],
    ], float)  # fmt: skip
    label = np.array([2, 1, 2, 1, 0, 1, 1, 1, 1, 1])
    certainty = np.array([2, 1.5, 1.4, 1.3, 1.2, 1.1, 1.9, 1.8, 1.7, 1.6])
    double = find_doubles(Cells(box, label, certainty / 2), certainty, TYPICAL, RED)
    assert double.tolist() == [False, True, True, True, False, False, False, False, False, True]
    # The surer one stays, whichever label it has, and wherever it stands.
    flipped = find_doubles(
        Cells(box[[1, 0]], label[[1, 0]], np.ones(2)), np.array([2, 1.0]), TYPICAL, RED
    )
    assert flipped.tolist() == [False, True]
    assert find_doubles(Cells(box[:0], label[:0], box[:0, 0]), label[:0], TYPICAL, RED).size == 0


def test_what_the_border_leaves_of_a_cell_is_listed_however_thin() -> None:
    def run(picture: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        h, w = picture.shape[0] // 4, picture.shape[1] // 4
        heat, reach = np.zeros((h, w, 3), np.float32), np.zeros((h, w, 4), np.float32)
        heat[20, 0, 1], heat[20, 40, 1] = 0.2, 0.9
        reach[20, 0], reach[20, 40] = (0.5, 10, 1.5, 10), (10, 10, 10, 10)
        return heat, reach

    image = np.full((320, 320, 3), 230, np.uint8)
    listed = find_in_field(run, image, np.full(3, 0.02), 80)
    assert listed.box.tolist() == [[122, 42, 202, 122], [0, 42, 8, 122]]
    assert find_in_field(run, image, np.full(3, 0.5), 80).probability == pytest.approx([0.9])


def make_mosaic(bccd: Path, rows: int, scale: float) -> tuple[list[np.ndarray], np.ndarray]:
    """Fields of BCCD, and all of them in one picture, shrunk."""
    paths = sorted((bccd / "JPEGImages").iterdir())[: rows * rows]
    fields = [read_image(path) for path in paths]
    mosaic = np.vstack([np.hstack(fields[k * rows : (k + 1) * rows]) for k in range(rows)])
    height, width = mosaic.shape[:2]
    return fields, resize(mosaic, round(width * scale), round(height * scale))


def test_a_wide_field_is_counted_as_its_parts_are(bccd: Path) -> None:
    detector = Detector.load(PRETRAINED, read_card(PRETRAINED), 2)
    fields, mosaic = make_mosaic(bccd, 4, 0.5)
    found = detector.search(mosaic)
    one_by_one = sum(int((detector.find(f).label == 1).sum()) for f in fields)
    assert found.scale.certain
    assert int((found.cells.label == 1).sum()) == pytest.approx(one_by_one, rel=0.15)


def test_a_stated_size_of_cells_is_taken(bccd: Path) -> None:
    detector = Detector.load(PRETRAINED, read_card(PRETRAINED), 2)
    image = read_image(next((bccd / "JPEGImages").iterdir()))
    sized = detector.search(image, cell_px=90)
    assert sized.scale == (90, True)
    small = detector.search(image, cell_px=10)
    assert np.median(sides(small.cells.box)) < 40 < 70 < np.median(sides(sized.cells.box))


def test_pictures_of_no_cell_leave_a_doubt_or_nothing_found() -> None:
    detector = Detector.load(PRETRAINED, read_card(PRETRAINED), 2)
    rng = np.random.default_rng(3)
    ground = np.clip(rng.normal(220, 2, (240, 320, 3)), 0, 255).astype(np.uint8)
    blobs = cv2.GaussianBlur(rng.integers(0, 255, (240, 320, 3)).astype(np.uint8), (0, 0), 12)
    blobs = cv2.normalize(blobs, None, 0, 255, cv2.NORM_MINMAX)
    empty = detector.search(ground)
    assert empty.scale.certain and len(empty.cells.label) == 0
    found = detector.search(blobs)
    assert not found.scale.certain or found.doubts


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


def test_nothing_is_found_in_a_frame_and_no_less_beside_it(bccd: Path) -> None:
    detector = Detector.load(PRETRAINED, read_card(PRETRAINED), 2)
    image = read_image(next((bccd / "JPEGImages").iterdir()))
    framed = cv2.copyMakeBorder(image, 80, 80, 0, 0, cv2.BORDER_CONSTANT)
    plain, found = detector.find(image), detector.find(framed)
    middle = (found.box[:, 1] + found.box[:, 3]) / 2
    assert (middle > 76).all() and (middle < 80 + image.shape[0] + 4).all()
    assert len(found.label) == pytest.approx(len(plain.label), rel=0.2)


def test_a_field_in_fluorescence_is_doubted_and_one_in_bright_field_is_not() -> None:
    detector = Detector.load(PRETRAINED, read_card(PRETRAINED))
    field = read_image(ROOT / "data" / "examples" / "field.jpg")
    glow = 255 - field[..., 1].astype(int)  # cells on black, as acridine orange makes them
    fluorescence = np.dstack([glow // 4, glow, glow // 8]).astype(np.uint8)
    assert "dark field" in [doubt.kind for doubt in detector.search(fluorescence).doubts]
    assert "dark field" not in [doubt.kind for doubt in detector.search(field).doubts]
