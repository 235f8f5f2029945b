"""The network for fields: its losses, its thresholds, its card."""

from __future__ import annotations

import json

import numpy as np
import pytest
from conftest import SampleRun
from drawing import LABELS, RED, make_training_field

from hematovision.cells import Cells
from hematovision.training.field_fit import box_loss, choose_thresholds, heat_loss
from hematovision.training.field_views import View, draw_target


def test_losses_are_nothing_for_the_right_answer_and_blind_to_what_is_unknown() -> None:
    tf = pytest.importorskip("tensorflow")
    view = View(np.zeros((160, 160, 3), np.uint8), np.array([[20, 20, 100, 100.0]]),
                  np.array([1]), np.zeros((40, 40), np.uint8))  # fmt: skip
    heat, known, corner, weight = (a[np.newaxis] for a in draw_target(view, RED))
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


def test_the_threshold_overlooks_finds_where_boxes_may_be_missing() -> None:
    source = make_training_field()
    box = np.array([[20, 20, 60, 60], [0, 90, 40, 130], [170, 90, 210, 130.0]])
    found = Cells(box, np.array([1, 1, 1]), np.array([0.5, 0.9, 0.3]))
    assert choose_thresholds([found], [source], RED)[1] == 0.5
    # Where no box is ever missing, the sure find without one counts: both have to be taken.
    assert choose_thresholds([found], [source], ~RED)[1] == 0.5
    assert choose_thresholds([found.pick(np.array([1, 2]))], [source], RED).tolist()[0] == 0.5


def test_the_card_says_what_the_detector_was_made_of(sample_run: SampleRun) -> None:
    card = json.loads((sample_run.model / "hematovision.json").read_text())["fields"]
    assert card["labels"] == LABELS
    assert set(card["thresholds"]) == set(LABELS)
    assert all(0 < t < 1 for t in card["thresholds"].values())
    assert card["typical_side"]["RBC"] == 1
    assert card["typical_side"]["Platelets"] < 0.8 < 1.2 < card["typical_side"]["WBC"]
