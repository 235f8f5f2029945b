"""The backbone, MobileNetV2: its weights, its normalizations folded, its export."""

from __future__ import annotations

import contextlib
import hashlib
import io
import itertools
import json
import os
import re
import socket
import sys
import warnings
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from hematovision.networks.card import PRETRAINED
from hematovision.pictures.images import Crops
from hematovision.program.console import UserError, first_line, quiet_stderr, say
from hematovision.program.files import read_file, written_whole

if TYPE_CHECKING:
    import keras


def start_tensorflow(seed: int) -> None:
    """Import TensorFlow without its chatter and make what follows repeatable, on a CPU to the bit.

    Also where a keras.json or the environment asks for another number format, channel order or
    fewer epochs than ours. Raises UserError where Keras itself doesn't start because of them.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    for limit in ("KERAS_MAX_EPOCHS", "KERAS_MAX_STEPS_PER_EPOCH", "KERAS_NNX_ENABLED"):
        os.environ.pop(limit, None)
    with quiet_stderr():
        try:
            import keras
            import tensorflow as tf
        except (ValueError, AttributeError, AssertionError, OSError) as error:
            raise UserError(
                f"Keras: can't start ({first_line(error)}); mend or remove keras.json in its folder"
            ) from None
    keras.config.set_floatx("float32")
    keras.config.set_epsilon(1e-7)
    keras.config.set_image_data_format("channels_last")
    tf.get_logger().setLevel("ERROR")
    keras.utils.set_random_seed(seed)
    if not tf.config.list_physical_devices("GPU"):  # there some steps have no repeatable form
        tf.config.experimental.enable_op_determinism()


def build_backbone(weights: str, crops: Crops) -> tuple[keras.Model, str]:
    """MobileNetV2 (Sandler et al., 2018) without its top, and in words where its weights are from.

    Comes back folded, see `fold_norms`. The crops (n, size, size, 3) tell its size, and settle the
    normalizations of random weights, which are off the scale without.
    """
    import keras

    shape = crops.shape[1:]
    if weights == "imagenet":
        backbone = fetch_imagenet(shape)
        if backbone is not None:
            return fold_norms(backbone), "ImageNet, from Keras"
        say("ImageNet weights can't be had from Keras here: taking those in the box")
    backbone = keras.applications.MobileNetV2(shape, include_top=False, weights=None)
    if weights == "none":
        for layer in backbone.layers:
            layer.momentum = 0.0
        backbone(crops[:128].astype(np.float32) / 127.5 - 1, training=True)
        return fold_norms(backbone), "none: random weights"
    path = PRETRAINED / "backbone.weights.h5" if weights == "imagenet" else Path(weights)
    digest = hashlib.sha256(read_file(path, "weights file")).hexdigest()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            backbone.load_weights(path)
    except Exception as error:  # h5py and Keras raise nearly everything here
        raise UserError(
            f"{path}: no weights of MobileNetV2 ({first_line(error)}); --weights wants auto, "
            "imagenet, bundled, none, a weights file of it, without top, or a model's folder"
        ) from None
    if not all(np.isfinite(array).all() for array in backbone.get_weights()):
        raise UserError(f"{path}: it holds weights that are no numbers; get the file again")
    kind = "ImageNet, in the box:" if weights == "imagenet" else "file"
    return fold_norms(backbone), f"{kind} {path.name}, sha256 {digest}"


def build_bare(shape: tuple[int | None, ...]) -> keras.Model:
    """A folded MobileNetV2 whose weights are still to be set."""
    import keras

    return fold_norms(keras.applications.MobileNetV2(shape, include_top=False, weights=None))


def fetch_imagenet(shape: tuple[int, ...]) -> keras.Model | None:
    """MobileNetV2 with ImageNet weights from Keras's cache or download, or None without network."""
    import keras

    timeout = socket.getdefaulttimeout()
    socket.setdefaulttimeout(20)  # Keras itself would wait for ever
    try:
        # Keras reports its download on stdout, and warns of sizes other than its own five.
        with contextlib.redirect_stdout(sys.stderr), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return keras.applications.MobileNetV2(shape, include_top=False, weights="imagenet")
    except Exception:  # Keras wraps whatever the network does in a bare Exception
        return None
    finally:
        socket.setdefaulttimeout(timeout)


