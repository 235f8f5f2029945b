"""Calibration: what makes probabilities honest, where to decide, what is unlike any cell."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import cv2
import numpy as np

from hematovision.images import slices

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


def measure_loss(logits: np.ndarray, code: np.ndarray) -> float:
    """Mean negative log-likelihood of the true classes, in nats."""
    from scipy.special import softmax
    from sklearn.metrics import log_loss

    return float(log_loss(code, softmax(logits, axis=1), labels=np.arange(logits.shape[1])))


def fit_temperature(logits: np.ndarray, code: np.ndarray) -> float:
    """The one number to divide logits by that makes them honest (Guo et al., 2017), 0.25 to 4."""
    from scipy.optimize import minimize_scalar

    best = minimize_scalar(
        lambda log_t: measure_loss(logits / np.exp(log_t), code),
        bounds=(np.log(0.25), np.log(4)),
        method="bounded",
    )
    return float(np.exp(best.x))


def choose_threshold(probability: np.ndarray, is_positive: np.ndarray) -> float:
    """The threshold of the highest Matthews correlation; of equally good ones, that nearest 1/2.

    With calibrated probabilities 1/2 is the right one in theory: it is left only for a better one.
    """
    cuts = np.unique(np.r_[0.5, (np.sort(probability)[1:] + np.sort(probability)[:-1]) / 2])
    cuts = cuts[(cuts > 0.01) & (cuts < 0.99)]
    from sklearn.metrics import matthews_corrcoef

    values = np.array([matthews_corrcoef(is_positive, probability >= c) for c in cuts])
    best = cuts[values >= values.max() - 1e-12]
    return float(best[np.argmin(np.abs(best - 0.5))])


def pool_maps(activations: np.ndarray, crops: np.ndarray) -> np.ndarray:
    """Mean and spread of each frozen channel and of each colour over the crop: (n, 2 c + 6)."""
    maps = activations.astype(np.float32), crops.astype(np.float32) / 255
    return np.hstack([f(x, axis=(1, 2)) for x in maps for f in (np.mean, np.std)])


def draw_strangers(count: int, size: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Pictures that are no blood cell, SLICE at a time: (s, size, size, 3) uint8. Eight kinds in
    turn: blanks, noise, clouds, tiles, gradients, shapes, scribbles and writing."""
    y, x = np.mgrid[-1 : 1 : size * 1j, -1 : 1 : size * 1j]

    def draw(kind: int) -> np.ndarray:
        ground, ink = rng.uniform(0, 255, (2, 3))
        if rng.random() < 0.5:  # drawn on white, grey or black
            ground, ink = (np.full(3, rng.choice((0, 255, rng.uniform(0, 255)))) for _ in range(2))
        plain = np.full((size, size, 3), ground)
        if kind == 0:
            return plain + rng.normal(0, rng.uniform(0, 6), plain.shape)
        if kind == 1:
            channels = rng.choice((1, 3))  # grey or coloured
            return plain + rng.normal(0, rng.uniform(15, 120), (size, size, channels))
        if kind in (2, 3):
            coarse = rng.uniform(0, 255, (*rng.integers(3, 24, 2), 3)).astype(np.float32)
            method = cv2.INTER_CUBIC if kind == 2 else cv2.INTER_NEAREST
            return cv2.resize(coarse, (size, size), interpolation=method)
        if kind == 4:
            angle = rng.uniform(0, 2 * np.pi)
            share = ((x * np.cos(angle) + y * np.sin(angle)) / 2 + 0.5)[..., np.newaxis]
            return plain * share + ink * (1 - share)
        canvas = plain.astype(np.uint8)
        for line in range(rng.integers(2, 7)):
            if kind == 5:
                corners = rng.integers(0, size, (rng.integers(3, 6), 2)).astype(np.int32)
                cv2.fillPoly(canvas, [corners], rng.uniform(0, 255, 3).tolist())
            elif kind == 6:
                path = rng.uniform(0, size, 2) + rng.normal(0, size / 10, (14, 2)).cumsum(axis=0)
                width = int(rng.integers(1, 4))
                cv2.polylines(canvas, [path.astype(np.int32)], False, ink.tolist(), width)
            else:
                text = "".join(map(chr, rng.integers(48, 122, rng.integers(2, 9))))
                place = int(rng.integers(0, size // 4)), (line + 1) * size // 5
                font, scale = int(rng.integers(0, 7)), rng.uniform(0.5, 1.2)
                cv2.putText(canvas, text, place, font, scale, ink.tolist(), 2)
        return canvas

    for indices in slices(np.arange(count)):
        yield np.stack([np.clip(draw(i % 8), 0, 255).astype(np.uint8) for i in indices])


def fit_novelty(familiar: np.ndarray, strange: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Logistic regression of strange pictures against cells: kernel (d, 1) and bias (1,).

    Outlier exposure (Hendrycks et al., 2019) on what the frozen blocks see: they still tell
    textures apart that the fine-tuned ones have learnt to ignore. A distance to the training crops
    (Mahalanobis; Lee et al., 2018) flagged 40 % of another laboratory's cells in trials; this, few.
    """
    pooled = np.concatenate([familiar, strange])
    is_strange = np.arange(len(pooled)) >= len(familiar)
    return fit_logistic(pooled, is_strange, C=0.1, max_iter=500, class_weight="balanced")
