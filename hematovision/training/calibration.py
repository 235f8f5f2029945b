"""Calibration: what makes probabilities honest, where to decide, what is unlike any cell."""

from __future__ import annotations

from typing import Any

import numpy as np

from hematovision.program.console import UserError

FAMILIAR = 99  # percentage of the validation crops, as they are and as views, called familiar


def fit_logistic(
    features: np.ndarray, code: np.ndarray, **options: Any
) -> tuple[np.ndarray, np.ndarray]:
    """Logistic regression on standardised features (n, d), as the kernel (d, k) and bias (k,) that
    do the same to the features as they are; k is 1 for two classes."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    scaler = StandardScaler().fit(features)
    model = LogisticRegression(**options).fit(scaler.transform(features), code)
    kernel = (model.coef_ / scaler.scale_).T
    return kernel, model.intercept_ - scaler.mean_ @ kernel


def measure_loss(logits: np.ndarray, members: np.ndarray) -> float:
    """Mean negative log-likelihood in nats of what was annotated: the sum of the probabilities of
    all leaves that a label may stand for, `members` (n, leaves) bool."""
    from scipy.special import log_softmax, logsumexp

    told = logsumexp(np.where(members, log_softmax(logits, axis=1), -np.inf), axis=1)
    return float(-told.mean())


def fit_temperature(logits: np.ndarray, members: np.ndarray) -> float:
    """The one number to divide logits by that makes them honest (Guo et al., 2017), 0.25 to 4."""
    from scipy.optimize import minimize_scalar

    best = minimize_scalar(
        lambda log_t: measure_loss(logits / np.exp(log_t), members),
        bounds=(np.log(0.25), np.log(4)),
        method="bounded",
    )
    return float(np.exp(best.x))


def check_loss(loss: float, phase: str) -> None:
    """UserError where a loss is no number any more: what is learnt from there on is nothing."""
    if not np.isfinite(loss):
        raise UserError(
            f"{phase}: the loss became {loss}, so training stopped and nothing was saved; look at "
            "the crops (preprocess_data.py --preview), or start from other --weights"
        )


def check_learnt(y: np.ndarray, predicted: np.ndarray, k: int) -> None:
    """UserError where answers (n,) to crops of classes `y` (n,) are no better than chance.

    That is a mean recall within two standard errors of 1 / k, where there are examples enough to
    tell.
    """
    right = [(predicted[y == c] == c) for c in np.unique(y)]
    if k < 2 or min(map(len, right)) < 5:
        return
    chance = 1 / k
    error = np.sqrt(sum(chance * (1 - chance) / len(r) for r in right)) / len(right)
    recall = float(np.mean([r.mean() for r in right]))
    if recall < chance + 2 * error:
        raise UserError(
            f"on the validation split the model is no better than chance (balanced accuracy "
            f"{recall:.3f} of {chance:.3f}), so nothing was saved; look whether the labels belong "
            "to the boxes (preprocess_data.py --preview), or train more --epochs"
        )


def choose_threshold(probability: np.ndarray, is_positive: np.ndarray) -> float:
    """The threshold of the highest Matthews correlation; of equally good ones, that nearest 1/2.

    With calibrated probabilities 1/2 is the right one in theory: it is left only for a better one.
    """
    if is_positive.all() or not is_positive.any():  # all of them are equally good
        return 0.5
    cuts = np.unique(np.r_[0.5, (np.sort(probability)[1:] + np.sort(probability)[:-1]) / 2])
    cuts = cuts[(cuts > 0.01) & (cuts < 0.99)]
    from sklearn.metrics import matthews_corrcoef

    values = np.array([matthews_corrcoef(is_positive, probability >= c) for c in cuts])
    best = cuts[values >= values.max() - 1e-12]
    return float(best[np.argmin(np.abs(best - 0.5))])


def choose_novelty(novelty: np.ndarray, is_ground: np.ndarray) -> float:
    """The novelty (n,) above which a picture is called unlike any cell: that of the strangest among
    validation crops and views of them, but for one in a hundred of cells and one of ground (n,)."""
    groups = (novelty[~is_ground], novelty[is_ground])
    return max(float(np.percentile(of, FAMILIAR)) for of in groups if len(of))
