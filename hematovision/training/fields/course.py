"""The network for fields from its start to its thresholds: fields of an archive -> network, card.

    learnt = learn_fields(backbone, train, val, model, folds, epochs, repeats, seed, checkpoint)

A type of cell is learnt as what it is a kind of: "Neutrophil" as "WBC". Where training goes on from
a model, the network is built without normalizations, since what is exported has them folded and
statistics of five fields are noise; thresholds move from the known ones no further than the
annotated cells allow.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from hematovision.archive.folds import list_folds
from hematovision.archive.loading import FieldSplit
from hematovision.cells.cells import Cells, overlap
from hematovision.cells.labels import is_rbc
from hematovision.cells.taxonomy import lineage
from hematovision.networks.card import seal
from hematovision.networks.detector import find_in_field, run_network
from hematovision.networks.litert import Network
from hematovision.networks.tiles import CELL, Run
from hematovision.program.console import progress
from hematovision.training.backbone import convert
from hematovision.training.checkpoint import Checkpoint
from hematovision.training.fields.fields import TrainingField, measure_typical, prepare_fields
from hematovision.training.fields.fit import (
    BATCH,
    RATE,
    build_field_network,
    choose_judges,
    fit_field_network,
    make_run,
    make_step,
)
from hematovision.training.fields.thresholds import choose_thresholds
from hematovision.training.fields.views import ViewInputs, cut_cells
from hematovision.training.precision import mixed_precision
from hematovision.training.shrinkage import blend, read_values, restore, shrink
from hematovision.training.start import (
    KnownModel,
    draw_picture,
    fill,
    hold_against,
    start_field_backbone,
)
from hematovision.training.workers import here

if TYPE_CHECKING:
    import keras

EPOCHS = 24  # by default
# From a trained model: so many epochs and steps at least; at this part of the rate.
KNOWN_EPOCHS, KNOWN_STEPS, KNOWN_RATE = 2, 50, 0.3 * RATE
EPOCH_STEPS = 10  # few fields are shown again and again, until an epoch has so many
# Cells of a label that move its typical size half of the way from the known one.
HALF_WAY_SIZE = 20


class FieldFit(NamedTuple):
    """The network with its .tflite, what its card says, the history; and the .tflite of each
    fold."""

    network: keras.Model
    exported: bytes
    card: dict[str, Any]
    history: list[dict[str, Any]]
    folds: list[bytes]


def choose_epochs(asked: int | None, fields: int, model: KnownModel | None) -> tuple[int, int]:
    """How many epochs over so many training fields, and how often each is shown in one."""
    if asked is not None:
        return asked, 1
    known = model is not None and model.fields is not None
    repeats = max(1, EPOCH_STEPS * BATCH // max(fields, 1)) if known else 1
    steps = -(-repeats * max(fields, 1) // BATCH)
    return (max(KNOWN_EPOCHS, -(-KNOWN_STEPS // steps)) if known else EPOCHS), repeats


def list_labels(fields: FieldSplit, model: KnownModel | None) -> list[str]:
    """What is to be found: the roots of the labels annotated, and what a model finds already."""
    roots = ([*lineage(label)][-1] for label in np.unique(fields.label).tolist())
    return sorted({*roots, *(model.labels if model else ())})


def settle_typical(
    fields: Sequence[TrainingField], labels: Sequence[str], model: KnownModel | None
) -> np.ndarray:
    """Side of a cell of each label in parts of a red cell's (labels,), near what a model knows
    where few are annotated."""
    typical = measure_typical(((f.box, f.label, f.lab, f.cell_px) for f in fields), len(labels))
    if model is not None and model.fields is not None:
        known = model.card["fields"]["typical_side"]
        for k, label in enumerate(labels):
            if label in known:
                count = sum(int((f.label == k).sum()) for f in fields)
                found = np.nan_to_num(typical[k], nan=known[label])
                typical[k] = shrink(found, known[label], count, HALF_WAY_SIZE)
    typical[[is_rbc(name) for name in labels]] = 1.0
    return typical


def build_known(model: KnownModel, labels: Sequence[str]) -> keras.Model:
    """A model's network for fields, to be trained on; labels new to it have a head as usual."""
    network = build_field_network(start_field_backbone(model), len(labels), norms=False)
    names = [name for name in model.fields if name.startswith("conv2d")]
    names.sort(key=lambda name: int(name.rpartition("_")[2]) if "_" in name else 0)
    blocks = [layer for layer in network.layers if layer.name.startswith("conv2d")]
    blocks.sort(key=lambda layer: int(layer.name.rpartition("_")[2]) if "_" in layer.name else 0)
    renamed = {b.name: model.fields[n] for b, n in zip(blocks, names, strict=False)}
    fill([*blocks, network.get_layer("reach")], model.fields | renamed, model.name)
    head = network.get_layer("heat")
    kernel, bias = head.get_weights()
    for k, label in enumerate(labels):
        if label in model.labels:
            place = model.labels.index(label)
            kernel[..., k] = model.fields["heat"][0][..., place]
            bias[k] = model.fields["heat"][1][place]
    head.set_weights((kernel, bias))
    picture = draw_picture(128, 160)
    built, _ = make_run(network)(picture)
    asked, _ = run_network(Network(model.exported_fields), picture)
    at = [labels.index(label) for label in model.labels]
    hold_against(built[..., at], asked, model.name)
    return network


