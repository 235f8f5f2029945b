"""Stains: a window's cells are coloured alike, and nuclei stay darker than the red cells."""

from __future__ import annotations

import cv2
import numpy as np

from hematovision.training.fields.views.stains import saturate, stain_anew, stain_far

PALE, PINK, PURPLE = (225, 225, 225), (200, 120, 140), (90, 60, 150)


def draw_window() -> np.ndarray:
    """Ground, two red cells of one colour, and a nucleus."""
    image = np.full((120, 160, 3), PALE, np.uint8)
    for x, colour in ((40, PINK), (120, PINK), (80, PURPLE)):
        cv2.circle(image, (x, 60), 16, colour, -1)
    return image


def test_cells_of_one_colour_keep_one_colour_and_nuclei_stay_darker() -> None:
    darker = 0
    for seed in range(60):
        seen = stain_far(draw_window(), np.random.default_rng(seed)).astype(float)
        assert seen.shape == (120, 160, 3)
        left, right, nucleus = (
            seen[50:70, x - 10 : x + 10].mean(axis=(0, 1)) for x in (40, 120, 80)
        )
        shade = 0.4 * seen.mean()  # light may be uneven
        assert np.abs(left - right).max() < shade
        darker += nucleus.mean() < (left.mean() + right.mean()) / 2
    assert darker > 50


def test_red_cells_come_in_many_colours() -> None:
    drawn = np.array([
        stain_far(draw_window(), np.random.default_rng(seed))[50:70, 30:50].mean(axis=(0, 1))
        for seed in range(60)
    ])  # fmt: skip
    assert (drawn.max(axis=0) - drawn.min(axis=0) > 100).all()


def test_the_same_seed_stains_alike() -> None:
    one, same = (stain_anew(draw_window(), np.random.default_rng(5)) for _ in range(2))
    assert (one == same).all()


def test_saturation_lifts_what_is_pale_and_keeps_nothing_and_the_top() -> None:
    density = np.linspace(0, 1, 101, dtype=np.float32)[:, np.newaxis, np.newaxis].repeat(3, axis=2)
    flat = saturate(density, 3.0)
    assert flat[0].max() == 0 and abs(float(flat[-1].max()) - 1) < 0.05
    assert (flat[1:-3] > density[1:-3]).all() and (np.diff(flat[:, 0, 0]) > 0).all()
