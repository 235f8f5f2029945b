"""How the network for crops is fitted: what it loses by, heads, epochs."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from hematovision.archive.loading import Split
from hematovision.cells.labels import is_rbc
from hematovision.cells.taxonomy import find_leaves, list_members
from hematovision.program.console import progress, say
from hematovision.training.backbone import set_half
from hematovision.training.calibration import check_loss, fit_logistic, measure_loss
from hematovision.training.checkpoint import Checkpoint
from hematovision.training.crops.epoch import (
    MOST_DRAWN,
    REHEARSED,
    STRANGERS,
    Kept,
    Part,
    draw_epoch,
    draw_evenly,
)
from hematovision.training.crops.network import CropNetwork, pool_maps
from hematovision.training.crops.steps import fit_shares, make_crop_step, share_out
from hematovision.training.crops.strangers import draw_strangers
from hematovision.training.workers import here

BATCH, RATE = 32, 1e-4
SMOOTHING = 0.02  # of labels in the loss
HEAD_CROPS = 4096  # that the heads are fitted on, before anything is fine-tuned


def encode_annotated(
    train: Split, val: Split, known: Sequence[str] = ()
) -> tuple[list[str], np.ndarray, np.ndarray]:
    """The leaves among all annotated labels, whatever the task, and those `known` before; and for
    both splits which of them each crop may show: (n, leaves) bool.

    "RBC or not" is easier to see for a network that knows what a white cell is. A label that
    training never saw, nor a kind of it, may be any that isn't red.
    """
    leaves = find_leaves(sorted({*np.unique(train.label).tolist(), *known}))
    others = [not is_rbc(leaf) for leaf in leaves]

    def encode(split: Split) -> np.ndarray:
        labels, code = np.unique(split.label, return_inverse=True)
        members = list_members(labels.tolist(), leaves)
        members[~members.any(axis=1)] = others
        return members[code]

    return leaves, encode(train), encode(val)


def make_validation(
    network: CropNetwork, crops: np.ndarray, members: np.ndarray
) -> Callable[[], dict[str, float]]:
    """A function that gives loss and accuracy on held-out crops, whose activations it keeps."""
    activations = network.frozen(crops)

    def validate() -> dict[str, float]:
        logits = network.trainer.predict(activations, batch_size=128, verbose=0)["logits"]
        right = members[np.arange(len(members)), logits.argmax(axis=1)].mean()
        return {"val_loss": measure_loss(logits, members), "val_accuracy": float(right)}

    return validate


def fit_heads(
    network: CropNetwork,
    split: Split,
    members: np.ndarray,
    validate: Callable[[], dict[str, float]],
    seed: int,
) -> list[dict[str, Any]]:
    """Logistic regressions on what the untouched backbone sees, for both heads, where a label
    stands for one leaf; returns the history.

    Fine-tuning from a fitted head distorts the backbone less (Kumar et al., 2022).
    """
    rng = np.random.default_rng([seed, 4])
    chosen = np.sort(draw_evenly(split, min(len(split.y), HEAD_CROPS), rng))
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
    history = [{"phase": "head", "epoch": 0, **validate()}]
    say_epoch(history[0])
    return history


def widen(kernel: np.ndarray, bias: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of two classes scikit-learn keeps the difference only: a column for each again."""
    if kernel.shape[1] == 1:
        return np.hstack([-kernel, kernel]) / 2, np.array([-bias[0], bias[0]]) / 2
    return kernel, bias


def marginal_loss(members: Any, logits: Any) -> Any:
    """Cross-entropy of the leaves that a crop may show, (n, leaves) 0 or 1, taken together: (n,).

    A box that says "WBC" says "one of its types": the loss is on the sum of their probabilities,
    so that datasets of different detail train one network. Smoothed over all leaves.
    """
    from keras import ops

    log_p = ops.log_softmax(logits, axis=1)
    told = -ops.logsumexp(ops.where(members > 0, log_p, -1e4), axis=1)
    return (1 - SMOOTHING) * told - SMOOTHING * ops.mean(log_p, axis=1)


