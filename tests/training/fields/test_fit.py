"""The network for fields: its losses, what is drawn for it, its card."""

from __future__ import annotations

import json

import numpy as np
import pytest
from conftest import SampleRun
from drawing import LABELS, RED

from hematovision.training.fields.fit import box_loss, draw_fields, heat_loss
from hematovision.training.fields.validation import choose_judges
from hematovision.training.fields.views.drawing import draw_target
from hematovision.training.fields.views.windows import View


def test_losses_are_nothing_for_the_right_answer_and_blind_to_what_is_unknown() -> None:
    tf = pytest.importorskip("tensorflow")
    view = View(np.zeros((160, 160, 3), np.uint8), np.array([[20, 20, 100, 100.0]]),
                  np.array([1]), np.zeros((40, 40), np.uint8))  # fmt: skip
    heat, known, corner, weight = (a[np.newaxis] for a in draw_target(view, ~RED))
    perfect = (heat == 1).astype(np.float32)
    wrong = np.full_like(heat, 0.5)
    assert float(heat_loss(perfect, heat, known)) < 0.01
    assert float(heat_loss(wrong, heat, known)) > 10
    assert float(heat_loss(wrong, heat, np.zeros_like(known))) == 0
    place = np.arange(40) + 0.5
    reach = np.stack(
        [np.tile(place - 5, (40, 1)), np.tile(place[:, None] - 5, (1, 40)),
         np.tile(25 - place, (40, 1)), np.tile(25 - place[:, None], (1, 40))], axis=-1
    )[np.newaxis].astype(np.float32)  # fmt: skip
    assert float(box_loss(reach, corner, weight)) < 1e-4
    assert float(box_loss(tf.ones_like(reach), corner, weight)) > 0.5


def test_laboratories_are_drawn_evenly_and_their_fields_in_turn() -> None:
    labs = ["a"] * 50 + ["b"] * 4 + ["c"] * 10
    drawn = draw_fields(labs, 64, np.random.default_rng(0))
    count = np.bincount(drawn, minlength=64)
    assert [count[:50].sum(), count[50:54].sum(), count[54:].sum()] == [22, 21, 21]
    assert count[:50].max() == 1
    assert set(count[50:54].tolist()) == {5, 6}
    assert len(draw_fields(["a"], 3, np.random.default_rng(0))) == 3


def test_no_laboratory_judges_by_more_fields_than_it_may() -> None:
    labs = np.array(["a"] * 150 + ["b"] * 20)
    chosen = choose_judges(labs, 1)
    assert (chosen[:150].sum(), chosen[150:].sum()) == (100, 20)
    assert (chosen == choose_judges(labs, 1)).all()


def test_the_card_says_what_the_detector_was_made_of(sample_run: SampleRun) -> None:
    card = json.loads((sample_run.model / "hematovision.json").read_text())["fields"]
    assert card["labels"] == LABELS
    assert set(card["thresholds"]) == set(LABELS)
    assert all(0 < t < 1 for t in card["thresholds"].values())
    assert card["typical_side"]["RBC"] == 1
    assert card["typical_side"]["Platelets"] < 0.8 < 1.2 < card["typical_side"]["WBC"]
