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

from hematovision.archive.contents import Split
from hematovision.program.console import UserError, say
from hematovision.training.backbone import start_tensorflow
from hematovision.training.crops import fit as crops_fit
from hematovision.training.crops.epoch import Chunk, draw_batches
from hematovision.training.crops.examples import Examples, find_unshown
from hematovision.training.fields.course import RATE
from hematovision.training.fields.fit import BATCH, make_step
from hematovision.training.workers import find_workers

LEAVES = ["RBC", "WBC", "Platelets"]


def fit_crops() -> list[float]:
    """Epochs of 84 crops and 20 strangers, whose last batch isn't whole."""
    import keras
    from keras import layers

    rng = np.random.default_rng(0)
    label = np.array(LEAVES)[np.arange(84) % 3]
    pixels = rng.integers(0, 256, (84, 16, 16, 3)).astype(np.uint8)
    split = Split(pixels, np.arange(84) % 2, label, label, np.tile([0, 0, 9, 9], (84, 1)),
                  np.full(84, "lab"))  # fmt: skip
    members = label[:, np.newaxis] == LEAVES
    examples = Examples(
        LEAVES, split, members, find_unshown(members), 84, split, members, LEAVES, ""
    )
    maps = keras.Input((4, 4, 3))
    features = layers.GlobalAveragePooling2D()(layers.Conv2D(8, 3, activation="relu")(maps))
    heads = {"logits": layers.Dense(3)(features), "novelty": layers.Dense(1)(features)}
    trainer = keras.Model(maps, heads)
    network: Any = SimpleNamespace(
        frozen=lambda crops: crops.reshape(-1, 4, 4, 4, 4, 3).mean(axis=(2, 4)) / 255
    )
    workers, told = find_workers(), []
    workers.follow_chief(trainer.variables)
    # Adam would hide a gradient of another size.
    keras.optimizers.Adam = lambda rate, **_: keras.optimizers.SGD(0.3)
    step, _ = crops_fit.make_step(trainer, 20, 1.0)

    def draw(epoch: int, index: int) -> list[Chunk]:
        """What a worker of two learns from in an epoch: of every other crop."""
        own = examples.keep(np.arange(84) % 2 == index)
        return list(draw_batches(network, own, None, (42, 16), [epoch, index]))

    for epoch in range(3):
        drawn = [draw(epoch, k) for k in ([workers.index] if workers.count > 1 else [0, 1])]
        for shares in zip(*drawn, strict=True):  # together they are a batch
            told += step(*map(np.concatenate, zip(*shares, strict=True))).tolist()
    return told + trainer.get_weights()[0].ravel()[:5].tolist()


def fit_fields(dies_after: int) -> list[float]:
    """Steps of a network with normalizations, on views with few cells, each in another part."""
    import keras
    from keras import layers

    workers, told = find_workers(), []
    pictures = keras.Input((None, None, 3))
    x = layers.Conv2D(8, 3, 4, "same", use_bias=False)(pictures / 255)
    x = layers.BatchNormalization(synchronized=workers.replicas > 1)(x)
    x = layers.Conv2D(6, 1)(layers.ReLU()(x))
    joined = keras.ops.concatenate(
        [keras.ops.sigmoid(x[..., :-4]), keras.ops.exp(x[..., -4:])], axis=-1
    )
    step, variables = make_step(keras.Model(pictures, joined), 20, RATE)
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
        find_workers()
        told = [*fit_crops(), *fit_fields(int(asked))]
    except UserError as error:
        say(f"error: {error}")
        return 2
    print(json.dumps(told), flush=True)
    return 0


if __name__ == "__main__":
    status = main()
    os._exit(status)
