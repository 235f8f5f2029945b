"""How the network for fields is fitted: what it loses by, steps, epochs."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hematovision.program.console import progress, run_ahead, say
from hematovision.training.calibration import check_loss
from hematovision.training.fields.fields import TrainingField, pack_found, unpack_found
from hematovision.training.fields.unboxed import label_anew
from hematovision.training.fields.views.drawing import ViewInputs, draw_view
from hematovision.training.fields.views.overlays import cut_cells
from hematovision.training.fields.views.windows import WINDOWS
from hematovision.training.plan import Plan, Row, say_row
from hematovision.training.precision import mixed_precision
from hematovision.training.shrinkage import SHARE, average_weights, read_values, restore
from hematovision.training.workers import ALONE, Workers, find_workers

if TYPE_CHECKING:
    import keras

BATCH = 8
# Fields that take the weights half of the way from the known ones, where that is beyond SHARE.
HALF_WAY_FIELDS = 50

Step = Callable[..., Any]


@dataclass(frozen=True)
class Trainer:
    """A network that is trained several times from one start: compiled once."""

    network: keras.Model
    step: Step  # a batch of views and the answers wanted, to the loss of it
    variables: list[Any]  # all that training changes
    start: list[np.ndarray]  # their values at the start
    typical: np.ndarray  # (k,) side of a cell of each label in parts of a red cell's
    red: np.ndarray  # (k,) bool
    known: bool  # from a trained model, so that the weights stop part of the way


def fit_fields(
    trainer: Trainer, fields: Sequence[TrainingField], plan: Plan
) -> tuple[list[TrainingField], list[Row]]:
    """Fit the network on new views of the fields each epoch, of every laboratory equally many, of
    several workers each on its share; these with the cells found in them on the way, anew at each
    third, and the history."""
    network, red, workers = trainer.network, trainer.red, find_workers()
    restore(trainer.variables, trainer.start)
    before = read_values(network.trainable_variables)
    cells = cut_cells(fields, len(red), np.random.default_rng([plan.seed, 5]))
    inputs, red = ViewInputs(cells, trainer.typical, red), red if red.any() else ~red
    anew = {plan.epochs // 3, plan.epochs * 2 // 3} - {0}
    steps = -(-workers.cut(plan.shown) // (BATCH // workers.count))
    with mixed_precision(network, kept=("heat", "reach")):
        reached = plan.checkpoint.resume(plan.phase, trainer.variables)
        history, learnt = reached.history, list(fields)
        if reached.extra:
            learnt = unpack_found(learnt, reached.extra)
        for epoch in range(reached.epoch + 1, plan.epochs + 1):
            rng, losses = np.random.default_rng([plan.seed, 4, epoch]), []
            start = time.perf_counter()
            batches = draw_batches(learnt, inputs, plan, epoch, rng)
            for batch in progress(batches, steps, f"fields, epoch {epoch}"):
                losses.append(float(trainer.step(*batch)))
            seconds = time.perf_counter() - start
            row = {"phase": "fields", "epoch": epoch, "loss": float(np.mean(losses))}
            history.append(row | {"seconds": seconds})
            check_loss(history[-1]["loss"], f"fields {epoch}")
            say_row(row, plan, seconds)
            if epoch in anew and any((red & ~f.complete).any() for f in learnt):
                learnt = label_anew(network, learnt, red, rng)
                added = sum(len(f.box) - f.annotated for f in learnt)
                say(f"fields {epoch}: {added} cells without a box found, and learnt from")
            found = pack_found(learnt)
            plan.checkpoint.save(plan.phase, epoch, trainer.variables, history, **found)
    if trainer.known:
        share = max(SHARE, len(fields) / (len(fields) + HALF_WAY_FIELDS))
        average_weights(network.trainable_variables, before, share)
    return learnt, history


def draw_batches(
    fields: Sequence[TrainingField], inputs: ViewInputs, plan: Plan, epoch: int,
    rng: np.random.Generator,
) -> Iterator[list[np.ndarray]]:  # fmt: skip
    """The batches of one epoch, this worker's views of each: pictures, and the answers wanted.

    `rng`: of the epoch, the same on all workers.
    """
    workers = find_workers()
    mine, mark = BATCH // workers.count, workers.mark
    own = np.random.default_rng([plan.seed, 4, epoch, *mark]) if mark else rng
    order = draw_fields([f.lab for f in fields], workers.cut(plan.shown), own)
    chances, wanted = [chance for *_, chance in WINDOWS], []
    for start in range(0, len(order), mine):
        window = int(rng.choice(len(WINDOWS), p=chances))  # the same on all workers
        # The last batch is filled up: a batch of another size would be compiled anew.
        chosen = np.resize(order[start:], min(mine, max(len(order), 1)))[:mine]
        wanted += [(fields[i], inputs, window, [plan.seed, epoch, start, n, *mark])
                   for n, i in enumerate(np.resize(chosen, mine))]  # fmt: skip
    with ThreadPoolExecutor() as pool:
        views = run_ahead(pool, lambda view: draw_view(*view), wanted, 2 * BATCH)
        while batch := list(itertools.islice(views, mine)):
            yield [np.stack(column) for column in zip(*batch, strict=True)]


def draw_fields(labs: Sequence[str], count: int, rng: np.random.Generator) -> np.ndarray:
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
    network: keras.Model, steps: int, peak: float
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

    workers = find_workers()

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
