"""Cells laid over fields: boxed, showing enough, and what a blown-up one hides goes with it."""

from __future__ import annotations

import numpy as np
import pytest
from drawing import LABELS, RED, TYPICAL, make_training_field

from hematovision.training.fields.views import overlays
from hematovision.training.fields.views.overlays import (
    MOST_HIDDEN,
    choose_cells,
    cut_cells,
    lay_over,
    measure_hidden,
)
from hematovision.training.fields.views.windows import View, cut_window


def test_laid_over_cells_are_boxed_and_show_enough() -> None:
    source = make_training_field()
    cells = cut_cells([source], 3, np.random.default_rng(0))
    assert [len(c) for c in cells[source.lab]] == [1, 1, 1]
    cells = choose_cells(cells, source.lab, np.random.default_rng(0))
    added = 0
    for seed in range(20):
        view, zoom = cut_window(source, (288, 352), (0.75, 1.3), np.random.default_rng(seed))
        before = view.image.copy()
        crowd = lay_over(view, zoom, cells, TYPICAL, RED, np.random.default_rng(seed))
        assert (view.image == before).all()
        new = crowd.box[len(view.box) :]
        added += len(new)
        assert (new >= 0).all() and (new[:, 2:] <= (352, 288)).all()
        assert (new[:, 2:] > new[:, :2]).all()
        for (x0, y0, x1, y1), k in zip(new.astype(int), crowd.label[len(view.box) :], strict=True):
            if LABELS[k] == "RBC":  # it only darkens
                was = before[y0:y1, x0:x1].astype(int).sum()
                assert crowd.image[y0:y1, x0:x1].astype(int).sum() < was * 1.01
    assert added > 20


def test_a_blown_up_cell_takes_the_place_of_the_red_ones_that_it_hides(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(overlays, "LARGEST", 4.0)
    red, white = LABELS.index("RBC"), LABELS.index("WBC")
    x, y = np.meshgrid(np.arange(0, 320, 40), np.arange(0, 240, 40))
    rows = np.stack([x, y, x + 40, y + 40], axis=-1).reshape(-1, 4).astype(float)
    image = np.full((240, 320, 3), 200, np.uint8)
    for x0, y0, x1, y1 in rows.astype(int):
        image[y0 + 4 : y1 - 4, x0 + 4 : x1 - 4] = (180, 90, 90)
    crowd = View(image, rows, np.full(len(rows), red), np.zeros((60, 80), np.uint8))
    cells: list[list[np.ndarray]] = [[] for _ in LABELS]
    cells[white] = [np.full((150, 150, 3), 40, np.uint8)]
    pushed = 0
    for seed in range(30):
        full = lay_over(crowd, 0.5, cells, TYPICAL, RED, np.random.default_rng(seed))
        for new in full.box[full.label == white]:
            others = full.box[full.label == red]
            assert (measure_hidden(new, others) <= MOST_HIDDEN).all()
            pushed += len(rows) - len(others)
        # What stays looks as it did, where no other cell lies on it.
        for x0, y0, x1, y1 in full.box[full.label == red].astype(int):
            if measure_hidden(np.array([x0, y0, x1, y1]), full.box[full.label == white]).sum() == 0:
                middle = np.s_[(y0 + y1) // 2, (x0 + x1) // 2]
                assert np.abs(full.image[middle].astype(int) - image[middle]).max() <= 1
    assert pushed > 20
