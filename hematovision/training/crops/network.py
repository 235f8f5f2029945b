"""The network for crops: MobileNetV2 cut in two, its heads, the whole put together.

What lies below the cut stays as it is. What is above learns two things at once: which of the leaves
of the tree of labels (`taxonomy`) a crop shows, and whether it shows a cell at all.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from hematovision.cells.labels import is_rbc
from hematovision.cells.taxonomy import sum_leaves
from hematovision.networks.card import NAME
from hematovision.networks.litert import Network
from hematovision.pictures.images import Crops, scale_pixels, slices
from hematovision.pictures.light import GROUND
from hematovision.program.console import UserError
from hematovision.training.backbone import convert, set_half

if TYPE_CHECKING:
    import keras

# Blocks of MobileNetV2 below this one keep their ImageNet weights.
FIRST_BLOCK = 10
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

    def __call__(self, crops: Crops) -> np.ndarray:
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
    novelty: keras.Layer  # features, and what `pool_maps` tells of the activations, to novelty
    trainer: keras.Model  # activations to {"logits": (n, leaves), "novelty": (n, 1)}, with dropout

    def ask(self, crops: Crops) -> tuple[np.ndarray, np.ndarray]:
        """Logits (n, leaves) and novelty (n,) of uint8 crops (n, size, size, 3)."""
        parts = [self.trainer.predict(self.frozen(x), batch_size=128, verbose=0)
                 for x in slices(crops)]  # fmt: skip
        logits, novelty = (np.concatenate([p[k] for p in parts]) for k in ("logits", "novelty"))
        return logits, novelty[:, 0]


def pool_maps(maps: Any) -> Any:
    """Mean and spread of each channel of the activations (n, h, w, c): (n, 2 c).

    The frozen blocks still tell textures apart that the fine-tuned ones learn to ignore.
    """
    from keras import ops

    mean = ops.mean(maps, axis=(1, 2), keepdims=True)
    spread = ops.sqrt(ops.mean(ops.square(maps - mean), axis=(1, 2)) + 1e-6)
    return ops.concatenate([ops.squeeze(mean, axis=(1, 2)), spread], axis=1)


def build_crop_network(backbone: keras.Model, leaves: int) -> CropNetwork:
    """A folded backbone cut in two, a head for as many leaves, and one for novelty."""
    import keras
    from keras import layers, ops

    lower, upper = split_backbone(backbone)
    head, novelty = layers.Dense(leaves, name="head"), layers.Dense(1, name="strange")
    features = layers.Dropout(0.2)(upper.output)
    seen = ops.concatenate([features, pool_maps(upper.input)], axis=1)
    trainer = keras.Model(upper.input, {"logits": head(features), "novelty": novelty(seen)})
    return CropNetwork(lower, Frozen(lower), upper, head, novelty, trainer)


def merge_leaves(leaves: Sequence[str], classes: Sequence[str], task: str) -> np.ndarray | None:
    """Which leaves make up each class of the task: (leaves, classes) bool, or None where each is
    its own. A parent among the classes is the sum of its kinds."""
    if task == "multiclass":
        merge = sum_leaves(classes, leaves).T
        return None if np.array_equal(merge, np.eye(len(leaves), dtype=bool)) else merge
    is_red = np.array([is_rbc(leaf) for leaf in leaves])
    return np.stack([~is_red, is_red], axis=1)


def assemble(network: CropNetwork, temperature: float, merge: np.ndarray | None) -> keras.Model:
    """One model: crops in [0, 1] to {"probabilities": (n, k), "novelty": (n,)}.

    `temperature` divides the logits; `merge` (leaves, k) adds leaves up to the task's classes.
    """
    import keras
    from keras import layers, ops

    crops = keras.Input(network.lower.input.shape[1:], name="crops")
    activations = network.lower(crops)
    features = network.upper(activations)
    leaves = network.head.get_weights()[0].shape[1]
    probabilities = layers.Dense(leaves, activation="softmax", name="leaves")(features)
    if merge is not None:
        add_up = layers.Dense(merge.shape[1], use_bias=False, name="classes")
        probabilities = ops.minimum(add_up(probabilities), 1.0)
        set_half(add_up, merge)
    seen = ops.concatenate([features, pool_maps(activations)], axis=1)
    strange = ops.squeeze(layers.Dense(1, name="strange")(seen), axis=1)
    whole = keras.Model(crops, {"probabilities": probabilities, "novelty": strange}, name=NAME)
    set_heads(whole, network, temperature)
    return whole


def set_heads(assembled: keras.Model, network: CropNetwork, temperature: float) -> None:
    """Give a model assembled of a network the heads that it has come to."""
    head = [weights / temperature for weights in network.head.get_weights()]
    set_half(assembled.get_layer("leaves"), *head)
    set_half(assembled.get_layer("strange"), *network.novelty.get_weights())


def ask_keras(model: keras.Model, crops: Crops) -> np.ndarray:
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
