"""Light: one colour of ground, densities in which stains add up."""

from __future__ import annotations

import numpy as np
import pytest
from drawing import draw_field

from hematovision.pictures.light import DENSITY, GROUND, level_light


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