def share_right(members: Any, logits: Any) -> Any:
    """Whether the likeliest leaf is one that the crop may show: (n,)."""
    from keras import ops

    likeliest = ops.one_hot(ops.argmax(logits, axis=1), logits.shape[1])
    return ops.sum(likeliest * members, axis=1)


def fit_part(network: CropNetwork, part: Part) -> dict[str, float]:
    """Go through a part once, in random order; loss and accuracy, means over its crops."""
    fitted = network.trainer.fit(
        part.inputs, part.targets, sample_weight=part.weights, batch_size=BATCH, verbose=0,
        shuffle=True,
    ).history  # fmt: skip
    return {
        "loss": float(fitted["logits_loss"][-1]),
        "accuracy": float(fitted["logits_share_right"][-1]),
    }


def fine_tune(
    network: CropNetwork,
    split: Split,
    members: np.ndarray,
    count: int,
    validate: Callable[[], dict[str, float]],
    epochs: int,
    seed: int,
    checkpoint: Checkpoint,
    peak: float = RATE,
    phase: str = "crops",
    kept: Kept | None = None,
) -> list[dict[str, Any]]:
    """Fit upper blocks and heads, on new views of `count` crops each epoch, of several workers each
    on its share, and of some that are `kept`; returns the history.

    Adam with a short warm-up to `peak` and a cosine down to nothing. Nothing is chosen by the
    validation split here: the last epoch is the result. In the end the weights are rounded to half
    precision, so that export changes no answer.
    """
    import keras

    beside = int(count * STRANGERS) + (int(count * REHEARSED) if kept else 0)
    steps = epochs * -(-(count + beside) // BATCH)
    warmup = steps // 12
    rate = keras.optimizers.schedules.CosineDecay(
        peak / 20, max(1, steps - warmup), alpha=0.01, warmup_target=peak, warmup_steps=warmup
    )
    network.trainer.compile(
        optimizer=keras.optimizers.Adam(rate, beta_2=0.99),
        loss={
            "logits": marginal_loss,
            "novelty": keras.losses.BinaryCrossentropy(from_logits=True),
        },
        weighted_metrics={"logits": [share_right]},
    )
    workers = here()
    step = None
    if workers.replicas > 1:
        step = make_crop_step(network.trainer, workers, marginal_loss, share_right)
    network.trainer.optimizer.build(network.trainer.trainable_variables)
    variables = [*network.trainer.variables, *network.trainer.optimizer.variables]
    reached = checkpoint.load(phase, variables)
    history = reached.history if reached else []
    workers.check_same(reached.epoch if reached else 0, "epochs gone on from")
    workers.follow_chief(variables)
    for epoch in range(reached.epoch + 1 if reached else 1, epochs + 1):
        start = time.perf_counter()
        keras.utils.set_random_seed(
            int(np.random.default_rng([seed, 6, epoch]).integers(2**31))
        )  # the order within it
        of_epoch = [seed, 0, epoch, *workers.mark]
        parts = draw_epoch(network, split, members, workers.cut(count), of_epoch, kept)
        fitted, share = [], []
        for part in progress(parts, -(-workers.cut(count) // MOST_DRAWN), f"fine-tune {epoch}"):
            rows = len(part.inputs)
            if step is None:
                fitted.append(fit_part(network, part))
            else:
                shares = share_out(rows, BATCH // workers.count, [*of_epoch, len(share), 8])
                fitted.append(fit_shares(step, *part, shares))
            share.append(rows)
        row = {"phase": "fine-tune", "epoch": epoch}
        row |= {k: float(np.average([r[k] for r in fitted], weights=share))
                for k in ("loss", "accuracy")}  # fmt: skip
        check_loss(row["loss"], f"fine-tune {epoch}")
        row |= validate()
        history.append(row | {"seconds": time.perf_counter() - start})
        say_epoch(history[-1])
        checkpoint.save(phase, epoch, variables, history)
    for layer in (*network.upper.layers, network.head, network.novelty):
        set_half(layer, *layer.get_weights())
    return history


def say_epoch(row: dict[str, Any]) -> None:
    """One line of progress for a row of the history."""
    say(
        f"{row['phase']} {row['epoch']}: "
        + ", ".join(f"{k} {row[k]:.4f}" for k in ("loss", "val_loss", "val_accuracy") if k in row)
    )
