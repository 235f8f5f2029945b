"""One worker of a training, or the only one: prints the losses of some steps of either network.

python tests/training/worker.py                # alone: it takes what two workers take between them
TF_CONFIG=... python tests/training/worker.py [STEPS]    # of two; it dies after so many steps
python tests/training/worker.py --devices        # alone, on two devices
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np

from hematovision.archive.loading import Split
from hematovision.program.console import UserError, say
from hematovision.training.backbone import start_tensorflow
from hematovision.training.crops.epoch import Part, draw_epoch
from hematovision.training.crops.fit import marginal_loss, share_right
from hematovision.training.crops.steps import Shares, fit_shares, make_crop_step, share_out
from hematovision.training.fields.fit import BATCH, make_step
from hematovision.training.workers import here


def fit_crops() -> list[float]:
    """Epochs of 84 crops and 20 strangers, whose last batch isn't whole."""
    import keras
    from keras import layers

    rng = np.random.default_rng(0)
    label = np.array(["RBC", "WBC", "Platelets"])[np.arange(84) % 3]
    pixels = rng.integers(0, 256, (84, 16, 16, 3)).astype(np.uint8)
    split = Split(pixels, np.arange(84) % 2, label, label, np.tile([0, 0, 9, 9], (84, 1)),
                  np.full(84, "lab"))  # fmt: skip
    members = label[:, np.newaxis] == ["RBC", "WBC", "Platelets"]
    maps = keras.Input((4, 4, 3))
    features = layers.GlobalAveragePooling2D()(layers.Conv2D(8, 3, activation="relu")(maps))
    heads = {"logits": layers.Dense(3)(features), "novelty": layers.Dense(1)(features)}
    trainer = keras.Model(maps, heads)
    trainer.compile(
        optimizer=keras.optimizers.SGD(0.3),  # Adam would hide a gradient of another size
        loss={
            "logits": marginal_loss,
            "novelty": keras.losses.BinaryCrossentropy(from_logits=True),
        },
        weighted_metrics={"logits": [share_right]},
    )
    trainer.optimizer.build(trainer.trainable_variables)
    network: Any = SimpleNamespace(
        frozen=lambda crops: crops.reshape(-1, 4, 4, 4, 4, 3).mean(axis=(2, 4)) / 255
    )
    workers, told = here(), []
    workers.follow_chief(trainer.variables)
    step = make_crop_step(trainer, workers, marginal_loss, share_right)

    def draw(epoch: int, index: int) -> tuple[Part, Shares]:
        """What a worker of two learns from in an epoch: of every other crop."""
        own = np.arange(84) % 2 == index
        (part,) = draw_epoch(network, split.pick(own), members[own], 42, [epoch, index])
        return part, share_out(len(part.inputs), 16, [epoch, index])

    for epoch in range(3):
        drawn = [draw(epoch, k) for k in ([workers.index] if workers.count > 1 else [0, 1])]
        told += fit_shares(step, *join(drawn)).values()
    return told + trainer.get_weights()[0].ravel()[:5].tolist()


def join(drawn: list[tuple[Part, Shares]]) -> tuple[Any, ...]:
    """What several workers learn from, as if it were one's: the share of each in every batch."""
    (first, _), parts = drawn[0], [part for part, _ in drawn]
    counts = np.cumsum([0, *(len(part.inputs) for part in parts)])
    rows = [shares.rows + n for (_, shares), n in zip(drawn, counts, strict=False)]
    targets = {k: np.concatenate([part.targets[k] for part in parts]) for k in first.targets}
    weights = {k: np.concatenate([part.weights[k] for part in parts]) for k in first.weights}
    weight = np.concatenate([shares.weight for _, shares in drawn], axis=1)
    shares = Shares(np.concatenate(rows, axis=1), weight)
    return np.concatenate([part.inputs for part in parts]), targets, weights, shares


def fit_fields(dies_after: int) -> list[float]:
    """Steps of a network with normalizations, on views with few cells, each in another part."""
    import keras
    from keras import layers

    workers, told = here(), []
    pictures = keras.Input((None, None, 3))
    x = layers.Conv2D(8, 3, 4, "same", use_bias=False)(pictures / 255)
    x = layers.BatchNormalization(synchronized=workers.replicas > 1)(x)
    x = layers.Conv2D(6, 1)(layers.ReLU()(x))
    joined = keras.ops.concatenate(
        [keras.ops.sigmoid(x[..., :-4]), keras.ops.exp(x[..., -4:])], axis=-1
    )
    step, variables = make_step(keras.Model(pictures, joined), 20)
    workers.follow_chief(variables)
    rng = np.random.default_rng(1)
    for number in range(6):
        if number == dies_after:
            os._exit(9)
        views = rng.integers(0, 256, (BATCH, 32, 32, 3)).astype(np.uint8)
        heat = (rng.random((BATCH, 8, 8, 2)) < 0.02).astype(np.float32)
        known = (rng.random((BATCH, 8, 8, 2)) < 0.8).astype(np.float32)
        corner = np.sort(rng.random((BATCH, 8, 8, 2, 2)), axis=3).reshape(BATCH, 8, 8, 4)
        weight = heat.max(axis=-1)
        batch = (views, heat, known, 8 * corner.astype(np.float32), weight)
        size = BATCH // workers.count
        own = slice(workers.index * size, (workers.index + 1) * size)
        told.append(float(step(*(rows[own] for rows in batch))))
    return told


def main() -> int:
    start_tensorflow(0)
    asked = sys.argv[1] if sys.argv[1:] else "-1"
    try:
        if asked == "--devices":
            import tensorflow as tf

            (cpu,) = tf.config.list_physical_devices("CPU")
            half = tf.config.LogicalDeviceConfiguration()
            tf.config.set_logical_device_configuration(cpu, [half, half])
            asked = "-1"
        here()
        told = [*fit_crops(), *fit_fields(int(asked))]
    except UserError as error:
        say(f"error: {error}")
        return 2
    print(json.dumps(told), flush=True)
    return 0


if __name__ == "__main__":
    status = main()
    os._exit(status)
