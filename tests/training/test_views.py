"""Views of crops: repeatable, all different, of boxes of any shape."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from hematovision.archive.contents import Split
from hematovision.pictures.images import square_crop
from hematovision.training.crops.strangers import draw_strangers
from hematovision.training.views import augment, draw_views, recolour


@pytest.mark.parametrize("label", ["RBC", "WBC", "Platelets", "Background", "Blast"])
def test_augmented_views(label: str) -> None:
    crop = square_crop(np.random.default_rng(0).integers(0, 256, (50, 80, 3), np.uint8), 64)
    box = np.array([100, 100, 180, 150])

    def views(seed: int) -> list[np.ndarray]:
        rng = np.random.default_rng(seed)
        return [augment(crop.copy(), box, label, rng) for _ in range(20)]

    first, again, other = views(0), views(0), views(1)
    for view in (*first, *other):
        assert (view.shape, view.dtype) == ((64, 64, 3), np.uint8)
    assert all((a == b).all() for a, b in zip(first, again, strict=True))
    assert not any((a == b).all() for a, b in zip(first, other, strict=True))
    assert len({view.tobytes() for view in first}) == 20


@pytest.mark.parametrize("box", [(0, 0, 200, 4), (0, 0, 3, 90), (5, 5, 6, 6), (0, 0, 1000, 1000)])
def test_a_box_of_any_shape_can_be_augmented(box: tuple[int, int, int, int]) -> None:
    segment = np.full((box[3] - box[1], box[2] - box[0], 3), 120, np.uint8)
    crop = square_crop(segment, 64)
    rng = np.random.default_rng(0)
    for _ in range(200):
        assert augment(crop, np.array(box), "RBC", rng).shape == (64, 64, 3)


def test_augmenting_leaves_the_crop_as_it_was() -> None:
    crop = np.random.default_rng(0).integers(0, 256, (64, 64, 3)).astype(np.uint8)
    kept = crop.copy()
    rng = np.random.default_rng(0)
    for _ in range(50):
        augment(crop, np.array([0, 0, 64, 64]), "RBC", rng)
    assert (crop == kept).all()


@pytest.mark.parametrize("size", [1, 3, 100])
def test_how_many_are_drawn_at_a_time_makes_no_difference(
    val: Split, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    some, chosen = Split(*(column[:8] for column in val)), np.array([3, 1, 0, 7, 7, 2, 5, 4])
    views = list(draw_views(some, chosen, [1, 2]))
    strangers = list(draw_strangers(8, some.X, [1]))
    monkeypatch.setattr("hematovision.pictures.images.SLICE", size)
    in_slices = list(draw_views(some, chosen, [1, 2]))
    assert max(map(len, in_slices)) == min(size, 8)
    assert (np.concatenate(in_slices) == np.concatenate(views)).all()
    in_slices = list(draw_strangers(8, some.X, [1]))
    assert max(map(len, in_slices)) == min(size, 8)
    assert (np.concatenate(in_slices) == np.concatenate(strangers)).all()


def test_a_crop_drawn_twice_is_seen_in_two_views(val: Split) -> None:
    (views,) = draw_views(val, np.array([3, 3]), [1])
    assert not (views[0] == views[1]).all()


def test_red_cells_come_in_any_colour_and_the_ground_stays_lighter() -> None:
    crop = np.full((64, 64, 3), (235, 225, 230), np.uint8)
    cv2.circle(crop, (32, 32), 20, (200, 120, 140), -1)
    hues, darker = [], []
    for seed in range(300):
        view = recolour(crop, np.random.default_rng(seed)).astype(float)
        cell, ground = view[24:40, 24:40].mean(axis=(0, 1)), view[:8].mean(axis=(0, 1))
        absorbed = np.log(np.maximum(ground, 1) / np.maximum(cell, 1))
        darker.append(absorbed.sum() > 0)
        hues.append(int(absorbed.argmax()))
    assert np.mean(darker) > 0.98
    assert min(np.bincount(hues, minlength=3)) > 15  # absorbs mostly red, green or blue
