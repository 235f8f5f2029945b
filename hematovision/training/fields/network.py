"""The network for fields: built on MobileNetV2's stages, and as `find_cells` wants it."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from hematovision.networks.detector import NAME
from hematovision.networks.tiles import CELL, Run
from hematovision.pictures.frame import QUARTER
from hematovision.training.workers import find_workers

if TYPE_CHECKING:
    import keras

FIRST_BLOCK = 4  # blocks of MobileNetV2 below this one keep their weights
CHANNELS = 64
POPULATION = "population"  # what the names of the layers begin with that describe it


def build_field_network(backbone: keras.Model, labels: int, norms: bool = True) -> keras.Model:
    """Pictures (n, h, w, 3) in [0, 255] to heat and reach, joined: (n, h / 4, w / 4, labels + 4).

    `backbone`: MobileNetV2 with its normalizations folded (`backbone.fold_norms`), any size.
    `norms`: whether the layers above it have any; a trained network's are folded.
    """
    import keras
    from keras import layers, ops

    def mix(x: Any, size: int) -> Any:
        x = layers.Conv2D(CHANNELS, size, padding="same", use_bias=not norms)(x)
        norm = layers.BatchNormalization(momentum=0.97, synchronized=find_workers().replicas > 1)
        return norm(x) if norms else x

    def block(x: Any, size: int) -> Any:
        return layers.ReLU()(mix(x, size))

    frozen = True
    for layer in backbone.layers:
        frozen &= not layer.name.startswith(f"block_{FIRST_BLOCK}_")
        layer.trainable = not frozen
    stages = ("block_3_expand_relu", "block_6_expand_relu", "block_13_expand_relu", "out_relu")
    features = keras.Model(backbone.input, [backbone.get_layer(n).output for n in stages])
    pictures = keras.Input((None, None, 3), name="pictures")
    *finer, coarsest = features(pictures / 127.5 - 1.0)
    x = block(coarsest, 1)
    for stage in reversed(finer):
        x = block(layers.UpSampling2D()(x) + mix(stage, 1), 3)
    x = x + describe_population(x)
    rare = keras.initializers.Constant(-4.0)  # most places are no centre (Lin et al., 2017)
    half = keras.initializers.Constant(float(np.log(CELL / 2 / QUARTER)))
    x = block(x, 3)
    heat = layers.Conv2D(labels, 1, bias_initializer=rare, name="heat")(x)
    reach = layers.Conv2D(4, 1, bias_initializer=half, name="reach")(x)
    joined = ops.concatenate([ops.sigmoid(heat), ops.exp(ops.clip(reach, -4.0, 6.0))], axis=-1)
    return keras.Model(pictures, joined, name=NAME)


def describe_population(x: Any) -> Any:
    """What all cells in view have in common, to be joined to what is seen of each (n, 1, 1, c): a
    pooled description of the features (n, h, w, c), as of Hu et al. (2018), but added, so that a
    cell is seen against the many.

    It adds nothing at first.
    """
    from keras import layers

    pooled = layers.GlobalAveragePooling2D(keepdims=True)(x)
    hidden = layers.Conv2D(CHANNELS, 1, activation="relu", name=f"{POPULATION}_seen")(pooled)
    return layers.Conv2D(CHANNELS, 1, kernel_initializer="zeros", name=f"{POPULATION}_told")(hidden)


def make_run(network: keras.Model) -> Run:
    """The Keras network as `find_cells` wants it."""
    import tensorflow as tf

    signature = [tf.TensorSpec((1, None, None, 3), tf.float32)]
    forward = tf.function(partial(network, training=False), input_signature=signature)

    def run(picture: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        joined = forward(picture[np.newaxis].astype(np.float32)).numpy()[0]
        return joined[..., :-4], joined[..., -4:]

    return run
