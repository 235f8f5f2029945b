"""Light: one colour of ground, densities in which stains add up."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from drawing import draw_field

from hematovision.pictures.frame import find_frame
from hematovision.pictures.images import read_image
from hematovision.pictures.light import DENSITY, GROUND, is_dark_field, level_light


def test_the_light_is_levelled_whatever_its_colour() -> None:
    field = draw_field([("RBC", 40, 40, 90, 90)])
    for gain in ((1, 1, 1), (0.6, 0.7, 0.5)):
        lit = np.clip(field * np.array(gain), 0, 255).astype(np.uint8)
        ground = np.median(level_light(lit).reshape(-1, 3), axis=0)
        assert ground == pytest.approx(np.full(3, round(255 * GROUND)), abs=4)


def test_densities_of_two_filters_add_up() -> None:
    light = np.arange(256) / 255
    for i in (64, 128, 192):
        both = round(255 * light[i] * light[200])
        assert DENSITY[i] + DENSITY[200] == pytest.approx(DENSITY[both], abs=0.02)
    assert DENSITY[255] == 0 and np.isfinite(DENSITY).all()


def as_fluorescence(field: np.ndarray) -> np.ndarray:
    """Cells that glow on black, as acridine orange makes them."""
    glow = 255 - field[..., 1].astype(int)
    return np.dstack([glow // 4, glow, glow // 8]).clip(0, 255).astype(np.uint8)


def test_no_bright_field_is_taken_for_a_dark_one() -> None:
    field = draw_field([("RBC", 40, 40, 90, 90), ("WBC", 150, 120, 230, 200)])
    rng = np.random.default_rng(0)
    for gain in (1, 0.6, 0.3):  # underexposed
        lit = np.clip(field * gain + rng.normal(0, 2, field.shape), 0, 255).astype(np.uint8)
        assert not is_dark_field(lit)
    assert not is_dark_field(np.full((60, 80, 3), 255, np.uint8))
    framed = cv2.copyMakeBorder(field, 150, 150, 150, 150, cv2.BORDER_CONSTANT)
    assert not is_dark_field(framed, find_frame(framed))


@pytest.mark.parametrize("make", [lambda field: 255 - field, as_fluorescence])
def test_a_field_that_is_dark_where_it_is_smooth_is_told(
    make: Callable[[np.ndarray], np.ndarray],
) -> None:
    field = draw_field([("RBC", 40, 40, 90, 90), ("WBC", 150, 120, 230, 200)])
    assert is_dark_field(make(field))


def test_no_field_of_bccd_is_a_dark_one_and_most_are_in_fluorescence(bccd: Path) -> None:
    images = [read_image(path) for path in sorted((bccd / "JPEGImages").iterdir())[::6]]
    assert not any(is_dark_field(image) for image in images)
    glowing = [is_dark_field(as_fluorescence(image)) for image in images]
    assert np.mean(glowing) > 0.9  # where cells fill the middle, they are the smoothest
