"""Validation: what the answers to held-out crops settle, thresholds and the figures of the card."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from hematovision.archive.contents import Split
from hematovision.cells.cells import BACKGROUND
from hematovision.cells.taxonomy import lift
from hematovision.networks.card import KIND_THRESHOLD
from hematovision.networks.classifier import decide
from hematovision.training.calibration import (
    check_learnt,
    choose_novelty,
    choose_threshold,
    fit_temperature,
)
from hematovision.training.crops.examples import Examples
from hematovision.training.shrinkage import shrink
from hematovision.training.start import KnownModel


class Asked(NamedTuple):
    """What a network says of n pictures."""

    answers: np.ndarray  # (n, leaves) logits, or (n, classes) probabilities
    novelty: np.ndarray  # (n,)


class Calibration(NamedTuple):
    """What the validation split settled, once the network was fitted."""

    threshold: float | None  # of RBC's probability, in the binary task
    kind_threshold: float  # share of its parent's probability from which a kind is named
    novelty_threshold: float  # above it, a picture is unlike any cell
    validation: dict[str, float]  # figures of the card


def settle_temperature(logits: np.ndarray, members: np.ndarray, model: KnownModel | None) -> float:
    """What divides the logits (2 n, leaves), of n crops and views of them, near a known model's
    where there are few crops, (n, leaves) of whose leaves are `members`."""
    found = fit_temperature(logits, np.tile(members, (2, 1)))
    if model is None:
        return found
    return float(np.exp(shrink(np.log(found), np.log(model.temperature), len(members))))


def answer_held_out(asked: Asked, temperature: float, merge: np.ndarray | None) -> Asked:
    """Probabilities (2 n, k) and novelty (2 n,) as the networks of the folds would export them."""
    from scipy.special import softmax

    proba = softmax(asked.answers / temperature, axis=1)
    return asked._replace(answers=proba if merge is None else np.minimum(proba @ merge, 1.0))


def calibrate(
    asked: Asked, viewed: Split, examples: Examples, model: KnownModel | None
) -> Calibration:
    """Choose where to decide by the answers to the validation crops: as they are, which come first
    in `viewed`, and views of them.

    From a known model's thresholds no further than so many examples allow.
    """
    (proba, novelty), y, threshold = asked, examples.val.y, None
    is_ground = viewed.label == BACKGROUND
    strange = choose_novelty(novelty, is_ground)
    if examples.task == "binary":
        threshold = choose_threshold(proba[:, 1], viewed.y == 1)
    if model is not None:
        strange = float(shrink(strange, model.card.novelty_threshold, (~is_ground).sum() / 2))
    if model is not None and threshold is not None:
        fewest = np.bincount(y, minlength=2).min()
        threshold = float(shrink(threshold, model.card.threshold or 0.5, fewest))
    plain = proba[: len(y)]
    predicted = decide(plain, examples.classes, threshold, KIND_THRESHOLD)
    check_learnt(y, lift(predicted, y, examples.classes), len(examples.classes))
    figures = score_validation(plain, y, predicted, examples.classes)
    return Calibration(threshold, KIND_THRESHOLD, strange, figures)


def score_validation(
    proba: np.ndarray, y: np.ndarray, predicted: np.ndarray, classes: Sequence[str]
) -> dict[str, float]:
    """The validation figures of the model card; those of the test split are evaluate_model.py's.

    Each answer is taken at the level of detail that was annotated.
    """
    from sklearn.metrics import matthews_corrcoef

    predicted = lift(predicted, y, classes)
    recalls = [float((predicted[y == c] == c).mean()) for c in np.unique(y)]
    return {
        "accuracy": float((predicted == y).mean()),
        "balanced_accuracy": float(np.mean(recalls)),
        # Of one class alone there is nothing to tell apart.
        "mcc": float(matthews_corrcoef(y, predicted)) if len(np.unique(y)) > 1 else 0.0,
        "log_loss": float(-np.log(np.maximum(proba[np.arange(len(y)), y], 1e-12)).mean()),
        "crops": len(y),
    }
