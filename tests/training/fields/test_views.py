"""What the network for fields is shown: windows, cells laid over, the answer wanted."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from drawing import COLOURS, GROUND_COLOUR, LABELS, RED, TYPICAL, make_training_field

from hematovision.pictures.light import GROUND
from hematovision.training.fields.views import (
    View,
    ViewInputs,
    choose_cells,
    cut_cells,
    cut_window,
    draw_target,
    draw_view,
    flip,
    lay_over,
)


def test_ground_that_may_hide_a_cell_is_unsure_and_boxed_cells_are_not() -> None:
    unsure = make_training_field().unsure()
    assert unsure[10, 10] == 0  # in the boxed red cell
    assert unsure[30, 5] == 1  # no box, and not free
    assert unsure[30, 50] == 0  # free


def test_boxes_of_a_window_follow_the_picture() -> None:
    source = make_training_field()
    for seed in range(8):
        rng = np.random.default_rng(seed)
        view, zoom = cut_window(source, (192, 256), (0.5, 0.8), rng)
        view = flip(view, rng)
        assert view.image.shape == (192, 256, 3)
        assert view.unsure.shape == (48, 64)
        assert 0.4 < zoom < 2.5
        for (x0, y0, x1, y1), k in zip(view.box.astype(int), view.label, strict=True):
            middle = view.image[(y0 + y1) // 2, (x0 + x1) // 2].astype(int)
            distance = {n: np.abs(middle - c).sum() for n, c in COLOURS.items()}
            distance["ground"] = np.abs(middle - round(255 * GROUND)).sum()
            if min(x1 - x0, y1 - y0) > 25:
                assert min(distance, key=distance.get) != "ground", (k, middle, GROUND_COLOUR)


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


def test_the_same_seed_draws_the_same_view() -> None:
    source = make_training_field()
    inputs = ViewInputs(cut_cells([source], 3, np.random.default_rng(0)), TYPICAL, RED)
    one, same, other = (draw_view(source, inputs, 1, [seed, 0]) for seed in (1, 1, 2))
    assert all((a == b).all() for a, b in zip(one, same, strict=True))
    assert (one[0] != other[0]).any()


def test_the_wanted_answer_is_one_at_centres_and_unknown_where_a_cell_may_be() -> None:
    view = View(
        np.zeros((160, 160, 3), np.uint8),
        np.array([[20, 20, 100, 100], [52, 50, 70, 68]], float),
        np.array([1, 0]),
        np.pad(np.ones((40, 10), np.uint8), ((0, 0), (30, 0))),
    )
    heat, known, corner, weight = draw_target(view, ~RED)
    assert heat.shape == (40, 40, 3) and heat[..., 1].max() == 1 and heat[..., 2].max() == 0
    assert heat[14:16, 14:16, 1].max() == 1 and heat[14:16, 14:16, 0].max() == 1
    assert (known[:, 30:, 1] == 0).all() and (known[:, :30, 1] == 1).all()
    assert (known[..., 0] == 1).all()
    assert corner[14, 15].tolist() == [13, 12.5, 17.5, 17]  # the small one lies on top
    assert weight.sum() > 0


def test_slivers_that_were_found_are_taken_for_no_cell() -> None:
    source = make_training_field([])
    assert source.unsure()[30, 5] == 1
    dismissed = replace(source, dismissed=np.array([[0, 100, 40, 140.0]]))
    assert dismissed.unsure()[30, 5] == 0
