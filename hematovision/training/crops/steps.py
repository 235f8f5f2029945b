"""Steps of the network for crops taken by several devices, each with its share of every batch.

Every worker draws as many crops, of its own. On one device `crop_fit` takes Keras's own fit.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from hematovision.training.workers import Workers

if TYPE_CHECKING:
    import keras

Rows = Callable[[Any, Any], Any]


class Shares(NamedTuple):
    """The order in which one worker learns from a part: `rows` (steps, b), which of the part's rows
    in each step, and how much each counts, `weight` (steps, b): nothing, where it fills up."""

    rows: np.ndarray
    weight: np.ndarray


def share_out(count: int, size: int, seed: Sequence[int]) -> Shares:
    """A worker's share, `size` rows, of all batches: its `count` rows in random order.

    The last share is filled up with rows that count nothing, and what is in it counts the more: the
    mean over shares of equally many rows is the mean over the batch.
    """
    order = np.random.default_rng(seed).permutation(count)
    steps = -(-count // size)
    rows, weight = np.zeros((steps, size), int), np.zeros((steps, size), np.float32)
    for step in range(steps):
        mine = order[step * size : (step + 1) * size]
        rows[step] = mine[0]
        rows[step, : len(mine)] = mine
        weight[step, : len(mine)] = size / len(mine)
    return Shares(rows, weight)


def make_crop_step(
    trainer: keras.Model, workers: Workers, tell_loss: Rows, tell_hits: Rows
) -> Callable[..., Any]:
    """A step of all devices together: inputs, targets and weights of a share to the sums over the
    batch of what the history tells: loss times weight, hits times weight, weight; (3,).

    `trainer` is compiled: its loss is what Keras's own fit would take. `tell_loss`, `tell_hits`:
    of targets and logits (n, leaves) what the history tells of each row, (n,).
    """
    import tensorflow as tf

    variables = trainer.trainable_variables

    def differentiate(inputs: Any, targets: Any, weights: Any) -> Any:
        with tf.GradientTape() as tape:
            found = trainer(inputs, training=True)
            loss = trainer.compute_loss(x=inputs, y=targets, y_pred=found, sample_weight=weights)
        of_logits = tf.cast(weights["logits"], tf.float32)
        told = tell_loss(targets["logits"], found["logits"])
        hits = tell_hits(targets["logits"], found["logits"])
        sums = [tf.reduce_sum(of_logits * x) for x in (told, hits, tf.ones_like(told))]
        # Keras has divided the loss by the number of devices: the sum of gradients is their mean.
        return workers.add(tape.gradient(loss, variables)), workers.add(tf.stack(sums))

    # Keras makes the variables of its loss at the first call, which must not be within a strategy.
    row = np.zeros((1, *trainer.input_shape[1:]), np.float32)
    found = trainer(row)
    trainer.compute_loss(x=row, y=found, y_pred=found, sample_weight={k: np.ones(1) for k in found})
    together = workers.compile(differentiate)

    @tf.function(autograph=False)
    def update(gradients: list[Any]) -> None:
        trainer.optimizer.apply_gradients(zip(gradients, variables, strict=True))

    def step(inputs: np.ndarray, targets: dict[str, Any], weights: dict[str, Any]) -> np.ndarray:
        gradients, sums = together(inputs.astype(np.float32), targets, weights)
        update(gradients)
        return np.asarray(sums)

    return step


def fit_shares(
    step: Callable[..., np.ndarray],
    inputs: np.ndarray,
    targets: dict[str, np.ndarray],
    weights: dict[str, np.ndarray],
    shares: Shares,
) -> dict[str, float]:
    """Go through a part once: loss and accuracy, means over the crops of all workers' parts."""
    sums = np.zeros(3)
    for rows, weight in zip(shares.rows, shares.weight, strict=True):
        scaled = {k: v[rows] * weight for k, v in weights.items()}
        sums += step(inputs[rows], {k: v[rows] for k, v in targets.items()}, scaled)
    loss, hits, weight = sums.tolist()
    return {"loss": loss / max(weight, 1e-9), "accuracy": hits / max(weight, 1e-9)}
