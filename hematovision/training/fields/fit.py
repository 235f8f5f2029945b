"""The network for fields: built, its losses, steps and epochs; `field_course` trains with them."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from hematovision.cells.cells import is_sliver, overlap, sides
from hematovision.networks.detector import NAME
from hematovision.networks.tiles import CELL, Run, find_cells
from hematovision.pictures.frame import QUARTER
from hematovision.program.console import progress, run_ahead, say
from hematovision.training.calibration import check_loss
from hematovision.training.checkpoint import Checkpoint
from hematovision.training.fields.fields import (
    TrainingField,
    pack_found,
    unpack_found,
)
from hematovision.training.fields.views import (
    MIN_SHOWN,
    WINDOWS,
    ViewInputs,
    draw_view,
)
from hematovision.training.workers import ALONE, Workers, here

if TYPE_CHECKING:
    import keras

FIRST_BLOCK = 4  # blocks of MobileNetV2 below this one keep their weights
CHANNELS, BATCH, RATE = 64, 8, 1e-3
MOST_JUDGES = 100  # fields of a laboratory that thresholds are chosen on
MOST_ANEW = 200  # fields of a laboratory that are searched for unboxed cells at a time


def build_field_network(backbone: keras.Model, labels: int, norms: bool = True) -> keras.Model:
    """Pictures (n, h, w, 3) in [0, 255] to heat and reach, joined: (n, h / 4, w / 4, labels + 4).

    `backbone`: MobileNetV2 with its normalizations folded (`backbone.fold_norms`), any size.
    `norms`: whether the layers above it have any; a trained network's are folded.
    """
    import keras
    from keras import layers, ops

    def mix(x: Any, size: int) -> Any:
        x = layers.Conv2D(CHANNELS, size, padding="same", use_bias=not norms)(x)
        norm = layers.BatchNormalization(momentum=0.97, synchronized=here().replicas > 1)
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
    rare = keras.initializers.Constant(-4.0)  # most places are no centre (Lin et al., 2017)
    half = keras.initializers.Constant(float(np.log(CELL / 2 / QUARTER)))
    x = block(x, 3)
    heat = layers.Conv2D(labels, 1, bias_initializer=rare, name="heat")(x)
    reach = layers.Conv2D(4, 1, bias_initializer=half, name="reach")(x)
    joined = ops.concatenate([ops.sigmoid(heat), ops.exp(ops.clip(reach, -4.0, 6.0))], axis=-1)
    return keras.Model(pictures, joined, name=NAME)


def heat_loss(heat: Any, wanted: Any, known: Any, workers: Workers = ALONE) -> Any:
    """Focal loss of centres, a mean over the cells (Law and Deng, 2018), where it is known: this
    worker's part of it, cells being those of all."""
    import tensorflow as tf

    heat = tf.clip_by_value(heat, 1e-5, 1 - 1e-5)
    centre = tf.cast(wanted > 0.999, tf.float32)
    hit = centre * (1 - heat) ** 2 * tf.math.log(heat)
    miss = (1 - centre) * (1 - wanted) ** 4 * heat**2 * tf.math.log(1 - heat)
    count = workers.add(tf.reduce_sum(centre))
    return -tf.reduce_sum((hit + miss) * known) / tf.maximum(count, 1.0)


def box_loss(reach: Any, corner: Any, weight: Any, workers: Workers = ALONE) -> Any:
    """1 - generalized intersection over union (Rezatofighi et al., 2019), a mean over the cells, as
    with `heat_loss`."""
    import tensorflow as tf

    x = tf.cast(tf.range(tf.shape(reach)[2]), tf.float32)[tf.newaxis, tf.newaxis, :] + 0.5
    y = tf.cast(tf.range(tf.shape(reach)[1]), tf.float32)[tf.newaxis, :, tf.newaxis] + 0.5
    left, top, right, bottom = tf.unstack(reach, axis=-1)
    x0, y0, x1, y1 = x - left, y - top, x + right, y + bottom
    a0, b0, a1, b1 = tf.unstack(corner, axis=-1)
    wide, high = tf.minimum(x1, a1) - tf.maximum(x0, a0), tf.minimum(y1, b1) - tf.maximum(y0, b0)
    shared = tf.maximum(wide, 0.0) * tf.maximum(high, 0.0)
    union = (x1 - x0) * (y1 - y0) + (a1 - a0) * (b1 - b0) - shared
    hull = (tf.maximum(x1, a1) - tf.minimum(x0, a0)) * (tf.maximum(y1, b1) - tf.minimum(y0, b0))
    gain = shared / tf.maximum(union, 1e-6) - (hull - union) / tf.maximum(hull, 1e-6)
    count = workers.add(tf.reduce_sum(weight))
    return tf.reduce_sum(weight * (1 - gain)) / tf.maximum(count, 1.0)