def fold_norms(backbone: keras.Model) -> keras.Model:
    """The same network with each BatchNormalization worked into the convolution before it.

    So none is left whose statistics could drift: in Keras 3 `training=False` alone doesn't keep
    them once a backbone is trainable (keras issue 20285). And the weights, rounded here to half
    precision, are those that the exported model stores, where they would be folded anyhow.
    """
    import keras

    def without_norm(layer: keras.Layer) -> keras.Layer:
        config = layer.get_config()
        if isinstance(layer, keras.layers.BatchNormalization):
            return keras.layers.Activation("linear", name=layer.name)
        if "kernel_initializer" in config or "depthwise_initializer" in config:
            config["use_bias"] = True
        return type(layer).from_config(config)

    folded = keras.models.clone_model(
        backbone,
        clone_function=without_norm,
        call_function=lambda layer, *inputs, **options: layer(*inputs),  # only norms take options
    )
    # In MobileNetV2 every convolution is followed by its normalization.
    for convolution, norm in itertools.pairwise(backbone.layers):
        if isinstance(norm, keras.layers.BatchNormalization):
            (kernel,) = convolution.get_weights()
            gamma, beta, mean, variance = norm.get_weights()
            gain = gamma / np.sqrt(variance + norm.epsilon)
            depthwise = isinstance(convolution, keras.layers.DepthwiseConv2D)
            kernel = kernel * (gain[:, np.newaxis] if depthwise else gain)
            set_half(folded.get_layer(convolution.name), kernel, beta - mean * gain)
    return folded


def free_size(backbone: keras.Model) -> keras.Model:
    """A copy of a folded backbone that takes pictures of any size, multiples of 32."""
    folded = build_bare((None, None, 3))
    folded.set_weights(backbone.get_weights())
    return folded


def set_half(layer: keras.Layer, *weights: np.ndarray) -> None:
    """Set a layer's weights, rounded to what half precision can hold."""
    layer.set_weights([np.asarray(w).astype(np.float16).astype(np.float32) for w in weights])


def convert(model: keras.Model, half: bool = True) -> bytes:
    """Keras model to .tflite; `half` stores the weights in half precision."""
    import tensorflow as tf

    with quiet_stderr(), contextlib.redirect_stdout(io.StringIO()):
        converter = tf.lite.TFLiteConverter.from_keras_model(model)
        if half:
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
            converter.target_spec.supported_types = [tf.float16]
        return converter.convert()


def save_keras(model: keras.Model, path: Path) -> None:
    """Write a .keras file whose bytes hang on the model alone, not on the hour of its saving.

    Whole or not at all. Keras stamps the time into the metadata and on each member of the zip, and
    numbers what layers share by where it lies in memory.
    """
    with written_whole(path) as temporary:
        model.save(temporary)
        with zipfile.ZipFile(temporary) as stamped:
            members = {name: stamped.read(name) for name in stamped.namelist()}
        members["config.json"] = number_anew(members["config.json"])
        about = json.loads(members["metadata.json"])
        members["metadata.json"] = json.dumps(about | {"date_saved": ""}).encode()
        with zipfile.ZipFile(temporary, "w") as plain:
            for name, data in members.items():
                plain.writestr(zipfile.ZipInfo(name), data)


def number_anew(config: bytes) -> bytes:
    """A Keras model's configuration with its shared objects numbered as they come."""
    numbers: dict[bytes, int] = {}

    def rename(found: re.Match[bytes]) -> bytes:
        return b"%s%d" % (found[1], numbers.setdefault(found[2], len(numbers)))

    return re.sub(rb'("shared_object_id": )(\d+)', rename, config)
