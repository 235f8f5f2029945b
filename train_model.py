"""Train a blood cell classifier on an archive of crops, by transfer learning from MobileNetV2.

    python3 train_model.py                               # preprocessed_data.npz -> model/
    python3 train_model.py --weights PATH --epochs 4

Writes ``hematovision.keras`` (crops in [0, 1] to probabilities), ``hematovision.tflite`` (the same
for prediction, without TensorFlow), ``hematovision.json`` (the model card), ``history.csv`` and
``training_curves.png``. The decision threshold and the calibration see the validation split only;
the test split is not read.
"""

from __future__ import annotations

import contextlib
import csv
import hashlib
import io
import itertools
import json
import os
import platform
import socket
import sys
import threading
import time
import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import cv2
import numpy as np

from field_detector import NAME as FIELDS_NAME
from field_detector import FieldSplit, expose, fit_detector
from preprocess_data import (
    BACKGROUND,
    HERE,
    UserError,
    command,
    crop_content,
    is_rbc,
    option,
    parse_options,
    progress,
    quiet_stderr,
    say,
    scale_pixels,
    square_crop,
    written_whole,
)

if TYPE_CHECKING:
    import keras
    from matplotlib.figure import Figure

PRETRAINED = HERE / "data" / "pretrained"
NAME = "hematovision"
TRAIN = "train one with train_model.py"
# Blocks of MobileNetV2 below this one keep their ImageNet weights.
FIRST_BLOCK = 10
BATCH, RATE = 32, 1e-4
SLICE = 256  # crops that are worked on at a time, of however many there are
# Brightness that the empty ground of a crop is brought to, and the least that it's taken to have
# had: like all constants of the model exact in half precision, in which it is exported.
GROUND, DARKEST_GROUND = 27 / 32, 3 / 16
FAMILIAR = 99  # percentage of the validation crops, as they are and as views, called familiar
# Okabe and Ito's colours, which colour-blind readers can tell apart.
BLUE, ORANGE, GREY = "#0072B2", "#D55E00", "#7F7F7F"
VERSIONED = ("tensorflow", "keras", "numpy", "scikit-learn", "opencv-python-headless")
DAMAGED = (zipfile.BadZipFile, zlib.error)


@dataclass(frozen=True)
class Options:
    data: Path = option(Path("preprocessed_data.npz"), "archive made by preprocess_data.py")
    output_dir: Path = option(Path("model"), "folder for the trained model")
    weights: str = option(
        "auto", "start from: auto, imagenet, bundled, none, or a MobileNetV2 weights file"
    )
    epochs: int = option(4, "passes over the training crops while fine-tuning", low=0, high=1000)
    field_epochs: int = option(
        36, "passes over the training fields to learn to find cells in them (0: don't)",
        low=0, high=1000,
    )  # fmt: skip
    seed: int = option(42, "seed of everything random", low=0)


# --- the archive ----------------------------------------------------------------------------------


class Split(NamedTuple):
    """One split of the archive."""

    X: np.ndarray  # (n, size, size, 3) uint8, RGB
    y: np.ndarray  # (n,) index into the classes
    label: np.ndarray  # (n,) text, what was annotated
    source: np.ndarray  # (n,) file name of the field
    box: np.ndarray  # (n, 4) xmin, ymin, xmax, ymax in pixels of the field


class Archive(NamedTuple):
    """What preprocess_data.py wrote, as far as it was asked for."""

    splits: dict[str, Split]
    fields: dict[str, FieldSplit]
    classes: list[str]
    metadata: dict[str, Any]
    digest: str  # SHA-256 of the file


def load_archive(path: Path, wanted: Sequence[str]) -> Archive:
    """Read the wanted splits; crops come back as the uint8 they were cut as, half of what they are.

    Raises UserError where the file is missing, damaged, or not one of our archives.
    """
    hint = "make one with preprocess_data.py"
    splits: dict[str, Split] = {}
    fields: dict[str, FieldSplit] = {}
    try:
        with open(path, "rb") as file:
            digest = hashlib.sha256()
            while chunk := file.read(1 << 20):
                digest.update(chunk)
        if not zipfile.is_zipfile(path):
            raise ValueError("it is no .npz file")
        with np.load(path, allow_pickle=False) as archive:
            metadata = json.loads(str(archive["metadata"]))
            classes = archive["classes"].tolist()
            for name in wanted:
                columns = [archive[f"{c}_{name}"] for c in ("y", "label", "source", "box")]
                splits[name] = Split(unscale_pixels(archive[f"X_{name}"]), *columns)
                fields[name] = FieldSplit(*(archive[f"{c}_{name}"] for c in FieldSplit.KEYS))
        shape = (metadata["image_size"], metadata["image_size"], 3)
    except FileNotFoundError:
        raise UserError(f"{path}: no such archive; {hint}") from None
    except KeyError as error:
        raise UserError(f"{path}: it holds no {error}; {hint}") from None
    except (OSError, ValueError, TypeError, EOFError, AttributeError, *DAMAGED) as error:
        raise UserError(f"{path}: not a readable archive ({error}); {hint}") from None
    for name, split in splits.items():
        if any(len(column) != len(split.y) for column in split) or split.X.shape[1:] != shape:
            raise UserError(f"{path}: the arrays of split {name} don't fit together; {hint}")
    for name, field in fields.items():
        if not field.fits():
            raise UserError(f"{path}: the whole fields of split {name} don't fit together; {hint}")
    return Archive(splits, fields, classes, metadata, digest.hexdigest())


