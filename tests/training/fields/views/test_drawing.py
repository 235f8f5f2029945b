"""What the network for fields is shown, and the answer wanted."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from drawing import RED, TYPICAL, make_training_field

from hematovision.training.fields.views.drawing import ViewInputs, draw_target, draw_view
from hematovision.training.fields.views.overlays import cut_cells
from hematovision.training.fields.views.windows import View


def test_ground_that_may_hide_a_cell_is_unsure_and_boxed_cells_are_not() -> None:
    unsure = make_training_field().unsure()
    assert unsure[10, 10] == 0  # in the boxed red cell
    assert unsure[30, 5] == 1  # no box, and not free
    assert unsure[30, 50] == 0  # free


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
    # Of a label that is boxed nowhere only its cells are learnt, not where it isn't.
    known = draw_target(view, ~RED, np.array([True, False, False])).known[..., 0]
    assert known[14, 15] == 1 and (known[20:] == 0).all()


def test_slivers_that_were_found_are_taken_for_no_cell() -> None:
    source = make_training_field([])
    assert source.unsure()[30, 5] == 1
    dismissed = replace(source, dismissed=np.array([[0, 100, 40, 140.0]]))
    assert dismissed.unsure()[30, 5] == 0
