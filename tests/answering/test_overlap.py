"""Tests of overlaps: where a field lies in an earlier one, and which cells are counted once."""

from __future__ import annotations

import importlib.util
import sys
from itertools import combinations

import numpy as np
import pytest
from conftest import ROOT

from hematovision.answering.overlap import Shift, find_again, find_shift, make_small
from hematovision.cells.cells import Cells
from hematovision.networks.card import PRETRAINED, read_card
from hematovision.networks.detector import Detector

WINDOW = 480, 640
# Where windows lie in the large field: top, left. The first and the last share hardly anything.
PLACES = [(0, 0), (0, 280), (0, 560), (210, 560), (420, 560)]


@pytest.fixture(scope="module")
def large() -> np.ndarray:
    """A field of four times the usual size, drawn as the sample's are."""
    spec = importlib.util.spec_from_file_location("slides", ROOT / "tools" / "make_sample.py")
    slides = importlib.util.module_from_spec(spec)
    sys.modules["slides"] = slides
    spec.loader.exec_module(slides)
    slides.WIDTH, slides.HEIGHT = 1200, 900
    rng = np.random.default_rng(3)
    density, _ = slides.draw_slide(rng, slides.place_cells(rng))
    return slides.light_field(rng, density)[..., ::-1]


def cut_window(large: np.ndarray, top: int, left: int, seed: int) -> np.ndarray:
    """A window as a camera would see it: the light falls askew, and there is noise."""
    height, width = WINDOW
    window = large[top : top + height, left : left + width].astype(float)
    rng = np.random.default_rng(seed)
    slope = np.linspace(0.88, 1.08, width)[np.newaxis, :, np.newaxis]
    noisy = window * (slope if seed % 2 else slope[:, ::-1]) + rng.normal(0, 5, window.shape)
    return noisy.clip(0, 255).astype(np.uint8)


def test_shifts_are_found_whatever_the_light_and_none_where_nothing_is_shared(
    large: np.ndarray,
) -> None:
    smalls = [make_small(cut_window(large, *place, seed)) for seed, place in enumerate(PLACES)]
    for i, j in combinations(range(len(PLACES)), 2):
        (top, left), (top1, left1) = PLACES[i], PLACES[j]
        down, right = top1 - top, left1 - left
        share = max(0, 1 - abs(right) / 640) * max(0, 1 - abs(down) / 480)
        shift = find_shift(smalls[i], smalls[j])
        if share < 0.05:
            assert shift is None, (i, j)
        elif share > 0.15 or shift:
            assert shift is not None, (i, j)
            assert (shift.x, shift.y) == pytest.approx((right, down), abs=2)
            assert shift.share == pytest.approx(share, abs=0.01)
    assert find_shift(smalls[0], make_small(large)) is None  # of another size
    blank = make_small(np.full((*WINDOW, 3), 220, np.uint8))
    assert find_shift(smalls[0], blank) is None and find_shift(blank, blank) is None


def test_an_eyepiece_is_no_overlap(large: np.ndarray) -> None:
    y, x = np.mgrid[:480, :640]
    outside = (x - 320) ** 2 + (y - 240) ** 2 > 230**2
    views = [cut_window(large, *PLACES[k], 0) for k in (0, 4)]
    for view in views:
        view[outside] = 4
    assert find_shift(*map(make_small, views)) is None


def test_cells_are_one_where_half_of_the_smaller_is_shared() -> None:
    earlier = Cells(
        np.array([[10, 10, 50, 50], [60, 10, 100, 50], [200, 200, 240, 240.0]]),
        np.array([1, 1, 2]),
        np.ones(3),
    )
    # Moved by 5, 5: the first; cut to half of its width; another label; far away.
    later = Cells(
        np.array([[6, 4, 46, 44], [60, 6, 78, 44], [196, 196, 236, 236], [400, 0, 440, 40.0]]),
        np.array([1, 1, 1, 2]),
        np.ones(4),
    )
    assert sorted(find_again(earlier, later, Shift(5, 5, 0.9))) == [(0, 0), (1, 1)]
    nothing = Cells(np.empty((0, 4)), np.empty(0, int), np.empty(0))
    assert find_again(nothing, later, Shift(0, 0, 1)) == []


def test_windows_together_count_what_the_large_field_does(large: np.ndarray) -> None:
    detector = Detector.load(PRETRAINED, read_card(PRETRAINED), threads=2)
    places = [(top, left) for top in (0, 210, 420) for left in (0, 280, 560)]

    def count(image: np.ndarray) -> Cells:
        cells = detector.find(image)
        return cells.pick(detector.is_counted(cells))

    whole = len(count(large).label)
    before: list[tuple] = []
    union = 0
    for seed, place in enumerate(places):
        view = cut_window(large, *place, seed)
        small, cells = make_small(view), count(view)
        again = {
            j
            for earlier, found in before
            if (shift := find_shift(earlier, small))
            for _, j in find_again(found, cells, shift)
        }
        union += len(cells.label) - len(again)
        before.append((small, cells))
    assert union == pytest.approx(whole, rel=0.03)