def make_step(
    network: keras.Model, steps: int, peak: float = RATE
) -> tuple[Callable[..., Any], list[Any]]:
    """One step of training: a batch of views and their answers to the loss of it; and all
    variables that training changes.

    AdamW with a warm-up to `peak` and a cosine down to nothing.
    """
    import keras
    import tensorflow as tf

    warmup = max(1, min(100, steps // 6))
    rate = keras.optimizers.schedules.CosineDecay(
        peak / 100, max(1, steps - warmup), alpha=0.01, warmup_target=peak, warmup_steps=warmup
    )
    optimizer = keras.optimizers.AdamW(rate, weight_decay=1e-4, global_clipnorm=5.0)
    weights = network.trainable_variables
    optimizer.build(weights)

    workers = here()

    # Two functions: each size of window is compiled anew, the update of the weights only once.
    def differentiate(pictures: Any, heat: Any, known: Any, corner: Any, weight: Any) -> Any:
        with tf.GradientTape() as tape:
            found = network(tf.cast(pictures, tf.float32), training=True)
            loss = heat_loss(found[..., :-4], heat, known, workers)
            loss += 2 * box_loss(found[..., -4:], corner, weight, workers)
        return workers.add(loss), workers.add(tape.gradient(loss, weights))

    together = workers.compile(differentiate)

    @tf.function(autograph=False)
    def update(gradients: list[Any]) -> None:
        optimizer.apply_gradients(zip(gradients, weights, strict=True))

    def step(*views: np.ndarray) -> Any:
        loss, gradients = together(*views)
        update(gradients)
        return loss

    return step, [*network.variables, *optimizer.variables]


def make_run(network: keras.Model) -> Run:
    """The Keras network as `find_cells` wants it."""
    import tensorflow as tf

    signature = [tf.TensorSpec((1, None, None, 3), tf.float32)]
    forward = tf.function(partial(network, training=False), input_signature=signature)

    def run(picture: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        joined = forward(picture[np.newaxis].astype(np.float32)).numpy()[0]
        return joined[..., :-4], joined[..., -4:]

    return run


def label_anew(
    network: keras.Model,
    fields: Sequence[TrainingField],
    red: np.ndarray,
    rng: np.random.Generator,
) -> list[TrainingField]:
    """The fields with the red cells that the network finds where boxes may be missing.

    Of each laboratory no more than MOST_ANEW fields, at random: the others stay as they were.
    """
    run, labelled = make_run(network), list(fields)
    labs = np.array([f.lab for f in fields])
    open_ended = np.array([bool((red & ~f.complete).any()) for f in fields])
    chosen = [rng.permutation(np.flatnonzero(open_ended & (labs == lab)))[:MOST_ANEW]
              for lab in np.unique(labs)]  # fmt: skip
    chosen = np.concatenate(chosen).tolist()
    for i in progress(chosen, len(chosen), "finding cells without a box"):
        source = fields[i]
        image = source.image()
        size = image.shape[1], image.shape[0]
        box, label = source.box[: source.annotated], source.label[: source.annotated]
        found = find_cells(run, image, source.cell_px, 0.35)
        large = box[sides(box) > source.cell_px / 2]
        new = (red & ~source.complete)[found.label]
        if len(large):
            new &= overlap(found.box, large).max(axis=1, initial=0) < 0.5
        sliver = is_sliver(found.box, *size, MIN_SHOWN * source.cell_px)
        labelled[i] = replace(
            source,
            box=np.concatenate([box, found.box[new & ~sliver]]),
            label=np.append(label, found.label[new & ~sliver]),
            dismissed=found.box[new & sliver],
        )
    return labelled


def draw_evenly(labs: Sequence[str], count: int, rng: np.random.Generator) -> np.ndarray:
    """Indices (count,) of fields, each laboratory's as often as any other's, its own in turn."""
    names = np.asarray(labs)
    drawn = []
    for lab, share in zip(
        np.unique(names), np.array_split(np.arange(count), len(np.unique(names))), strict=True
    ):
        mine = np.flatnonzero(names == lab)
        turns = [rng.permutation(mine) for _ in range(-(-len(share) // len(mine)))]
        drawn += [np.concatenate(turns)[: len(share)]] if turns else []
    return rng.permutation(np.concatenate(drawn))


def fit_field_network(
    network: keras.Model,
    fields: list[TrainingField],
    inputs: ViewInputs,
    epochs: int,
    seed: int,
    checkpoint: Checkpoint,
    stepper: tuple[Callable[..., Any], list[Any]],
    phase: str,
    shown: int,
) -> list[dict[str, Any]]:
    """Train on `shown` new views of fields each epoch, of every laboratory equally many, of several
    workers each on its share; the history. Labels anew at each third. `stepper`: what `make_step`
    made."""
    step, variables = stepper
    anew = {epochs // 3, epochs * 2 // 3} - {0}
    chances = [chance for *_, chance in WINDOWS]
    red = inputs.red if inputs.red.any() else ~inputs.red
    workers, reached = here(), checkpoint.load(phase, variables)
    workers.check_same(reached.epoch if reached else 0, "epochs gone on from")
    workers.follow_chief(variables)
    history = reached.history if reached else []
    if reached and reached.extra:
        fields[:] = unpack_found(fields, reached.extra)
    for epoch in range(reached.epoch + 1 if reached else 1, epochs + 1):
        rng = np.random.default_rng([seed, 4, epoch])
        own = np.random.default_rng([seed, 4, epoch, *workers.mark]) if workers.mark else rng
        order = draw_evenly([f.lab for f in fields], workers.cut(shown), own)
        losses, batches, mine = [], [], BATCH // workers.count
        for start in range(0, len(order), mine):
            window = int(rng.choice(len(WINDOWS), p=chances))  # the same on all workers
            # The last batch is filled up: a batch of another size would be compiled anew.
            chosen = np.resize(order[start:], min(mine, max(len(order), 1)))[:mine]
            batches += [(fields[i], inputs, window, [seed, epoch, start, n, *workers.mark])
                        for n, i in enumerate(np.resize(chosen, mine))]  # fmt: skip
        with ThreadPoolExecutor() as pool:
            views = run_ahead(pool, lambda view: draw_view(*view), batches, 2 * BATCH)
            count = len(batches) // mine
            for _ in progress(range(count), count, f"fields, epoch {epoch}"):
                batch = itertools.islice(views, mine)
                losses.append(float(step(*map(np.stack, zip(*batch, strict=True)))))
        history.append({"phase": "fields", "epoch": epoch, "loss": float(np.mean(losses))})
        check_loss(history[-1]["loss"], f"fields {epoch}")
        say(f"fields {epoch}: loss {history[-1]['loss']:.4f}")
        if epoch in anew and any((red & ~f.complete).any() for f in fields):
            fields[:] = label_anew(network, fields, red, rng)
            added = sum(len(f.box) - f.annotated for f in fields)
            say(f"fields {epoch}: {added} cells without a box found, and learnt from")
        checkpoint.save(phase, epoch, variables, history, **pack_found(fields))
    return history


def choose_judges(labs: np.ndarray, seed: int) -> np.ndarray:
    """Which fields (f,) bool thresholds are chosen on: MOST_JUDGES of each laboratory at most."""
    rng, chosen = np.random.default_rng([seed, 6]), np.zeros(len(labs), bool)
    for lab in np.unique(labs):
        chosen[rng.permutation(np.flatnonzero(labs == lab))[:MOST_JUDGES]] = True
    return chosen
