"""Pictures: read, refused, squared, scaled to [0, 1] and back, brought to one light."""

from __future__ import annotations

import re
from pathlib import Path

import cv2
import numpy as np
import pytest
from conftest import write_png
from drawing import draw_field

from hematovision.console import UserError
from hematovision.images import (
    GROUND,
    level_light,
    read_image,
    scale_pixels,
    square_crop,
    unscale_pixels,
)


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".bmp", ".tif", ".webp"])
@pytest.mark.parametrize("share", [0.4, 0.98])
def test_an_image_cut_short_is_refused(tmp_path: Path, suffix: str, share: float) -> None:
    image = np.random.default_rng(1).integers(0, 256, (90, 120, 3), np.uint8)
    content = cv2.imencode(suffix, image)[1].tobytes()
    path = tmp_path / f"field{suffix}"
    path.write_bytes(content)
    assert read_image(path).shape == image.shape
    path.write_bytes(content[: int(share * len(content))])
    # OpenCV 4 would decode half a JPEG or PNG; OpenCV 5 refuses it, but doesn't say why.
    why = "cut short" if suffix in (".jpg", ".png") else "not an image"
    with pytest.raises(UserError, match=f"{re.escape(str(path))}: .*{why}"):
        read_image(path)


GREY = np.arange(48, dtype=np.uint8).reshape(6, 8) * 5


@pytest.mark.parametrize(
    ("stored", "wanted"),
    [
        pytest.param(GREY, np.dstack([GREY] * 3), id="grey"),
        pytest.param(GREY.astype(np.uint16) * 257, np.dstack([GREY] * 3), id="16 bit grey"),
        pytest.param(
            np.dstack([GREY, GREY // 2, GREY // 3]).astype(np.uint16) * 257,
            np.dstack([GREY, GREY // 2, GREY // 3]),
            id="16 bit colour",
        ),
        pytest.param(
            np.dstack([GREY, GREY // 2, GREY // 3, np.full_like(GREY, 9)]),
            np.dstack([GREY, GREY // 2, GREY // 3]),
            id="RGBA",
        ),
    ],
)
def test_every_kind_of_png_becomes_8_bit_rgb(
    tmp_path: Path, stored: np.ndarray, wanted: np.ndarray
) -> None:
    write_png(tmp_path / "a.png", stored)
    image = read_image(tmp_path / "a.png")
    assert image.dtype == np.uint8
    np.testing.assert_array_equal(image, wanted)


def test_all_256_levels_of_a_pixel_come_back() -> None:
    levels = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1)
    scaled = scale_pixels(levels)
    assert (scaled.min(), scaled.max()) == (0, 1)
    for kind in (np.float16, np.float32, np.float64):
        assert (unscale_pixels(scaled.astype(kind)) == levels).all(), kind


def test_scaled_pixels_give_all_256_levels_back() -> None:
    levels = np.arange(256, dtype=np.uint8)
    scaled = scale_pixels(levels)
    assert scaled.dtype.kind == "f"
    assert (scaled.min(), scaled.max()) == (0, 1)
    assert np.abs(scaled.astype(float) - levels / 255).max() < 3e-4
    np.testing.assert_array_equal(np.rint(scaled.astype(np.float32) * 255), levels)


@pytest.mark.parametrize(
    "shape",
    [(1, 1), (1, 640), (480, 1), (2, 500), (96, 96), (97, 95), (17, 200), (600, 300), (3, 4)],
)
@pytest.mark.parametrize("size", [32, 96, 97])
def test_square_crop_always_gives_the_shape(shape: tuple[int, int], size: int) -> None:
    segment = np.full((*shape, 3), (10, 120, 250), np.uint8)
    crop = square_crop(segment, size)
    assert crop.shape == (size, size, 3)
    assert crop.dtype == np.uint8
    assert (crop == (10, 120, 250)).all()  # nothing but the segment's own pixels


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("scale", [1, 4])
def test_square_crop_keeps_proportions(turned: bool, scale: int) -> None:
    # A disc in a segment twice as wide as high, with the left half of its ground darker.
    segment = np.full((64 * scale, 128 * scale, 3), 200, np.uint8)
    segment[:, : 64 * scale] = 100
    cv2.circle(segment, (64 * scale, 32 * scale), 24 * scale, (0, 0, 0), -1)
    crop = square_crop(segment.transpose(1, 0, 2) if turned else segment, 96)
    crop = crop.transpose(1, 0, 2) if turned else crop
    rows, columns = np.nonzero(crop[..., 0] < 50)
    assert abs(np.ptp(rows) - np.ptp(columns)) <= 1  # still a disc
    assert abs(np.ptp(columns) - 96 * 48 / 128) <= 2
    assert abs(rows.mean() - 47.5) <= 1 and abs(columns.mean() - 47.5) <= 1  # in the middle
    np.testing.assert_array_equal(crop[0], crop[23])  # its edge repeated above ...
    np.testing.assert_array_equal(crop[-1], crop[-24])  # ... and below
    assert (crop[0, :40] == 100).all() and (crop[0, 56:] == 200).all()


def test_the_light_is_levelled_whatever_its_colour() -> None:
    field = draw_field([("RBC", 40, 40, 90, 90)])
    for gain in ((1, 1, 1), (0.6, 0.7, 0.5)):
        lit = np.clip(field * np.array(gain), 0, 255).astype(np.uint8)
        ground = np.median(level_light(lit).reshape(-1, 3), axis=0)
        assert ground == pytest.approx(np.full(3, round(255 * GROUND)), abs=4)
