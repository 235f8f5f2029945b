"""The network for fields gone on with: what it knew, and isn't shown, is shown by itself."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from conftest import ROOT

from hematovision.cells.cells import overlap
from hematovision.networks.card import PRETRAINED, read_card
from hematovision.networks.detector import NAME, Detector, find_in_field, run_network
from hematovision.networks.litert import Network
from hematovision.pictures.images import read_image
from hematovision.training.fields.fields import TrainingField
from hematovision.training.fields.known import recall_known

LABELS = ["Platelets", "RBC", "WBC"]


@pytest.fixture(scope="module")
def counted() -> tuple[TrainingField, dict[str, float]]:
    """A test field of BCCD, in place of what was annotated the cells that are found in it from a
    little below the card's thresholds up; and the thresholds from which they are."""
    path, card = ROOT / "data" / "examples" / "field.jpg", read_card(PRETRAINED)
    image = read_image(path)
    nowhere = np.zeros((-(-image.shape[0] // 4), -(-image.shape[1] // 4)), bool)
    none = np.empty((0, 4))
    cell_px = Detector.load(PRETRAINED, card).search(image).scale.cell_px
    bare = TrainingField(
        "field.jpg", path.read_bytes(), none, np.empty(0, int), "", np.zeros(3, bool), 0, cell_px,
        nowhere, none,
    )  # fmt: skip
    run = partial(run_network, Network((PRETRAINED / f"{NAME}.tflite").read_bytes()))
    thresholds = {label: 0.8 * card.fields.thresholds[label] for label in LABELS}
    lowest = np.array(list(thresholds.values()))
    cells = find_in_field(run, bare.image(), lowest, cell_px)
    count = len(cells.label)
    return replace(bare, box=cells.box, label=cells.label, annotated=count), thresholds


def only(field: TrainingField, *labels: str) -> TrainingField:
    kept = np.isin(field.label, [LABELS.index(label) for label in labels])
    count = int(kept.sum())
    return replace(field, box=field.box[kept], label=field.label[kept], annotated=count)


def count(field: TrainingField) -> dict[str, int]:
    return {LABELS[k]: n for k, n in Counter(field.label.tolist()).items()}


def test_what_is_not_annotated_is_shown_as_it_was_known(
    counted: tuple[TrainingField, dict[str, float]],
) -> None:
    """No red cells, which are looked for in training; none of what is boxed completely; and none
    twice, where one of several has its box."""
    field, thresholds = counted
    run = partial(run_network, Network((PRETRAINED / f"{NAME}.tflite").read_bytes()))
    whole = count(field)
    assert whole["Platelets"] == whole["WBC"] == 2 and whole["RBC"] > 20
    bare, boxed = only(field, "RBC"), only(field, "RBC", "Platelets")
    one = replace(boxed, box=boxed.box[1:], label=boxed.label[1:], annotated=boxed.annotated - 1)
    complete = replace(bare, complete=np.array([True, False, False]))
    shown = recall_known(run, [bare, boxed, one], LABELS, thresholds)
    for found in shown[:2]:
        assert count(found) == whole
        assert found.annotated == len(found.box) == len(found.label)
    assert count(shown[2])["WBC"] == 2
    # What is boxed completely somewhere is learnt there.
    for found in recall_known(run, [bare, complete], LABELS, thresholds):
        assert count(found) == {"RBC": whole["RBC"], "WBC": 2}
    close = overlap(shown[0].box[whole["RBC"] :], field.box).max(axis=1)
    assert close.min() > 0.7  # the same cells, looked at at the size that was told of them
    assert (shown[1].box[: len(boxed.box)] == boxed.box).all()
    # Ground says nothing of what is boxed nowhere.
    assert [found.unboxed.tolist() for found in shown] == 3 * [[False, False, True]]
    for found in recall_known(run, [bare, bare], LABELS, thresholds):
        assert found.unboxed.tolist() == [True, False, True]
