"""One worker of a training, or the only one: prints the losses of some steps of either network.

python tests/worker.py            # alone
TF_CONFIG=... python tests/worker.py [STEPS]    # of several; it dies after so many steps
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from types import SimpleNamespace

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np

from hematovision.archive import Split
from hematovision.console import UserError, say
from hematovision.training.backbone import start_tensorflow
from hematovision.training.crop_fit import draw_epoch, marginal_loss, share_right
from hematovision.training.crop_steps import fit_shares, make_crop_step
from hematovision.training.field_fit import BATCH, make_step
from hematovision.training.workers import here


def fit_crops() -> list[float]:
    """An epoch of 84 crops and 21 strangers, whose last batch isn't whole."""
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
    network = SimpleNamespace(
        frozen=lambda crops: crops.reshape(-1, 4, 4, 4, 4, 3).mean(axis=(2, 4)) / 255
    )
    workers, told = here(), []
    workers.follow_chief(trainer.variables)
    step = make_crop_step(trainer, workers, marginal_loss, share_right)
    for epoch in range(3):
        for part, shares, rows in draw_epoch(network, split, members, [epoch], workers):
            told += fit_shares(step, *part, shares, rows).values()
    return told + trainer.get_weights()[0].ravel()[:5].tolist()


def fit_fields(dies_after: int) -> list[float]:
    """Steps of a network with normalizations, on views with few cells, each in another part."""
    import keras
    from keras import layers

    workers, told = here(), []
    pictures = keras.Input((None, None, 3))
    x = layers.Conv2D(8, 3, 4, "same", use_bias=False)(pictures / 255)
    x = layers.BatchNormalization(synchronized=workers.count > 1)(x)
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
        told.append(float(step(*map(workers.share, batch))))
    return told


def main() -> int:
    start_tensorflow(0)
    try:
        here()
        told = [*fit_crops(), *fit_fields(int(sys.argv[1]) if sys.argv[1:] else -1)]
    except UserError as error:
        say(f"error: {error}")
        return 2
    print(json.dumps(told), flush=True)
    return 0


if __name__ == "__main__":
    status = main()
    os._exit(status)
