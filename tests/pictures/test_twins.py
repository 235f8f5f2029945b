"""Twins: pictures that show the same have looks that are near, others haven't."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from hematovision.pictures.images import read_image
from hematovision.pictures.twins import NEAR_AMONG_MANY, find_twins, link, look


def as_jpeg(picture: np.ndarray, quality: int) -> np.ndarray:
    data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return cv2.imdecode(data, cv2.IMREAD_COLOR)


def turn(picture: np.ndarray, degrees: float) -> np.ndarray:
    height, width = picture.shape[:2]
    way = cv2.getRotationMatrix2D((width / 2, height / 2), degrees, 1)
    return cv2.warpAffine(picture, way, (width, height), borderMode=cv2.BORDER_REFLECT)


CHANGES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "packed anew": lambda p: as_jpeg(p, 60),
    "relit": lambda p: np.clip(p * [0.8, 0.9, 0.7] + 10, 0, 255).astype(np.uint8),
    "halved": lambda p: cv2.resize(p, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA),
    "mirrored": np.fliplr,
    "upside down": lambda p: np.rot90(p, 2),
    "on its side": np.rot90,
    "turned a little": lambda p: turn(p, 7),
}


@pytest.fixture(scope="module")
def pictures(bccd: Path) -> list[np.ndarray]:
    return [read_image(path) for path in sorted((bccd / "JPEGImages").iterdir())[:120:4]]


def test_different_fields_of_one_laboratory_are_no_twins(pictures: list[np.ndarray]) -> None:
    assert find_twins([look(p) for p in pictures]) == []


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_picture_is_its_sources_twin(change: str, pictures: list[np.ndarray]) -> None:
    looks = [look(p) for p in pictures]
    changed = [look(np.ascontiguousarray(CHANGES[change](p))) for p in pictures]
    pairs = find_twins(looks, changed)
    assert all(i == j for i, j in pairs)
    assert len(set(pairs)) >= 0.85 * len(pictures)


def test_pictures_without_a_look_have_no_twin() -> None:
    one = look(np.random.default_rng(0).integers(0, 256, (60, 80, 3), np.uint8))
    assert find_twins(["", one, "", one]) == [(1, 3)]
    assert find_twins([], [one]) == find_twins(["", ""]) == []
    assert find_twins([one], [one], NEAR_AMONG_MANY) == [(0, 0)]


def test_linked_things_share_the_least_of_their_numbers() -> None:
    assert link(6, [(1, 2), (4, 5), (2, 5)]) == [0, 1, 1, 3, 1, 1]