def unscale_pixels(crops: np.ndarray) -> np.ndarray:
    """Map crops in [0, 1] to uint8, the inverse of `preprocess_data.scale_pixels`, in slices."""
    pixels = np.empty(crops.shape, np.uint8)
    for part, out in zip(slices(crops), slices(pixels), strict=True):
        np.rint(part * np.float32(255), out=out, casting="unsafe")
    return pixels


def slices(crops: np.ndarray) -> Iterator[np.ndarray]:
    """The crops SLICE at a time: as floats, or as many views, they would fill the memory."""
    return (crops[start : start + SLICE] for start in range(0, len(crops), SLICE))


def read_card(folder: Path) -> dict[str, Any]:
    """The model card of `folder`; UserError where it is missing or no card."""
    path = folder / f"{NAME}.json"
    try:
        card = json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}; {TRAIN}") from None
    except ValueError as error:
        raise UserError(
            f"{folder}: not a HematoVision model ({first_line(error)}); {TRAIN}"
        ) from None
    if not isinstance(card, dict):
        raise UserError(f"{folder}: not a HematoVision model (the card is no object); {TRAIN}")
    return card


# --- the exported model, as every script uses it --------------------------------------------------


class Classifier:
    """The exported model and its card: crops in, probabilities out, without TensorFlow.

    Each thread gets an interpreter of its own and hands it one crop at a time, so that an answer
    depends neither on the number of threads nor on which other crops were asked about.
    """

    def __init__(self, model: bytes, card: dict[str, Any]) -> None:
        self.card = card
        self.classes: list[str] = card["classes"]
        self.image_size: int = card["image_size"]
        self.threshold: float | None = card["threshold"]
        self.novelty_threshold: float = card["novelty_threshold"]
        self._model = model
        self._local = threading.local()
        # A damaged model shows here, not in some thread; and LiteRT says hello only once.
        with quiet_stderr():
            interpreter = self._interpreter()
        shape = interpreter.get_input_details()[0]["shape"][1:].tolist()
        outputs = [len(interpreter.get_tensor(i).ravel()) for i in self._local.outputs]
        if shape != [self.image_size, self.image_size, 3] or outputs != [len(self.classes), 1]:
            raise ValueError(f"{NAME}.json and {NAME}.tflite belong to different models")

    @classmethod
    def load(cls, folder: Path) -> Classifier:
        """Read model and card from `folder`; UserError where they are missing or damaged."""
        card = read_card(folder)
        try:
            return cls((folder / f"{NAME}.tflite").read_bytes(), card)
        except OSError as error:
            raise UserError(f"{error.filename}: {error.strerror}; {TRAIN}") from None
        except (ValueError, LookupError, TypeError, RuntimeError) as error:
            raise UserError(
                f"{folder}: not a HematoVision model ({first_line(error)}); {TRAIN}"
            ) from None

    def _interpreter(self) -> Any:
        if not hasattr(self._local, "interpreter"):
            from ai_edge_litert.interpreter import Interpreter

            interpreter = Interpreter(model_content=self._model, num_threads=1)
            interpreter.allocate_tensors()
            self._local.input = interpreter.get_input_details()[0]["index"]
            outputs = {len(o["shape"]): o["index"] for o in interpreter.get_output_details()}
            self._local.outputs = outputs[2], outputs[1]
            self._local.interpreter = interpreter
        return self._local.interpreter

    def judge(self, crop: np.ndarray) -> tuple[np.ndarray, float]:
        """Probabilities (k,) and novelty of one crop (size, size, 3) in [0, 1]."""
        interpreter = self._interpreter()
        interpreter.set_tensor(self._local.input, crop[np.newaxis].astype(np.float32))
        interpreter.invoke()
        probabilities, novelty = (interpreter.get_tensor(i)[0] for i in self._local.outputs)
        return probabilities, float(novelty)

    def predict_proba(self, crops: np.ndarray, workers: int = 2) -> tuple[np.ndarray, np.ndarray]:
        """Probabilities (n, k) and novelty (n,) of uint8 crops (n, size, size, 3)."""
        with ThreadPoolExecutor(workers) as pool:
            judged = pool.map(lambda crop: self.judge(scale_pixels(crop)), crops)
            rows = list(progress(judged, len(crops), "classifying"))
        probabilities = np.array([p for p, _ in rows]).reshape(-1, len(self.classes))
        return probabilities, np.array([d for _, d in rows], float)

    def predict(self, probabilities: np.ndarray) -> np.ndarray:
        """Class index (n,) for probabilities (n, k): by the card's threshold where there is one."""
        if self.threshold is None:
            return probabilities.argmax(axis=1)
        return (probabilities[:, self.classes.index("RBC")] >= self.threshold).astype(int)

    def is_uncertain(self, novelty: np.ndarray) -> np.ndarray:
        """Whether crops are unlike anything the model was trained on; see `fit_novelty`."""
        return novelty > self.novelty_threshold


