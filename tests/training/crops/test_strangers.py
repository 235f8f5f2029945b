"""Strangers: pictures of no cell, of every kind, repeatable, all different."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from hematovision.training.crops.strangers import KINDS, draw_strangers, shuffle_tiles

CROPS = np.random.default_rng(0).integers(0, 256, (3, 64, 64, 3)).astype(np.uint8)


@pytest.mark.parametrize("kind", dict.fromkeys(KINDS), ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("size", [32, 97])
def test_every_kind_can_be_drawn_at_any_size(
    kind: Callable[[int, np.random.Generator], np.ndarray], size: int
) -> None:
    pictures = [kind(size, np.random.default_rng(seed)) for seed in range(40)]
    assert all(picture.shape == (size, size, 3) for picture in pictures)
    assert all(np.isfinite(picture).all() for picture in pictures)
    assert len({np.asarray(picture).tobytes() for picture in pictures}) > 30


def test_the_same_seed_gives_the_same_pictures_and_another_others() -> None:
    first, again, other = (
        np.concatenate(list(draw_strangers(300, CROPS, seed))) for seed in ([1], [1], [2])
    )
    assert (first.shape, first.dtype) == ((300, 64, 64, 3), np.uint8)
    assert (first == again).all()
    assert not (first == other).all(axis=(1, 2, 3)).any()


def test_shuffled_tiles_keep_the_colours_and_lose_the_place() -> None:
    ramp = np.repeat(np.arange(60, dtype=np.uint8)[:, np.newaxis, np.newaxis], 60, axis=1)
    crop = np.repeat(4 * ramp, 3, axis=2)
    shuffled = shuffle_tiles(crop, np.random.default_rng(0))
    assert shuffled.shape == crop.shape
    assert (np.sort(shuffled, axis=None) == np.sort(crop, axis=None)).mean() > 0.9
    assert not (shuffled == crop).all()
