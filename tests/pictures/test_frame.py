"""Frames: found where there is one, nowhere else; no ground, light or cells are taken from them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from conftest import write_png
from drawing import draw_field

from hematovision.cells.cells import Segment
from hematovision.datasets.ground import find_free_area
from hematovision.networks.card import PRETRAINED, read_card
from hematovision.networks.detector import Detector
from hematovision.pictures.frame import enlarge, find_frame
from hematovision.pictures.images import read_image
from hematovision.pictures.light import level_light

BOXES = [
    (label, x, y, x + side, y + side)
    for label, x, y, side in (
        ("RBC", 40, 50, 60), ("RBC", 150, 30, 64), ("RBC", 260, 90, 60), ("RBC", 90, 180, 62),
        ("RBC", 200, 170, 58), ("RBC", 330, 200, 60), ("WBC", 300, 20, 70), ("RBC", 30, 250, 60),
    )
]  # fmt: skip
SMEAR = draw_field(BOXES, (420, 320))


def as_jpeg(picture: np.ndarray) -> np.ndarray:
    """The picture after it was stored: edges ring, even ground doesn't stay even."""
    data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 90])[1]
    return cv2.imdecode(data, cv2.IMREAD_COLOR)


def mask_disc(radius: float, x: float = 0.5, y: float = 0.5, blur: float = 3) -> np.ndarray:
    """How much light a tube lets through: 1 in a disc, 0 outside, (h, w)."""
    height, width = SMEAR.shape[:2]
    disc = np.zeros((height, width), np.float32)
    cv2.circle(disc, (round(x * width), round(y * height)), round(radius * height), 1, -1)
    return cv2.GaussianBlur(disc, (0, 0), blur)


def in_tube(light: np.ndarray, black: float = 6, noise: float = 0) -> np.ndarray:
    dark = black + np.random.default_rng(0).normal(0, noise, SMEAR.shape)
    light = light[..., np.newaxis]
    return as_jpeg(np.clip(SMEAR * light + dark * (1 - light), 0, 255).astype(np.uint8))


def pad(top: int, bottom: int, left: int, right: int, colour: int) -> np.ndarray:
    return as_jpeg(
        cv2.copyMakeBorder(
            SMEAR, top, bottom, left, right, cv2.BORDER_CONSTANT, value=(colour,) * 3
        )
    )


def mask_pad(top: int, bottom: int, left: int, right: int) -> np.ndarray:
    return cv2.copyMakeBorder(
        np.ones(SMEAR.shape[:2], np.float32), top, bottom, left, right, cv2.BORDER_CONSTANT, value=0
    )


FRAMED: dict[str, Callable[[], tuple[np.ndarray, np.ndarray]]] = {
    "disc": lambda: (in_tube(m := mask_disc(0.5)), m),
    "disc off the middle, noise in the black": lambda: (
        in_tube(m := mask_disc(0.6, 0.4, 0.6, 6), 15, 4), m),
    "disc larger than the picture": lambda: (in_tube(m := mask_disc(0.66), 25, 5), m),
    "bars above and below": lambda: (pad(50, 50, 0, 0, 0), mask_pad(50, 50, 0, 0)),
    "bars at the sides": lambda: (pad(0, 0, 30, 30, 0), mask_pad(0, 0, 30, 30)),
    "grey padding on one side": lambda: (pad(0, 60, 0, 0, 114), mask_pad(0, 60, 0, 0)),
    "white padding on two": lambda: (pad(30, 0, 0, 40, 255), mask_pad(30, 0, 0, 40)),
}  # fmt: skip


