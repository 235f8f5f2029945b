"""Precision: on GPUs that can, networks compute in bfloat16 while they are trained.

    with mixed_precision(trainer, kept):    # weights stay in float32, and so do export and answers
        ...

Their range is float32's, so that no loss needs scaling (Kalamkar et al., 2019).
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import keras

CAPABLE = (8, 0)  # compute capability from which a GPU multiplies in bfloat16


def choose_policy() -> str:
    """Keras's name of the precision to train in: mixed, where every GPU can, else float32."""
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    details = [tf.config.experimental.get_device_details(gpu) for gpu in gpus]
    able = [details.get("compute_capability", (0, 0)) >= CAPABLE for details in details]
    return "mixed_bfloat16" if able and all(able) else "float32"


def list_layers(model: keras.Model) -> Iterator[keras.Layer]:
    """All layers of a model, those of the models in it too."""
    for layer in model.layers:
        yield layer
        if hasattr(layer, "layers"):
            yield from list_layers(layer)


@contextlib.contextmanager
def mixed_precision(model: keras.Model, kept: Sequence[str]) -> Iterator[None]:
    """Within it, graphs of the model that are built anew compute in the precision chosen, all but
    the layers `kept`, by name: its last ones, whose answers the losses take."""
    policy = choose_policy()
    if policy == "float32":
        yield
        return
    layers = [layer for layer in list_layers(model) if layer.name not in kept]
    for layer in layers:
        layer.dtype_policy = policy
    try:
        yield
    finally:
        for layer in layers:
            layer.dtype_policy = "float32"
