"""The classifier: the same answers for a crop in any company, and as the Keras model gives them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import SampleRun

from hematovision.archive.contents import Split
from hematovision.networks.classifier import Classifier, decide, settle_kinds
from hematovision.pictures.images import scale_pixels
from hematovision.program.console import UserError
from hematovision.training.backbone import start_tensorflow


def test_answers_do_not_depend_on_workers_or_company(sample_run: SampleRun, val: Split) -> None:
    classifier = Classifier.load(sample_run.model)
    crops = val.X[:60]
    proba, novelty = classifier.predict_proba(crops, workers=1)
    for workers in (2, 5):
        again = classifier.predict_proba(crops, workers=workers)
        assert (again[0] == proba).all() and (again[1] == novelty).all()
    back = classifier.predict_proba(crops[::-1], workers=3)
    assert (back[0][::-1] == proba).all()
    alone, alone_novelty = classifier.predict_proba(crops[7:8], workers=1)
    assert (alone[0] == proba[7]).all() and alone_novelty[0] == novelty[7]


def test_an_answer_says_what_the_probabilities_say(sample_run: SampleRun, val: Split) -> None:
    classifier = Classifier.load(sample_run.model)
    proba, novelty = classifier.predict_proba(val.X[:20])
    for i, crop in enumerate(val.X[:20]):
        answer = classifier.answer(crop)
        assert list(answer.probabilities.values()) == list(map(float, proba[i]))
        assert answer.label == classifier.classes[classifier.predict(proba)[i]]
        assert answer.probability == answer.probabilities[answer.label]
        assert answer.uncertain == bool(classifier.is_uncertain(novelty)[i])


def test_the_exported_model_agrees_with_the_keras_model(sample_run: SampleRun, val: Split) -> None:
    start_tensorflow(0)
    import keras

    model = keras.models.load_model(sample_run.model / "hematovision.keras", compile=False)
    layers = list(model.layers)
    for layer in layers:
        layers += getattr(layer, "layers", [])
        assert not isinstance(layer, keras.layers.BatchNormalization)
    answers = model.predict(scale_pixels(val.X[:]), verbose=0)
    proba, novelty = Classifier.load(sample_run.model).predict_proba(val.X)
    assert np.abs(answers["probabilities"] - proba).max() < 1e-3
    assert answers["novelty"] == pytest.approx(novelty, rel=0.01, abs=0.1)
    assert proba.sum(axis=1) == pytest.approx(1, abs=1e-3)


def test_no_crops_give_no_answers(sample_run: SampleRun) -> None:
    classifier = Classifier.load(sample_run.model)
    proba, novelty = classifier.predict_proba(np.empty((0, 64, 64, 3), np.uint8))
    assert (proba.shape, novelty.shape) == ((0, 2), (0,))


@pytest.mark.parametrize(
    "key",
    [
        "classes",
        "image_size",
        "threshold",
        "novelty_threshold",
    ],
)
def test_a_card_without_what_is_needed_is_refused(
    key: str, sample_run: SampleRun, card: dict[str, Any], tmp_path: Path
) -> None:
    """When it is read, not when an answer is wanted."""
    shutil.copy(sample_run.model / "hematovision.tflite", tmp_path)
    rest = {k: v for k, v in card.items() if k != key}
    (tmp_path / "hematovision.json").write_text(json.dumps(rest))
    with pytest.raises(UserError):
        Classifier.load(tmp_path)


def test_most_cells_of_the_sample_are_not_uncertain(sample_run: SampleRun, val: Split) -> None:
    classifier = Classifier.load(sample_run.model)
    _, novelty = classifier.predict_proba(val.X[val.label != "Background"])
    assert classifier.is_uncertain(novelty).mean() <= 0.05


TYPED = ["Background", "Monocyte", "Neutrophil", "RBC", "WBC"]


@pytest.mark.parametrize(
    ("leaves", "label"),
    [
        ([0.0, 0.05, 0.9, 0.05], "Neutrophil"),
        ([0.0, 0.5, 0.1, 0.4], "Monocyte"),
        ([0.0, 0.3, 0.3, 0.4], "WBC"),  # together likelier than RBC, neither by itself
        ([0.0, 0.44, 0.56, 0.0], "WBC"),
        ([0.0, 0.2, 0.2, 0.6], "RBC"),
        ([0.7, 0.2, 0.1, 0.0], "Background"),
    ],
)
def test_a_kind_is_named_where_it_is_likely_enough(leaves: list[float], label: str) -> None:
    proba = np.array([[*leaves, leaves[1] + leaves[2]]])
    assert TYPED[decide(proba, TYPED, None, kind_threshold=0.6)[0]] == label


def test_kinds_without_their_parent_are_classes_like_any_other() -> None:
    classes = ["Monocyte", "Neutrophil", "RBC"]
    assert decide(np.array([[0.3, 0.3, 0.4]]), classes, None, 0.6).tolist() == [2]


def test_kinds_are_settled_by_turns_of_the_crop_and_their_parent_stands() -> None:
    """The stub calls a crop a neutrophil whose brightest corner is above left, else a monocyte."""

    def network(crops: np.ndarray) -> list[np.ndarray]:
        asked.append(crops[0])
        is_upright = crops[0, 0, 0, 0] > 0.5
        kinds = [0.1, 0.5] if is_upright else [0.5, 0.1]
        return [np.float32([[0, *kinds, 0.4, 0.6]]), np.zeros(1)]

    asked: list[np.ndarray] = []
    crop = np.zeros((1, 8, 8, 3), np.uint8)
    crop[0, 0, 0] = 255
    white = np.float32([[0, 0.1, 0.5, 0.4, 0.6]])
    settled = settle_kinds(network, crop, white, TYPED)
    assert len(asked) == 3 and not any(seen[0, 0, 0] for seen in asked)
    assert settled[0, [1, 2]] == pytest.approx([0.4, 0.2])
    assert (settled[0, [0, 3, 4]] == white[0, [0, 3, 4]]).all()
    red = np.float32([[0, 0.1, 0.2, 0.7, 0.3]])
    assert (settle_kinds(network, crop, red, TYPED) == red).all() and len(asked) == 3
