"""Cells: how boxes overlap, which of them are slivers, who is whom, how they are drawn."""

from __future__ import annotations

import numpy as np
import pytest

from hematovision.cells.cells import Cells, is_sliver, match, overlap


def test_overlap_by_hand() -> None:
    box = np.array([[0, 0, 10, 10], [20, 20, 30, 30]], float)
    other = np.array([[5, 0, 15, 10], [0, 0, 10, 10]], float)
    assert overlap(box, other) == pytest.approx(np.array([[1 / 3, 1], [0, 0]]))
    assert overlap(box[:0], other).shape == (0, 2)


def test_a_sliver_is_thin_and_at_the_border() -> None:
    box = np.array([[0, 20, 9, 60], [0, 20, 40, 60], [30, 30, 38, 70], [40, 92, 80, 100]], float)
    assert is_sliver(box, 100, 100, 10).tolist() == [True, False, False, True]


def test_a_find_is_matched_once_and_by_the_surest() -> None:
    truth, kind = np.array([[0, 0, 10, 10], [50, 50, 60, 60.0]]), np.array([1, 2])
    found = Cells(np.array([[0, 0, 10, 9], [0, 0, 10, 10], [50, 50, 60, 60.0]]),
                    np.array([1, 1, 1]), np.array([0.6, 0.9, 0.8]))  # fmt: skip
    assert match(found, truth, kind).tolist() == [-1, 0, -1]
    assert match(found, truth[:0], kind[:0]).tolist() == [-1, -1, -1]