# --- backbone -------------------------------------------------------------------------------------


def build_backbone(weights: str, crops: np.ndarray) -> tuple[keras.Model, str]:
    """MobileNetV2 (Sandler et al., 2018) without its top, and in words where its weights are from.

    Comes back folded, see `fold_norms`. The crops (n, size, size, 3) tell its size, and settle the
    normalizations of random weights, which are off the scale without.
    """
    import keras

    shape = crops.shape[1:]
    if weights in ("auto", "imagenet"):
        backbone = fetch_imagenet(shape, required=weights == "imagenet")
        if backbone is not None:
            return fold_norms(backbone), "ImageNet, from Keras"
        say("ImageNet weights can't be had here: starting from the bundled backbone instead")
        weights = "bundled"
    backbone = keras.applications.MobileNetV2(shape, include_top=False, weights=None)
    if weights == "none":
        for layer in backbone.layers:
            layer.momentum = 0.0
        backbone(crops[:128].astype(np.float32) / 127.5 - 1, training=True)
        return fold_norms(backbone), "none: random weights"
    path = PRETRAINED / "backbone.weights.h5" if weights == "bundled" else Path(weights)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            backbone.load_weights(path)
    except Exception as error:  # h5py and Keras raise nearly everything here
        raise UserError(
            f"{path}: no weights of MobileNetV2 ({first_line(error)}); --weights wants auto, "
            "imagenet, bundled, none or a weights file of it, without top"
        ) from None
    kind = "bundled" if weights == "bundled" else "file"
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return fold_norms(backbone), f"{kind} {path.name}, sha256 {digest}"


def fetch_imagenet(shape: tuple[int, int, int], required: bool) -> keras.Model | None:
    """MobileNetV2 with ImageNet weights from Keras's cache or download, or None without network."""
    import keras

    timeout = socket.getdefaulttimeout()
    socket.setdefaulttimeout(20)  # Keras itself would wait for ever
    try:
        # Keras reports its download on stdout, and warns of sizes other than its own five.
        with contextlib.redirect_stdout(sys.stderr), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return keras.applications.MobileNetV2(shape, include_top=False, weights="imagenet")
    except Exception as error:  # Keras wraps whatever the network does in a bare Exception
        if not required:
            return None
        raise UserError(
            f"--weights imagenet: Keras could not fetch them ({first_line(error)}); "
            "try --weights bundled, or the path of a weights file"
        ) from None
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
    import keras

    free = keras.applications.MobileNetV2((None, None, 3), include_top=False, weights=None)
    folded = fold_norms(free)
    folded.set_weights(backbone.get_weights())
    return folded


def set_half(layer: keras.Layer, *weights: np.ndarray) -> None:
    """Set a layer's weights, rounded to what half precision can hold."""
    layer.set_weights([np.asarray(w).astype(np.float16).astype(np.float32) for w in weights])


def first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200]


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
        from ai_edge_litert.interpreter import Interpreter

        model = convert(lower, half=False)
        with quiet_stderr():
            self._lite = Interpreter(model_content=model, num_threads=os.cpu_count())
            self._in = self._lite.get_input_details()[0]["index"]
            self._out = self._lite.get_output_details()[0]["index"]
            self._lite.resize_tensor_input(self._in, [self.BATCH, *lower.input.shape[1:]])
            self._lite.allocate_tensors()
        self._shape = lower.output.shape[1:]

    def __call__(self, crops: np.ndarray) -> np.ndarray:
        activations = np.empty((len(crops), *self._shape), np.float16)
        batch = np.zeros((self.BATCH, *crops.shape[1:]), np.float32)
        for start in range(0, len(crops), self.BATCH):
            part = crops[start : start + self.BATCH]
            batch[: len(part)] = scale_pixels(part)
            self._lite.set_tensor(self._in, batch)
            self._lite.invoke()
            activations[start : start + len(part)] = self._lite.get_tensor(self._out)[: len(part)]
        return activations


def convert(model: keras.Model, half: bool = True) -> bytes:
    """Keras model to .tflite; `half` stores the weights in half precision."""
    import tensorflow as tf

    with quiet_stderr(), contextlib.redirect_stdout(io.StringIO()):
        converter = tf.lite.TFLiteConverter.from_keras_model(model)
        if half:
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
            converter.target_spec.supported_types = [tf.float16]
        return converter.convert()


# --- augmentation ---------------------------------------------------------------------------------


def cut_out(
    segment: np.ndarray, rng: np.random.Generator, chance: float, least: float
) -> np.ndarray:
    """A box drawn a little tighter and, by `chance`, cut off from one or two sides like a cell at
    the border of its field, of which at least the share `least` is left in each direction."""
    spans = []
    cuts = rng.random(2) < (chance, chance / 4)
    for length, is_cut in zip(segment.shape[:2], rng.permutation(cuts), strict=True):
        low, high = rng.uniform(0, 0.08, 2) * length
        high = length - high
        if is_cut:
            keep = rng.uniform(least, 0.9) * (high - low)
            low, high = (low, low + keep) if rng.random() < 0.5 else (high - keep, high)
        spans.append(slice(int(low), max(int(low) + 3, round(high))))
    return segment[spans[0], spans[1]]


