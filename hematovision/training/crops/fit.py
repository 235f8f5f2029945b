"""How the network for crops is fitted: what it loses by, heads, steps, epochs."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from hematovision.program.console import progress
from hematovision.training.backbone import set_half
from hematovision.training.calibration import check_loss, fit_logistic, measure_loss
from hematovision.training.crops.epoch import (
    BATCH,
    HEAD_CROPS,
    STRANGERS,
    count_steps,
    draw_batches,
    draw_crops,
)
from hematovision.training.crops.examples import Examples
from hematovision.training.crops.known import recall_kept, start_known_heads
from hematovision.training.crops.network import CropNetwork, pool_maps
from hematovision.training.crops.strangers import draw_strangers
from hematovision.training.plan import Plan, Row, say_row
from hematovision.training.precision import mixed_precision
from hematovision.training.shrinkage import average_weights, read_values
from hematovision.training.start import KnownModel
from hematovision.training.workers import find_workers

SMOOTHING = 0.02  # of labels in the loss
NOWHERE = -1e4  # a logit that leaves no probability

Step = Callable[..., np.ndarray]


def fit_crops(
    network: CropNetwork, examples: Examples, model: KnownModel | None, plan: Plan
) -> list[Row]:
    """Fit heads, then upper blocks and heads, on new views of the crops each epoch, of several
    workers each on its share, and of some that are kept; returns the history.

    Nothing is chosen by the validation split here: the last epoch is the result. In the end the
    weights are rounded to half precision, so that export changes no answer. From a trained model,
    they stop part of the way.
    """
    validate = make_validation(network, examples)
    heads = start_heads(network, examples, model, plan.seed) | validate()
    say_row(heads, plan)
    trainer, workers = network.trainer, find_workers()
    before = read_values(trainer.trainable_variables)
    kept = recall_kept(model, examples.leaves, network.upper.input.shape[1:])
    shares = workers.cut(plan.shown), BATCH // workers.count
    steps = count_steps(plan.shown, kept)
    with mixed_precision(trainer, kept=(network.head.name, network.novelty.name)):
        step, variables = make_step(trainer, plan.epochs * steps, plan.rate)
        reached = plan.checkpoint.resume(plan.phase, variables)
        history = reached.history
        for epoch in range(reached.epoch + 1, plan.epochs + 1):
            start, sums = time.perf_counter(), np.zeros(3)
            seed = [plan.seed, 0, epoch, *workers.mark]
            batches = draw_batches(network, examples, kept, shares, seed)
            for batch in progress(batches, steps, f"fine-tune {epoch}"):
                sums += step(*batch)
            loss, right, weight = sums.tolist()
            row: Row = {"phase": "fine-tune", "epoch": epoch, "loss": loss / max(weight, 1e-9)}
            check_loss(row["loss"], f"fine-tune {epoch}")
            row |= {"accuracy": right / max(weight, 1e-9), **validate()}
            row["seconds"] = time.perf_counter() - start
            history.append(row)
            say_row(row, plan, row["seconds"])
            plan.checkpoint.save(plan.phase, epoch, variables, history)
        for layer in (*network.upper.layers, network.head, network.novelty):
            set_half(layer, *layer.get_weights())
    if model is not None:
        average_weights(trainer.trainable_variables, before)
    return [heads, *history]


def make_validation(network: CropNetwork, examples: Examples) -> Callable[[], dict[str, float]]:
    """A function that gives loss and accuracy on held-out crops, whose activations it keeps."""
    activations, members = network.frozen(examples.val.X), examples.val_members

    def validate() -> dict[str, float]:
        logits = network.trainer.predict(activations, batch_size=128, verbose=0)["logits"]
        right = members[np.arange(len(members)), logits.argmax(axis=1)].mean()
        return {"val_loss": measure_loss(logits, members), "val_accuracy": float(right)}

    return validate


def start_heads(
    network: CropNetwork, examples: Examples, model: KnownModel | None, seed: int
) -> Row:
    """Set the heads before anything is fine-tuned; the row of the history."""
    if model is None:
        fit_heads(network, examples, seed)
    else:
        start_known_heads(network, examples, model, seed)
    return {"phase": "head", "epoch": 0}


def fit_heads(network: CropNetwork, examples: Examples, seed: int) -> None:
    """Logistic regressions on what the untouched backbone sees, for both heads, where a label
    stands for one leaf.

    Fine-tuning from a fitted head distorts the backbone less (Kumar et al., 2022).
    """
    split, members = examples.train, examples.members
    rng = np.random.default_rng([seed, 4])
    chosen = np.sort(draw_crops(split, min(len(split.y), HEAD_CROPS), rng))
    strange = draw_strangers(int(len(chosen) * STRANGERS), split.X, [seed, 5])
    maps = np.concatenate([network.frozen(split.X[chosen]), *map(network.frozen, strange)])
    features = network.upper.predict(maps, batch_size=128, verbose=0)
    sure = np.flatnonzero(members[chosen].sum(axis=1) == 1)
    code = members[chosen[sure]].argmax(axis=1)
    kernel, bias = network.head.get_weights()
    fitted = np.unique(code)  # each, unless few crops were drawn of many leaves
    found = fit_logistic(features[sure], code, C=0.01, max_iter=200)
    kernel[:, fitted], bias[fitted] = widen(*found)
    network.head.set_weights((kernel, bias))
    seen = np.hstack([features, pool_maps(maps.astype(np.float32))])
    is_strange = np.arange(len(maps)) >= len(chosen)
    network.novelty.set_weights(fit_logistic(seen, is_strange, C=0.01, max_iter=200))


def widen(kernel: np.ndarray, bias: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of two classes scikit-learn keeps the difference only: a column for each again."""
    if kernel.shape[1] == 1:
        return np.hstack([-kernel, kernel]) / 2, np.array([-bias[0], bias[0]]) / 2
    return kernel, bias


