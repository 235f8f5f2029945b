"""Steps of the network for crops taken by several workers, each on its share of every batch.

What a worker doesn't learn from it doesn't draw. Of one worker `crop_fit` makes Keras's own fit.
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
    """What one worker learns from of a part: `rows` (steps, b), which of the part's rows in each
    step, and how much each counts, `weight` (steps, b): nothing, where it fills a batch up."""

    rows: np.ndarray
    weight: np.ndarray


def share_out(count: int, batch: int, workers: Workers, seed: Sequence[int]) -> Shares:
    """A worker's share of all batches of `count` rows in random order.

    The mean, over workers, of the means over their shares is the mean over the batch, of the last
    and incomplete one too.
    """
    order = np.random.default_rng(seed).permutation(count)
    size, steps = batch // workers.count, -(-count // batch)
    rows, weight = np.zeros((steps, size), int), np.zeros((steps, size), np.float32)
    for step in range(steps):
        whole = order[step * batch : (step + 1) * batch]
        mine = whole[workers.index :: workers.count]
        rows[step] = whole[0]
        rows[step, : len(mine)] = mine
        weight[step, : len(mine)] = batch / len(whole)
    return Shares(rows, weight)


def make_crop_step(
    trainer: keras.Model, workers: Workers, tell_loss: Rows, tell_hits: Rows
) -> Callable[..., Any]:
    """A step of all workers together: inputs, targets and weights of a share to the sums over the
    batch of what the history tells: loss times weight, hits times weight, weight; (3,).

    `trainer` is compiled: its loss is what Keras's own fit would take. `tell_loss`, `tell_hits`:
    of targets and logits (n, leaves) what the history tells of each row, (n,).
    """
    import keras
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
        # Keras has divided the loss by the number of workers: the sum of gradients is their mean.
        return workers.add(tape.gradient(loss, variables)), workers.add(tf.stack(sums))

    together = workers.compile(differentiate)

    @tf.function(autograph=False)
    def update(gradients: list[Any]) -> None:
        trainer.optimizer.apply_gradients(zip(gradients, variables, strict=True))

    def step(inputs: np.ndarray, targets: dict[str, Any], weights: dict[str, Any]) -> np.ndarray:
        gradients, sums = together(
            keras.ops.cast(inputs, "float32"), *(
                {k: tf.constant(v) for k, v in of.items()} for of in (targets, weights)
            )
        )  # fmt: skip
        update(gradients)
        return np.asarray(sums)

    return step


def fit_shares(
    step: Callable[..., np.ndarray],
    inputs: np.ndarray,
    targets: dict[str, np.ndarray],
    weights: dict[str, np.ndarray],
    shares: Shares,
    drawn: np.ndarray,
) -> dict[str, float]:
    """Go through a part once: loss and accuracy, means over its crops.

    The first three hold the rows `drawn` of the part, sorted: all that are in `shares`.
    """
    sums = np.zeros(3)
    for rows, weight in zip(np.searchsorted(drawn, shares.rows), shares.weight, strict=True):
        scaled = {k: v[rows] * weight for k, v in weights.items()}
        sums += step(inputs[rows], {k: v[rows] for k, v in targets.items()}, scaled)
    loss, hits, weight = sums.tolist()
    return {"loss": loss / max(weight, 1e-9), "accuracy": hits / max(weight, 1e-9)}