def recolour(crop: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Vary stain, light, white balance, focus and noise of a uint8 crop.

    Stain and light multiply what is let through, so they are varied in optical density (after
    Tellez et al., 2019): all of it, each channel, and the mix of the channels. Most of all from
    pink towards blue, by letting red be absorbed as green is: a buffer a little too alkaline, or
    more of the blue dye, turns all red cells of a laboratory grey-blue, as none in BCCD is. Without
    this, they are taken for white cells elsewhere.
    """
    density = -np.log(np.maximum(np.arange(256) / 255, 0.02))[:, np.newaxis]
    gain = np.exp(rng.uniform(-0.3, 0.5) + rng.normal(0, 0.12, 3))
    table = density * gain + rng.uniform(-0.08, 0.12, 3)
    mix = np.eye(3)
    if rng.random() < 0.5:
        mix += rng.normal(0, 0.08, (3, 3))
    if rng.random() < 0.6:
        mix[0] += rng.uniform(0, 1) * mix[1]
        mix[2] *= rng.uniform(0.4, 1)
    return expose(cv2.transform(cv2.LUT(crop, table[:, np.newaxis].astype(np.float32)), mix), rng)


def augment(crop: np.ndarray, box: np.ndarray, label: str, rng: np.random.Generator) -> np.ndarray:
    """Another view of a crop, (size, size, 3) uint8: cut, stretched, turned, recoloured."""
    size = len(crop)
    left, top, width, height = crop_content(box[2] - box[0], box[3] - box[1], size)
    segment = crop[top : top + height, left : left + width]
    # A sliver of a red cell or of background is still that; one of a white cell may be anything.
    chance, least = (0.5, 0.2) if is_rbc(label) or label == BACKGROUND else (0.3, 0.5)
    segment = cut_out(segment, rng, chance, least)
    stretched = max(2, round(segment.shape[1] * np.exp(rng.uniform(-0.15, 0.15))))
    segment = cv2.resize(segment, (stretched, segment.shape[0]), interpolation=cv2.INTER_LINEAR)
    if rng.random() < 0.5:
        segment = segment[:, ::-1]
    segment = np.ascontiguousarray(np.rot90(segment, rng.integers(4)))
    return recolour(square_crop(segment, size), rng)


def draw_views(split: Split, seed: Sequence[int]) -> Iterator[np.ndarray]:
    """One new view of every crop, in their order and SLICE at a time: (s, size, size, 3) uint8.

    Each has a random generator of its own, so that threads don't change what comes out.
    """

    def draw(i: int) -> np.ndarray:
        rng = np.random.default_rng([*seed, i])
        return augment(split.X[i], split.box[i], split.label[i], rng)

    with ThreadPoolExecutor() as pool:
        for indices in slices(np.arange(len(split.y))):
            yield np.stack(list(pool.map(draw, indices.tolist())))


# --- fit ------------------------------------------------------------------------------------------


def weigh_classes(code: np.ndarray) -> np.ndarray:
    """Weight (k,) of a class in the loss: the inverse square root of its frequency, mean 1 a crop.

    Between none, which neglects the rare, and "balanced", which lets few examples shout.
    """
    count = np.bincount(code)
    weight = 1 / np.sqrt(count)
    return weight * len(code) / (weight * count).sum()


def fit_head(features: np.ndarray, code: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Softmax regression on frozen features (n, d): kernel (d, k) and bias (k,) to start from.

    Fine-tuning from a fitted head distorts the backbone less (Kumar et al., 2022).
    """
    weights = dict(enumerate(weigh_classes(code)))
    kernel, bias = fit_logistic(features, code, C=0.01, max_iter=200, class_weight=weights)
    if kernel.shape[1] == 1:  # with two classes scikit-learn keeps the difference only
        kernel, bias = np.hstack([-kernel, kernel]) / 2, np.array([-bias[0], bias[0]]) / 2
    return kernel, bias


def fit_logistic(
    features: np.ndarray, code: np.ndarray, **options: Any
) -> tuple[np.ndarray, np.ndarray]:
    """Logistic regression on standardised features (n, d), as the kernel (d, k) and bias (k,) that
    do the same to the features as they are; k is 1 for two classes."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    scaler = StandardScaler().fit(features)
    model = LogisticRegression(**options).fit(scaler.transform(features), code)
    kernel = (model.coef_ / scaler.scale_).T
    return kernel, model.intercept_ - scaler.mean_ @ kernel


def fine_tune(
    trainer: keras.Model,
    frozen: Frozen,
    split: Split,
    code: np.ndarray,
    judge: Callable[[], dict[str, float]],
    epochs: int,
    seed: int,
) -> list[dict[str, float]]:
    """Fit upper blocks and head on a new view of every crop each epoch; returns the history.

    Adam with a short warm-up and a cosine down to nothing, labels smoothed by 0.02. Nothing is
    chosen by the validation split here: the last epoch is the result.
    """
    import keras

    steps = epochs * -(-len(code) // BATCH)
    warmup = steps // 12
    rate = keras.optimizers.schedules.CosineDecay(
        RATE / 20, steps - warmup, alpha=0.01, warmup_target=RATE, warmup_steps=warmup
    )
    weights = weigh_classes(code)[code]
    target = keras.utils.to_categorical(code)
    trainer.compile(
        optimizer=keras.optimizers.Adam(rate, beta_2=0.99),
        loss=keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.02),
        weighted_metrics=["accuracy"],
    )
    history = []
    for epoch in range(1, epochs + 1):
        start = time.perf_counter()
        activations = np.concatenate([frozen(x) for x in draw_views(split, [seed, 0, epoch])])
        fitted = trainer.fit(
            activations, target, batch_size=BATCH, sample_weight=weights, verbose=0, shuffle=True
        )
        row = {"phase": "fine-tune", "epoch": epoch, **last_values(fitted.history), **judge()}
        history.append(row | {"seconds": time.perf_counter() - start})
        say_epoch(history[-1])
    return history


def measure_loss(logits: np.ndarray, code: np.ndarray) -> float:
    """Mean negative log-likelihood of the true classes, in nats."""
    from scipy.special import softmax
    from sklearn.metrics import log_loss

    return float(log_loss(code, softmax(logits, axis=1), labels=np.arange(logits.shape[1])))


def fit_temperature(logits: np.ndarray, code: np.ndarray) -> float:
    """The one number to divide logits by that makes them honest (Guo et al., 2017), 0.25 to 4."""
    from scipy.optimize import minimize_scalar

    best = minimize_scalar(
        lambda log_t: measure_loss(logits / np.exp(log_t), code),
        bounds=(np.log(0.25), np.log(4)),
        method="bounded",
    )
    return float(np.exp(best.x))


def choose_threshold(probability: np.ndarray, is_positive: np.ndarray) -> float:
    """The threshold of the highest Matthews correlation; of equally good ones, that nearest 1/2.

    With calibrated probabilities 1/2 is the right one in theory: it is left only for a better one.
    """
    cuts = np.unique(np.r_[0.5, (np.sort(probability)[1:] + np.sort(probability)[:-1]) / 2])
    cuts = cuts[(cuts > 0.01) & (cuts < 0.99)]
    from sklearn.metrics import matthews_corrcoef

    values = np.array([matthews_corrcoef(is_positive, probability >= c) for c in cuts])
    best = cuts[values >= values.max() - 1e-12]
    return float(best[np.argmin(np.abs(best - 0.5))])


# --- novelty --------------------------------------------------------------------------------------


def pool(activations: np.ndarray, crops: np.ndarray) -> np.ndarray:
    """Mean and spread of each frozen channel and of each colour over the crop: (n, 2 c + 6)."""
    maps = activations.astype(np.float32), crops.astype(np.float32) / 255
    return np.hstack([f(x, axis=(1, 2)) for x in maps for f in (np.mean, np.std)])


def draw_strangers(count: int, size: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Pictures that are no blood cell, SLICE at a time: (s, size, size, 3) uint8. Eight kinds in
    turn: blanks, noise, clouds, tiles, gradients, shapes, scribbles and writing."""
    y, x = np.mgrid[-1 : 1 : size * 1j, -1 : 1 : size * 1j]

    def draw(kind: int) -> np.ndarray:
        ground, ink = rng.uniform(0, 255, (2, 3))
        if rng.random() < 0.5:  # drawn on white, grey or black
            ground, ink = (np.full(3, rng.choice((0, 255, rng.uniform(0, 255)))) for _ in range(2))
        plain = np.full((size, size, 3), ground)
        if kind == 0:
            return plain + rng.normal(0, rng.uniform(0, 6), plain.shape)
        if kind == 1:
            channels = rng.choice((1, 3))  # grey or coloured
            return plain + rng.normal(0, rng.uniform(15, 120), (size, size, channels))
        if kind in (2, 3):
            coarse = rng.uniform(0, 255, (*rng.integers(3, 24, 2), 3)).astype(np.float32)
            method = cv2.INTER_CUBIC if kind == 2 else cv2.INTER_NEAREST
            return cv2.resize(coarse, (size, size), interpolation=method)
        if kind == 4:
            angle = rng.uniform(0, 2 * np.pi)
            share = ((x * np.cos(angle) + y * np.sin(angle)) / 2 + 0.5)[..., np.newaxis]
            return plain * share + ink * (1 - share)
        canvas = plain.astype(np.uint8)
        for line in range(rng.integers(2, 7)):
            if kind == 5:
                corners = rng.integers(0, size, (rng.integers(3, 6), 2)).astype(np.int32)
                cv2.fillPoly(canvas, [corners], rng.uniform(0, 255, 3).tolist())
            elif kind == 6:
                path = rng.uniform(0, size, 2) + rng.normal(0, size / 10, (14, 2)).cumsum(axis=0)
                width = int(rng.integers(1, 4))
                cv2.polylines(canvas, [path.astype(np.int32)], False, ink.tolist(), width)
            else:
                text = "".join(map(chr, rng.integers(48, 122, rng.integers(2, 9))))
                place = int(rng.integers(0, size // 4)), (line + 1) * size // 5
                font, scale = int(rng.integers(0, 7)), rng.uniform(0.5, 1.2)
                cv2.putText(canvas, text, place, font, scale, ink.tolist(), 2)
        return canvas

    for indices in slices(np.arange(count)):
        yield np.stack([np.clip(draw(i % 8), 0, 255).astype(np.uint8) for i in indices])


def fit_novelty(familiar: np.ndarray, strange: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Logistic regression of strange pictures against cells: kernel (d, 1) and bias (1,).

    Outlier exposure (Hendrycks et al., 2019) on what the frozen blocks see: they still tell
    textures apart that the fine-tuned ones have learnt to ignore. A distance to the training crops
    (Mahalanobis; Lee et al., 2018) flagged 40 % of another laboratory's cells in trials; this, few.
    """
    pooled = np.concatenate([familiar, strange])
    is_strange = np.arange(len(pooled)) >= len(familiar)
    return fit_logistic(pooled, is_strange, C=0.1, max_iter=500, class_weight="balanced")


# --- export ---------------------------------------------------------------------------------------


def assemble(
    lower: keras.Model,
    upper: keras.Model,
    head: tuple[np.ndarray, np.ndarray],
    merge: np.ndarray | None,
    novelty: tuple[np.ndarray, np.ndarray],
) -> keras.Model:
    """One model: crops in [0, 1] to {"probabilities": (n, k), "novelty": (n,)}.

    `head`: calibrated kernel and bias; `merge` (labels, k) adds labels up to the task's classes.
    """
    import keras
    from keras import layers, ops

    def fixed(inputs: Any, *weights: np.ndarray, **options: Any) -> Any:
        dense = layers.Dense(weights[0].shape[1], use_bias=len(weights) > 1, **options)
        outputs = dense(inputs)
        set_half(dense, *weights)
        return outputs

    crops = keras.Input(lower.input.shape[1:], name="crops")
    activations = lower(crops)
    probabilities = fixed(upper(activations), *head, activation="softmax", name="labels")
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


def score_validation(proba: np.ndarray, y: np.ndarray, predicted: np.ndarray) -> dict[str, float]:
    """The validation figures of the model card; those of the test split are evaluate_model.py's."""
    from sklearn.metrics import balanced_accuracy_score, log_loss, matthews_corrcoef

    return {
        "accuracy": float((predicted == y).mean()),
        "balanced_accuracy": float(balanced_accuracy_score(y, predicted)),
        "mcc": float(matthews_corrcoef(y, predicted)),
        "log_loss": float(log_loss(y, proba, labels=np.arange(proba.shape[1]))),
        "crops": len(y),
    }


def find_seen_fields(
    metadata: dict[str, Any], card: dict[str, Any], splits: Sequence[str] = ("val", "test")
) -> list[str]:
    """Held-out fields of an archive that the model of `card` was trained on, by file digest."""
    seen = set(card["training_fields"])
    held_out = (metadata["field_sha256"][s] for s in splits)
    return [name for of_split in held_out for name, digest in of_split.items() if digest in seen]


def review_start(origin: str, metadata: dict[str, Any]) -> tuple[list[str], list[str]]:
    """What starting from the bundled backbone implies: digests of the fields it was trained on,
    and a notice where the archive's held-out fields are among them."""
    if not origin.startswith("bundled"):
        return [], []
    card = Classifier.load(PRETRAINED).card
    seen = find_seen_fields(metadata, card)
    if not seen:
        return card["training_fields"], []
    return card["training_fields"], [
        f"{len(seen)} validation or test fields of this archive (such as {seen[0]}) were among the "
        "training fields of the bundled backbone: figures on them flatter"
    ]


def new_figure(width: float, height: float) -> Figure:
    """A figure without a display, whose text is legible at the size a slide shows."""
    from matplotlib import rcParams
    from matplotlib.figure import Figure

    rcParams.update({"font.size": 12, "axes.spines.top": False, "axes.spines.right": False})
    return Figure(figsize=(width, height), dpi=120, layout="constrained")


def save_figure(figure: Figure, path: Path) -> None:
    with written_whole(path) as temporary:
        # No version in the file: the same numbers give the same bytes.
        figure.savefig(temporary, format="png", metadata={"Software": None})


def plot_history(history: Sequence[dict[str, Any]]) -> Figure:
    """Loss and accuracy by epoch, on training views and on validation crops."""
    figure = new_figure(6.4, 7)
    epochs = [row["epoch"] for row in history]
    for axes, name, unit in zip(
        figure.subplots(2, 1), ("loss", "accuracy"), ("loss (nats)", "accuracy"), strict=True
    ):
        for key, colour, text in (
            (name, ORANGE, "training views"),
            (f"val_{name}", BLUE, "validation"),
        ):
            axes.plot(
                epochs, [row.get(key, np.nan) for row in history], "o-", color=colour, label=text
            )
        axes.set(xlabel="epoch (0: head on frozen features)", ylabel=unit, xticks=epochs)
        axes.legend(frameon=False)
    return figure


def format_history(history: Sequence[dict[str, Any]]) -> str:
    columns = ["phase", "epoch", "loss", "accuracy", "val_loss", "val_accuracy", "seconds"]
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(history)
    return text.getvalue()


def start_tensorflow(seed: int) -> None:
    """Import TensorFlow without its chatter and make what follows repeatable."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with quiet_stderr():
        import keras
        import tensorflow as tf
    tf.get_logger().setLevel("ERROR")
    keras.utils.set_random_seed(seed)
    tf.config.experimental.enable_op_determinism()


def last_values(history: dict[str, list[float]]) -> dict[str, float]:
    return {name: float(history[name][-1]) for name in ("loss", "accuracy")}


def say_epoch(row: dict[str, Any]) -> None:
    say(
        f"{row['phase']} {row['epoch']}: "
        + ", ".join(f"{k} {row[k]:.4f}" for k in ("loss", "val_loss", "val_accuracy") if k in row)
    )


def list_versions(packages: Sequence[str]) -> dict[str, str]:
    from importlib.metadata import version

    return {"python": platform.python_version(), **{name: version(name) for name in packages}}


def write_model(
    folder: Path,
    classifier: tuple[keras.Model, bytes],
    detector: tuple[keras.Model, bytes] | None,
    card: dict[str, Any],
    history: Sequence[dict[str, Any]],
) -> None:
    """Write the files, each whole or not at all; the card, which vouches for them, last.

    Either model comes with its .tflite. A detector that an earlier run left goes: it would belong
    to another model.
    """
    for name, pair in ((NAME, classifier), (FIELDS_NAME, detector)):
        if pair is None:
            for suffix in (".keras", ".tflite"):
                (folder / f"{name}{suffix}").unlink(missing_ok=True)
            continue
        with written_whole(folder / f"{name}.keras") as temporary:
            pair[0].save(temporary)
        with written_whole(folder / f"{name}.tflite") as temporary:
            temporary.write_bytes(pair[1])
    of_crops = [row for row in history if row["phase"] != "fields"]
    save_figure(plot_history(of_crops), folder / "training_curves.png")
    with written_whole(folder / "history.csv") as temporary:
        temporary.write_text(format_history(history))
    with written_whole(folder / f"{NAME}.json") as temporary:
        temporary.write_text(json.dumps(card, indent=2) + "\n")


def format_summary(card: dict[str, Any], folder: Path) -> str:
    found = card["validation"]
    phases = ", ".join(f"{k} {v:.1f}" for k, v in card["seconds"].items())
    threshold = "" if card["threshold"] is None else f", threshold {card['threshold']:.3f}"
    return (
        f"validation: accuracy {found['accuracy']:.4f}, balanced {found['balanced_accuracy']:.4f} "
        f"on {found['crops']} crops{threshold}\n"
        f"{folder}: {sum(card['seconds'].values()):.1f} s ({phases})"
    )


# --- the whole ------------------------------------------------------------------------------------


def check_archive(archive: Archive, path: Path) -> None:
    """UserError where the splits or classes can't be trained on."""
    for name, split in archive.splits.items():
        count = np.bincount(split.y, minlength=len(archive.classes))
        if count.min() == 0:
            missing = archive.classes[int(count.argmin())]
            raise UserError(
                f"{path}: no example of {missing} in its {name} split; try another --split of "
                "preprocess_data.py"
            )


class Clock:
    """Seconds by phase: each call closes the phase that was running."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._last = time.perf_counter()

    def __call__(self, phase: str) -> None:
        now = time.perf_counter()
        self.seconds[phase] = round(now - self._last, 2)
        self._last = now


class Network(NamedTuple):
    """The network in the pieces that it's trained in."""

    lower: keras.Model  # crops in [0, 1] to activations, frozen
    frozen: Frozen  # the same as LiteRT runs it
    upper: keras.Model  # activations to features, fine-tuned
    head: keras.Layer  # features to logits
    trainer: keras.Model  # activations to logits, by way of dropout


def build_network(backbone: keras.Model, labels: int) -> Network:
    import keras

    lower, upper = split_backbone(backbone)
    head = keras.layers.Dense(labels, name="logits")
    trainer = keras.Model(upper.input, head(keras.layers.Dropout(0.2)(upper.output)))
    return Network(lower, Frozen(lower), upper, head, trainer)


def encode_fine(train: Split, val: Split) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """All annotated labels (k,), whatever the task, and their codes for both splits, (n,) each.

    "RBC or not" is easier to see for a network that knows what a white cell is. A label that
    training never saw (in the binary task it may) counts as one that it did, on the same side.
    """
    labels = np.unique(train.label)
    others = [label for label in labels if not is_rbc(label)]
    known = np.where(np.isin(val.label, labels), val.label, others[0])
    return labels, np.searchsorted(labels, train.label), np.searchsorted(labels, known)


def fit_network(
    network: Network, train: Split, code: np.ndarray, val: Split, val_code: np.ndarray,
    epochs: int, seed: int, clock: Clock,
) -> list[dict[str, Any]]:  # fmt: skip
    """Fit the head on frozen features, computed once, then fine-tune; returns the history."""
    features = network.upper.predict(network.frozen(train.X), batch_size=128, verbose=0)
    val_activations = network.frozen(val.X)
    clock("frozen features")

    def judge() -> dict[str, float]:
        found = network.trainer.predict(val_activations, batch_size=128, verbose=0)
        right = (found.argmax(axis=1) == val_code).mean()
        return {"val_loss": measure_loss(found, val_code), "val_accuracy": float(right)}

    network.head.set_weights(fit_head(features, code))
    history = [{"phase": "head", "epoch": 0, **judge()}]
    say_epoch(history[0])
    clock("fit head")
    if epochs:
        history += fine_tune(network.trainer, network.frozen, train, code, judge, epochs, seed)
    for layer in (*network.upper.layers, network.head):
        set_half(layer, *layer.get_weights())
    clock("fine-tune")
    return history


def finish_model(
    network: Network, train: Split, known: Split, known_code: np.ndarray,
    labels: np.ndarray, task: str, seed: int,
) -> tuple[keras.Model, float]:  # fmt: skip
    """Calibrate on `known` crops, add novelty and the task's classes: the whole model, and the
    temperature that it was calibrated by."""
    logits = network.trainer.predict(network.frozen(known.X), batch_size=128, verbose=0)
    temperature = fit_temperature(logits, known_code)
    familiar = itertools.chain(slices(train.X), draw_views(train, [seed, 2]))
    strange = draw_strangers(len(train.y) // 2, train.X.shape[1], np.random.default_rng(seed))
    novelty = fit_novelty(
        *(np.concatenate([pool(network.frozen(x), x) for x in of]) for of in (familiar, strange))
    )
    merge = None
    if task == "binary":
        is_red = np.array([is_rbc(label) for label in labels])
        merge = np.stack([~is_red, is_red], axis=1)
    head = tuple(w / temperature for w in network.head.get_weights())
    return assemble(network.lower, network.upper, head, merge, novelty), temperature


def add_views(split: Split, seed: Sequence[int]) -> Split:
    """The split twice over: its crops as they are, and as another laboratory might show them."""
    X = np.concatenate([split.X, *draw_views(split, seed)])
    return Split(X, *(np.concatenate([column, column]) for column in split[1:]))


@command
def main(argv: Sequence[str] | None = None) -> int:
    options: Options = parse_options(Options, __doc__, argv)
    clock = Clock()
    archive = load_archive(options.data, ["train", "val"])
    check_archive(archive, options.data)
    train, val = archive.splits["train"], archive.splits["val"]
    labels, code, val_code = encode_fine(train, val)
    task, size = archive.metadata["task"], archive.metadata["image_size"]
    clock("load archive")

    start_tensorflow(options.seed)
    clock("start TensorFlow")
    backbone, origin = build_backbone(options.weights, train.X)
    say(f"weights: {origin}")
    seen_before, notices = review_start(origin, archive.metadata)
    for notice in notices:
        say(f"warning: {notice}")
    field_backbone = free_size(backbone) if options.field_epochs else None
    network = build_network(backbone, len(labels))
    clock("build")
    history = fit_network(network, train, code, val, val_code, options.epochs, options.seed, clock)

    # On the validation crops as they are a good model makes next to no mistake to learn from.
    known, known_code = add_views(val, [options.seed, 1]), np.tile(val_code, 2)
    model, temperature = finish_model(network, train, known, known_code, labels, task, options.seed)
    clock("calibrate")
    exported = convert(model)
    clock("export")
    card: dict[str, Any] = {"classes": archive.classes, "image_size": size, "task": task}
    card |= {"threshold": None, "novelty_threshold": np.inf, "temperature": temperature}
    classifier = Classifier(exported, card)
    proba, novelty = classifier.predict_proba(known.X)
    card["export_difference"] = check_export(ask_keras(model, val.X), proba[: len(val.y)])
    clock("check export")

    if task == "binary":
        card["threshold"] = choose_threshold(proba[:, 1], known.y == 1)
    card["novelty_threshold"] = float(np.percentile(novelty, FAMILIAR))
    classifier = Classifier(exported, card)
    proba = proba[: len(val.y)]
    fields = {*archive.metadata["field_sha256"]["train"].values(), *seen_before}
    card |= {
        "validation": score_validation(proba, val.y, classifier.predict(proba)),
        "labels": labels.tolist(),
        "weights": origin,
        "notices": notices,
        "epochs": options.epochs,
        "seed": options.seed,
        "archive_sha256": archive.digest,
        "dataset_sha256": archive.metadata["dataset_sha256"],
        "counts": archive.metadata["counts"],
        "seconds": clock.seconds,
        "versions": list_versions(VERSIONED),
        "training_fields": sorted(fields),
    }
    finder = None
    if field_backbone is not None:
        finder, card["fields"], learnt = fit_detector(
            field_backbone, archive.fields["train"], archive.fields["val"],
            options.field_epochs, options.seed, convert,
        )  # fmt: skip
        history += learnt
        clock("learn fields")
    write_model(options.output_dir, (model, exported), finder, card, history)
    print(format_summary(card, options.output_dir))
    return 0


if __name__ == "__main__":
    sys.exit(main())
