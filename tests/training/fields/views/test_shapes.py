"""Shapes: cells come crenated, drawn out and bent, and dirt lies beside them."""

from __future__ import annotations

import cv2
import numpy as np

from hematovision.training.fields.views.shapes import crenate, misshape, soil


def draw_disc() -> np.ndarray:
    image = np.full((160, 160, 3), 225, np.uint8)
    cv2.circle(image, (80, 80), 40, (120, 60, 90), -1)
    return image


def measure_box(image: np.ndarray) -> np.ndarray:
    """xmin, ymin, xmax, ymax of what is dark."""
    y, x = np.nonzero(image[..., 1] < 140)
    return np.array([x.min(), y.min(), x.max(), y.max()])


def test_a_crenated_cell_stays_in_its_box_with_a_wavy_outline() -> None:
    plain = draw_disc()
    for seed in range(5):
        wavy = crenate(plain, 80, np.random.default_rng(seed))
        assert np.abs(measure_box(wavy) - measure_box(plain)).max() <= 10
        changed = np.abs(wavy.astype(int) - plain).max(axis=2) > 40
        y, x = np.nonzero(changed)
        assert len(y) > 50  # and at the outline alone
        assert np.abs(np.hypot(y - 80, x - 80) - 40).max() < 14


def test_a_misshapen_cell_is_as_large_as_its_mask() -> None:
    disc = draw_disc()[40:121, 40:121].astype(np.float32)
    y, x = np.mgrid[-1:1:81j, -1:1:81j]
    mask = (np.hypot(x, y) < 1).astype(np.float32)[..., np.newaxis]
    narrow = 0
    for seed in range(40):
        patch, cover = misshape(disc, mask, np.random.default_rng(seed))
        assert patch.shape[:2] == cover.shape[:2] and cover.shape[2] == 1
        for axis in (0, 1):  # the mask reaches all four sides
            along = cover[..., 0].max(axis=axis)
            assert along[0] > 0.2 and along[-1] > 0.2
        narrow += patch.shape[1] < 0.8 * patch.shape[0]
    assert narrow > 15


def test_dirt_darkens_some_of_the_ground_and_lightens_nothing() -> None:
    plain = np.full((200, 260, 3), 225, np.uint8)
    for seed in range(10):
        dirty = soil(plain, 60, np.random.default_rng(seed))
        assert (dirty <= plain).all()
        assert 0 < (dirty < 200).any(axis=2).mean() < 0.2
