"""Styles: crops in the colours of another laboratory's cell of the same label."""

from __future__ import annotations

import numpy as np
import pytest

from hematovision.archive.contents import Split
from hematovision.training.crops.styles import collect_styles, measure_style, transfer

LABELS = np.array(["Neutrophil", "Eosinophil"] * 4 + ["Blast"])
LABS = np.array(["a"] * 4 + ["b"] * 4 + ["b"])


@pytest.fixture
def split() -> Split:
    """Eight crops of two types from two laboratories, each pair of a colour of its own, and one of
    a type that only one laboratory has."""
    rng = np.random.default_rng(0)
    hue = {("Neutrophil", "a"): 200, ("Eosinophil", "a"): 120, ("Neutrophil", "b"): 160,
           ("Eosinophil", "b"): 80, ("Blast", "b"): 60}  # fmt: skip
    crops = [rng.normal(hue[of], 12, (48, 48, 3)) for of in zip(LABELS, LABS, strict=True)]
    n = len(LABELS)
    return Split(
        np.clip(crops, 0, 255).astype(np.uint8), np.zeros(n, int), LABELS, LABELS,
        np.tile([0, 0, 48, 48], (n, 1)), LABS,
    )  # fmt: skip


def test_a_cell_takes_the_colours_of_its_own_kind_elsewhere(split: Split) -> None:
    styles, own = collect_styles(split, [0]), measure_style(split.X[0])[0]
    drawn = [styles.restyle(split, 0, np.random.default_rng(k)) for k in range(40)]
    means = np.array([measure_style(crop)[0] for crop in drawn])
    there = measure_style(split.X[4])[0]  # the other laboratory's neutrophils, darker
    assert (means >= own - 0.02).all() and (means <= there + 0.05).all()
    assert 8 < (means.max(axis=1) > own.max() + 0.01).sum() < 36


def test_what_no_other_laboratory_has_stays_as_it_is(split: Split) -> None:
    styles = collect_styles(split, [0])
    assert all(
        (styles.restyle(split, 8, np.random.default_rng(k)) == split.X[8]).all() for k in range(9)
    )


def test_all_the_way_is_the_other_crops_mean_and_spread(split: Split) -> None:
    mean, spread = measure_style(split.X[5])
    found = measure_style(transfer(split.X[1], mean, spread, 1.0))
    assert np.allclose(found[0], mean, atol=0.03) and np.allclose(found[1], spread, atol=0.03)
    assert (transfer(split.X[1], mean, spread, 0.0) == split.X[1]).mean() > 0.95
