"""The network for crops: MobileNetV2 cut in two, its head, its fit, the whole put together.

What lies below the cut stays as it is, so that its activations are computed once per crop seen.
"""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from hematovision.archive import Split
from hematovision.cells import is_rbc
from hematovision.classifier import NAME
from hematovision.console import UserError, say
from hematovision.images import GROUND, scale_pixels, slices
from hematovision.litert import Network
from hematovision.training.backbone import convert, set_half
from hematovision.training.calibration import (
    draw_strangers,
    fit_logistic,
    fit_novelty,
    measure_loss,
    pool_maps,
)
from hematovision.training.views import draw_views

if TYPE_CHECKING:
    import keras

# Blocks of MobileNetV2 below this one keep their ImageNet weights.
FIRST_BLOCK = 10
BATCH, RATE = 32, 1e-4
# The least brightness that the empty ground of a crop is taken to have had: like all constants of
# the model exact in half precision, in which it is exported.
DARKEST_GROUND = 3 / 16


def split_backbone(backbone: keras.Model) -> tuple[keras.Model, keras.Model]:
    """Cut the backbone below FIRST_BLOCK: (crops in [0, 1] -> activations, these -> features).

    The part below stays as it is, so that its activations need computing once per crop seen, and
    by LiteRT, several times as fast on a CPU as TensorFlow.
    """
    import keras
    from keras import ops

    names = [layer.name for layer in backbone.layers]
    seam = backbone.layers[names.index(f"block_{FIRST_BLOCK}_expand") - 1]
    crops = keras.Input(backbone.input.shape[1:], name="crops")
    # White patch (Land, 1977): what is brightest, an eighth of the crop wide, is empty ground, and
    # ground is given one colour. Light and white balance differ most between laboratories.
    patches = keras.layers.AveragePooling2D(crops.shape[1] // 8)(crops)
    white = ops.maximum(ops.max(patches, axis=(1, 2), keepdims=True), DARKEST_GROUND)
    # MobileNetV2 was trained on [-1, 1].
    scaled = crops / white * (2 * GROUND) - 1.0
    lower = keras.Model(crops, keras.Model(backbone.input, seam.output)(scaled), name="lower")
    lower.trainable = False
    pooled = keras.layers.GlobalAveragePooling2D(name="features")(backbone.output)
    return lower, keras.Model(seam.output, pooled, name="upper")


class Frozen:
    """The frozen lower part as LiteRT runs it: uint8 crops to float16 activations."""

    BATCH = 16

    def __init__(self, lower: keras.Model) -> None:
        self._network = Network(convert(lower, half=False), threads=os.cpu_count())
        self._shape = lower.output.shape[1:]

    def __call__(self, crops: np.ndarray) -> np.ndarray:
        activations = np.empty((len(crops), *self._shape), np.float16)
        batch = np.zeros((self.BATCH, *crops.shape[1:]), np.float32)
        for start in range(0, len(crops), self.BATCH):
            part = crops[start : start + self.BATCH]
            batch[: len(part)] = scale_pixels(part)
            activations[start : start + len(part)] = self._network(batch)[0][: len(part)]
        return activations


class CropNetwork(NamedTuple):
    """The network in the pieces that it's trained in."""

    lower: keras.Model  # crops in [0, 1] to activations, frozen
    frozen: Frozen  # the same as LiteRT runs it
    upper: keras.Model  # activations to features, fine-tuned
    head: keras.Layer  # features to logits
    trainer: keras.Model  # activations to logits, by way of dropout

    def logits(self, crops: np.ndarray) -> np.ndarray:
        """Logits (n, labels) of uint8 crops (n, size, size, 3)."""
        return self.trainer.predict(self.frozen(crops), batch_size=128, verbose=0)


def build_crop_network(backbone: keras.Model, labels: int) -> CropNetwork:
    """A folded backbone cut in two, and a head for as many labels."""
    import keras

    lower, upper = split_backbone(backbone)
    head = keras.layers.Dense(labels, name="logits")
    trainer = keras.Model(upper.input, head(keras.layers.Dropout(0.2)(upper.output)))
    return CropNetwork(lower, Frozen(lower), upper, head, trainer)


def encode_annotated(train: Split, val: Split) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """All annotated labels (k,), whatever the task, and their codes for both splits, (n,) each.

    "RBC or not" is easier to see for a network that knows what a white cell is. A label that
    training never saw (in the binary task it may) counts as one that it did, on the same side.
    """
    labels = np.unique(train.label)
    others = [label for label in labels if not is_rbc(label)]
    trained = np.where(np.isin(val.label, labels), val.label, others[0])
    return labels, np.searchsorted(labels, train.label), np.searchsorted(labels, trained)


def make_validation(
    network: CropNetwork, crops: np.ndarray, code: np.ndarray
) -> Callable[[], dict[str, float]]:
    """A function that gives loss and accuracy on held-out crops, whose activations it keeps."""
    activations = network.frozen(crops)

    def validate() -> dict[str, float]:
        logits = network.trainer.predict(activations, batch_size=128, verbose=0)
        right = (logits.argmax(axis=1) == code).mean()
        return {"val_loss": measure_loss(logits, code), "val_accuracy": float(right)}

    return validate


def weigh_classes(code: np.ndarray) -> np.ndarray:
    """Weight (k,) of a class in the loss: the inverse square root of its frequency, mean 1 a crop.

    Between none, which neglects the rare, and "balanced", which lets few examples shout.
    """
    count = np.bincount(code)
    weight = 1 / np.sqrt(count)
    return weight * len(code) / (weight * count).sum()


def fit_head(
    network: CropNetwork,
    crops: np.ndarray,
    code: np.ndarray,
    validate: Callable[[], dict[str, float]],
) -> list[dict[str, Any]]:
    """Softmax regression on the features of the untouched backbone; returns the history.

    Fine-tuning from a fitted head distorts the backbone less (Kumar et al., 2022).
    """
    features = network.upper.predict(network.frozen(crops), batch_size=128, verbose=0)
    weights = dict(enumerate(weigh_classes(code)))
    kernel, bias = fit_logistic(features, code, C=0.01, max_iter=200, class_weight=weights)
    if kernel.shape[1] == 1:  # with two classes scikit-learn keeps the difference only
        kernel, bias = np.hstack([-kernel, kernel]) / 2, np.array([-bias[0], bias[0]]) / 2
    network.head.set_weights((kernel, bias))
    history = [{"phase": "head", "epoch": 0, **validate()}]
    say_epoch(history[0])
    return history


def fine_tune(
    network: CropNetwork,
    split: Split,
    code: np.ndarray,
    validate: Callable[[], dict[str, float]],
    epochs: int,
    seed: int,
) -> list[dict[str, Any]]:
    """Fit upper blocks and head on a new view of every crop each epoch; returns the history.

    Adam with a short warm-up and a cosine down to nothing, labels smoothed by 0.02. Nothing is
    chosen by the validation split here: the last epoch is the result. In the end the weights are
    rounded to half precision, so that export changes no answer.
    """
    import keras

    steps = epochs * -(-len(code) // BATCH)
    warmup = steps // 12
    rate = keras.optimizers.schedules.CosineDecay(
        RATE / 20, max(1, steps - warmup), alpha=0.01, warmup_target=RATE, warmup_steps=warmup
    )
    weights = weigh_classes(code)[code]
    target = keras.utils.to_categorical(code)
    network.trainer.compile(
        optimizer=keras.optimizers.Adam(rate, beta_2=0.99),
        loss=keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.02),
        weighted_metrics=["accuracy"],
    )
    history = []
    for epoch in range(1, epochs + 1):
        start = time.perf_counter()
        views = draw_views(split, [seed, 0, epoch])
        activations = np.concatenate([network.frozen(x) for x in views])
        fitted = network.trainer.fit(
            activations, target, batch_size=BATCH, sample_weight=weights, verbose=0, shuffle=True
        )
        last = {name: float(fitted.history[name][-1]) for name in ("loss", "accuracy")}
        row = {"phase": "fine-tune", "epoch": epoch, **last, **validate()}
        history.append(row | {"seconds": time.perf_counter() - start})
        say_epoch(history[-1])
    for layer in (*network.upper.layers, network.head):
        set_half(layer, *layer.get_weights())
    return history


def say_epoch(row: dict[str, Any]) -> None:
    """One line of progress for a row of the history."""
    say(
        f"{row['phase']} {row['epoch']}: "
        + ", ".join(f"{k} {row[k]:.4f}" for k in ("loss", "val_loss", "val_accuracy") if k in row)
    )


def learn_novelty(network: CropNetwork, split: Split, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """What tells pictures of no cell from the training crops and views of them: kernel and bias."""
    familiar = itertools.chain(slices(split.X), draw_views(split, [seed, 2]))
    rng = np.random.default_rng(seed)
    strange = draw_strangers(len(split.y) // 2, split.X.shape[1], rng)
    return fit_novelty(
        *(
            np.concatenate([pool_maps(network.frozen(x), x) for x in crops])
            for crops in (familiar, strange)
        )
    )


def merge_labels(labels: Sequence[str], task: str) -> np.ndarray | None:
    """Which labels make up each class of the task: (labels, k) bool, or None where all stay."""
    if task == "multiclass":
        return None
    is_red = np.array([is_rbc(label) for label in labels])
    return np.stack([~is_red, is_red], axis=1)


def assemble(
    network: CropNetwork,
    temperature: float,
    merge: np.ndarray | None,
    novelty: tuple[np.ndarray, np.ndarray],
) -> keras.Model:
    """One model: crops in [0, 1] to {"probabilities": (n, k), "novelty": (n,)}.

    `temperature` divides the logits; `merge` (labels, k) adds labels up to the task's classes;
    `novelty`: kernel and bias of what is unlike any cell.
    """
    import keras
    from keras import layers, ops

    def fixed(inputs: Any, *weights: np.ndarray, **options: Any) -> Any:
        dense = layers.Dense(weights[0].shape[1], use_bias=len(weights) > 1, **options)
        outputs = dense(inputs)
        set_half(dense, *weights)
        return outputs

    crops = keras.Input(network.lower.input.shape[1:], name="crops")
    activations = network.lower(crops)
    head = tuple(w / temperature for w in network.head.get_weights())
    features = network.upper(activations)
    probabilities = fixed(features, *head, activation="softmax", name="labels")
    if merge is not None:
        probabilities = ops.minimum(fixed(probabilities, merge, name="classes"), 1.0)
    pooled = []
    for maps in (activations, crops):
        mean = ops.mean(maps, axis=(1, 2), keepdims=True)
        spread = ops.sqrt(ops.mean(ops.square(maps - mean), axis=(1, 2)))
        pooled += [ops.squeeze(mean, axis=(1, 2)), spread]
    strange = ops.squeeze(fixed(ops.concatenate(pooled, axis=1), *novelty, name="strange"), axis=1)
    return keras.Model(crops, {"probabilities": probabilities, "novelty": strange}, name=NAME)


def ask_keras(model: keras.Model, crops: np.ndarray) -> np.ndarray:
    """The Keras model's own probabilities (n, k) for uint8 crops (n, size, size, 3)."""
    asked = (scale_pixels(x).astype(np.float32) for x in slices(crops))
    return np.concatenate([model.predict_on_batch(x)["probabilities"] for x in asked])


def check_export(keras_answers: np.ndarray, exported_answers: np.ndarray) -> float:
    """Largest difference of a probability (n, k) between the two; UserError from 0.001 up."""
    difference = float(np.abs(keras_answers - exported_answers).max(initial=0.0))
    if not difference < 0.001:  # also where it is no number
        raise UserError(
            f"{NAME}.tflite: differs from the Keras model by {difference:.4f} in a probability "
            "on the validation split; nothing was written, please report it with your TensorFlow"
        )
    return difference