def recall_known(
    run: Run, fields: Sequence[TrainingField], labels: Sequence[str], thresholds: dict[str, float]
) -> list[TrainingField]:
    """The fields with the cells that a trained network finds in them, above its `thresholds`, of
    labels that aren't boxed completely there: what isn't annotated isn't unlearnt (Li and Hoiem,
    2016).

    Red cells are left out: `label_anew` looks for these.
    """
    lowest = np.array([thresholds.get(label, 1.0) for label in labels])
    red, recalled = np.array([is_rbc(label) for label in labels]), []
    for source in progress(fields, len(fields), "finding what is known"):
        wanted = ~red & ~source.complete
        if wanted.any():
            found = find_in_field(run, source.image(), lowest, source.cell_px)
            new = wanted[found.label]
            new &= overlap(found.box, source.box).max(axis=1, initial=0) < 0.5
            box, label = found.box[new], found.label[new]
            source = replace(
                source,
                box=np.concatenate([source.box, box]),
                label=np.append(source.label, label),
                annotated=source.annotated + int(new.sum()),
            )
        recalled.append(source)
    return recalled


class Trainer:
    """A network for fields that is trained several times from the same start: compiled once."""

    def __init__(
        self, network: keras.Model, fields: int, epochs: int, repeats: int, known: bool
    ) -> None:
        """`fields`: how many the last training learns from, on all workers together, `repeats`
        times in each epoch."""
        self.network, self._known, self._epochs = network, known, epochs
        self._shown = repeats * fields
        self._steps = epochs * -(-self._shown // BATCH)
        rate = KNOWN_RATE if known else RATE
        self._step, self._variables = make_step(network, max(1, self._steps), rate)
        self._start = read_values(self._variables)

    def fit(
        self, fields: Sequence[TrainingField], typical: np.ndarray, red: np.ndarray, seed: int,
        checkpoint: Checkpoint, phase: str, shown: int | None = None,
    ) -> tuple[list[TrainingField], list[dict[str, Any]]]:  # fmt: skip
        """Train on fields: these with the cells found in them on the way, and the history.

        `shown`: views an epoch, where these are but some of the fields.
        """
        restore(self._variables, self._start)
        before = read_values(self.network.trainable_variables)
        cells = cut_cells(fields, len(typical), np.random.default_rng([seed, 5]))
        learnt = list(fields)
        stepper = self._step, self._variables
        with mixed_precision(self.network, kept=("heat", "reach")):
            history = fit_field_network(
                self.network, learnt, ViewInputs(cells, typical, red), self._epochs, seed,
                checkpoint, stepper, phase, self._shown if shown is None else shown,
            )  # fmt: skip
        if self._known:
            blend(self.network.trainable_variables, before)
        return learnt, history


def learn_fields(
    backbone: keras.Model | None, train: FieldSplit, own: np.ndarray, val: FieldSplit,
    model: KnownModel | None, folds: dict[str, int], epochs: int, repeats: int, seed: int,
    checkpoint: Checkpoint,
) -> FieldFit:  # fmt: skip
    """Fit on the train fields, choose thresholds on fields that were not learnt from.

    `backbone`: where no model is gone on from that finds cells already. `own` (f,) bool: the train
    fields of this worker; without folds it draws from no others.
    """
    known = model if model is not None and model.fields is not None else None
    labels = list_labels(train, known)
    sizes = None
    if known:
        sizes = np.array([known.card["fields"]["typical_side"].get(k, 1.0) for k in labels])
    fields = prepare_fields(train.select(own), labels, sizes)
    red = np.array([is_rbc(name) for name in labels])
    typical = here().take_chiefs(settle_typical(fields, labels, known))
    network = build_known(known, labels) if known else build_field_network(backbone, len(labels))
    taught = fields
    if known:
        taught = recall_known(make_run(network), fields, labels, known.card["fields"]["thresholds"])
    trainer = Trainer(network, len(own), epochs, repeats, known is not None)
    judge = partial(find_held_out, labels=len(labels))
    exports: list[bytes] = []
    if folds:
        home = list_folds(np.array([f.name for f in fields]), folds)
        found: list[Cells] = [None] * len(fields)
        for fold in sorted(set(folds.values())):
            learnt = [f for f, k in zip(taught, home, strict=True) if k != fold]
            shown = max(1, round(repeats * len(own) / len(learnt))) * len(learnt)
            trainer.fit(learnt, typical, red, seed, checkpoint, f"fields_{fold}", shown)
            exports.append(convert(network))
            held = np.flatnonzero(home == fold)
            for i, cells in zip(held, judge(exports[-1], [fields[i] for i in held]), strict=True):
                found[i] = cells
        held_out = fields
    learnt, history = trainer.fit(taught, typical, red, seed, checkpoint, "fields")
    exported = convert(network)
    if not folds:
        held_out = prepare_fields(val.select(choose_judges(val.lab, seed)), labels, sizes)
        found = judge(exported, held_out)
    thresholds = choose_thresholds(found, held_out, len(labels))
    if known or folds:
        thresholds = shrink_thresholds(thresholds, held_out, labels, known)
    card = {
        "labels": labels,
        "seal": seal(exported, labels),
        "typical_side": dict(zip(labels, typical.tolist(), strict=True)),
        "thresholds": dict(zip(labels, thresholds.round(3).tolist(), strict=True)),
        "cell": CELL,
        "epochs": epochs,
        "cells_without_a_box": sum(len(f.box) - f.annotated for f in learnt),
    }
    return FieldFit(network, exported, card, history, exports)


def find_held_out(exported: bytes, fields: Sequence[TrainingField], labels: int) -> list[Cells]:
    """What an exported network finds in fields of known scale, down to probability 0."""
    run: Callable[..., Any] = partial(run_network, Network(exported))
    return [
        find_in_field(run, f.image(), np.zeros(labels), f.cell_px)
        for f in progress(fields, len(fields), "thresholds")
    ]


def shrink_thresholds(
    best: np.ndarray, fields: Sequence[TrainingField], labels: Sequence[str],
    model: KnownModel | None,
) -> np.ndarray:  # fmt: skip
    """The threshold of each label (labels,), the best here, moved towards the known one (else 0.5)
    where few cells were annotated."""
    known = model.card["fields"]["thresholds"] if model else {}
    start = np.array([known.get(label, 0.5) for label in labels])
    count = np.array([sum(int((f.label == k).sum()) for f in fields) for k in range(len(labels))])
    return shrink(best, start, count)