@pytest.mark.parametrize("kind", FRAMED)
def test_a_frame_is_found_where_it_is(kind: str) -> None:
    picture, light = FRAMED[kind]()
    frame = find_frame(picture)
    assert frame.shape == (-(-picture.shape[0] // 4), -(-picture.shape[1] // 4))
    found = enlarge(frame, picture)
    assert found[light < 0.1].mean() > 0.995  # all of the frame
    assert found[light > 0.99].mean() < 0.08  # of the smear its rim alone


def test_the_black_of_a_vignette_is_a_frame_and_its_twilight_is_smear() -> None:
    height, width = SMEAR.shape[:2]
    y, x = np.mgrid[:height, :width]
    light = np.clip(1.6 - 1.3 * np.hypot(x / width * 2 - 1, y / height * 2 - 1), 0, 1)
    found = enlarge(find_frame(in_tube(light.astype(np.float32), 0)), SMEAR)
    assert found[light < 0.05].mean() > 0.95
    assert not found[light > 0.6].any()


@pytest.mark.parametrize("colour", [(0, 0, 0), (255, 0, 0)])
@pytest.mark.parametrize("where", [(0.62, 0.92), (0.05, 0.1)])
def test_a_scale_bar_and_its_lettering_are_frame(
    colour: tuple[int, int, int], where: tuple[float, float]
) -> None:
    picture, drawn = SMEAR.copy(), np.zeros_like(SMEAR)
    x, y = int(where[0] * 420), int(where[1] * 320)
    for target, ink in ((picture, colour), (drawn, (255, 255, 255))):
        cv2.rectangle(target, (x, y), (x + 110, y + 4), ink, -1)
        cv2.putText(target, "20 um", (x + 15, y - 7), cv2.FONT_HERSHEY_SIMPLEX, 0.7, ink, 2)
    found = enlarge(find_frame(as_jpeg(picture)), picture)
    assert found[drawn[..., 0] > 0].all()
    assert found.mean() < 0.1


def test_plain_fields_have_no_frame() -> None:
    assert not find_frame(SMEAR).any()
    assert not find_frame(as_jpeg(SMEAR)).any()
    overexposed = np.full_like(SMEAR, 255)
    for _, x0, y0, x1, y1 in BOXES:  # ground without any grain, and cells on it
        cv2.circle(overexposed, ((x0 + x1) // 2, (y0 + y1) // 2), (x1 - x0) // 2, (190, 90, 90), -1)
    cv2.circle(overexposed, (0, 0), 60, (40, 10, 45), -1)  # a nucleus in the corner
    assert not find_frame(overexposed).any()
    assert not find_frame(np.full((40, 40, 3), 7, np.uint8)).any()  # no field at all


def test_no_frame_in_any_field_of_bccd(bccd: Path) -> None:
    for path in sorted((bccd / "JPEGImages").iterdir()):
        assert not find_frame(read_image(path)).any(), path.name


@pytest.mark.parametrize("kind", FRAMED)
def test_ground_and_light_are_those_of_the_smear_whatever_frames_it(kind: str) -> None:
    picture, light = FRAMED[kind]()
    top, left = (0, 0) if picture.shape == SMEAR.shape else (
        {"bars above and below": 50, "white padding on two": 30}.get(kind, 0),
        30 if kind == "bars at the sides" else 0,
    )  # fmt: skip
    segments = [
        Segment(label, (x0 + left, y0 + top, x1 + left, y1 + top))
        for label, x0, y0, x1, y1 in BOXES
    ]
    # Every other cell has no box: brightness alone keeps ground off it.
    free = enlarge(find_free_area(picture, segments[::2], 60), picture)
    assert not free[light < 0.75].any()
    for _, (x0, y0, x1, y1) in segments:
        assert free[y0 + 8 : y1 - 8, x0 + 8 : x1 - 8].mean() < 0.02
    plain = find_free_area(SMEAR, [Segment(k, tuple(b)) for k, *b in BOXES[::2]], 60)
    assert free.sum() > 0.25 * (enlarge(plain, SMEAR)).sum()  # and ground is still found
    frame = find_frame(picture)
    levelled = level_light(picture, frame)
    assert (levelled[enlarge(frame, picture)] == 215).all()
    assert abs(int(np.percentile(levelled[light > 0.99], 95)) - 215) <= 4


def test_no_cell_is_found_in_a_frame_and_those_beside_it_are(tmp_path: Path, bccd: Path) -> None:
    """As many in all of several fields: in one alone the size of cells found moves a few of them
    over their threshold."""
    detector = Detector.load(PRETRAINED, read_card(PRETRAINED))

    def count(picture: np.ndarray) -> np.ndarray:
        found = detector.find(picture)
        return found.box[detector.is_counted(found) & (found.label == 1)]

    plain, inside = 0, 0
    for number in (4, 1, 7, 10, 19, 28):
        smear = read_image(bccd / "JPEGImages" / f"BloodImage_{number:05}.jpg")
        framed = cv2.copyMakeBorder(smear, 90, 90, 60, 60, cv2.BORDER_CONSTANT)
        found = count(read_image(write_png(tmp_path / "a.jpg", framed))) - (60, 90, 60, 90)
        centre = (found[:, :2] + found[:, 2:]) / 2
        assert ((centre > 0) & (centre < (640, 480))).all()
        plain, inside = plain + len(count(smear)), inside + len(found)
    assert abs(inside - plain) <= 0.1 * plain