def marginal_loss(members: Any, logits: Any) -> Any:
    """Cross-entropy of the leaves that a crop may show, taken together: (n,). `members` (n, leaves)
    is 1 of those, 0 of the others, -1 of leaves that it isn't asked about.

    A box that says "WBC" says "one of its types": the loss is on the sum of their probabilities,
    so that datasets of different detail train one network. Smoothed over all leaves.
    """
    from keras import ops

    asked = ops.cast(members >= 0, "float32")
    log_p = ops.log_softmax(ops.where(members >= 0, logits, NOWHERE), axis=1)
    told = -ops.logsumexp(ops.where(members > 0, log_p, NOWHERE), axis=1)
    even = ops.sum(asked * log_p, axis=1) / ops.sum(asked, axis=1)
    return (1 - SMOOTHING) * told - SMOOTHING * even


def mark_right(members: Any, logits: Any) -> Any:
    """Whether the likeliest leaf is one that the crop may show: (n,)."""
    from keras import ops

    likeliest = ops.one_hot(ops.argmax(logits, axis=1), logits.shape[1])
    return ops.sum(likeliest * ops.maximum(members, 0), axis=1)


def make_step(trainer: Any, steps: int, peak: float) -> tuple[Step, list[Any]]:
    """One of `steps` steps of training, by all devices together: the columns of a batch to the sums
    over it of loss times weight, right answers times weight, and weight, (3,); and all variables
    that training changes.

    Adam with a short warm-up to `peak` and a cosine down to nothing.
    """
    import keras
    import tensorflow as tf

    warmup, workers = steps // 12, find_workers()
    rate = keras.optimizers.schedules.CosineDecay(
        peak / 20, max(1, steps - warmup), alpha=0.01, warmup_target=peak, warmup_steps=warmup
    )
    optimizer = keras.optimizers.Adam(rate, beta_2=0.99)
    weights = trainer.trainable_variables
    optimizer.build(weights)

    def differentiate(inputs: Any, members: Any, strange: Any, of_leaves: Any, of_new: Any) -> Any:
        with tf.GradientTape() as tape:
            found = trainer(inputs, training=True)
            told = marginal_loss(members, found["logits"])
            new = keras.losses.binary_crossentropy(strange, found["novelty"], from_logits=True)
            loss = tf.reduce_mean(of_leaves * told) + tf.reduce_mean(of_new * new)
            loss /= workers.replicas  # the sum of the devices' gradients is their mean
        right = mark_right(members, found["logits"])
        sums = [tf.reduce_sum(of_leaves * x) for x in (told, right, tf.ones_like(told))]
        return workers.add(tape.gradient(loss, weights)), workers.add(tf.stack(sums))

    together = workers.compile(differentiate)

    @tf.function(autograph=False)
    def update(gradients: list[Any]) -> None:
        optimizer.apply_gradients(zip(gradients, weights, strict=True))

    def step(*batch: np.ndarray) -> np.ndarray:
        gradients, sums = together(*batch)
        update(gradients)
        return np.asarray(sums)

    return step, [*trainer.variables, *optimizer.variables]
