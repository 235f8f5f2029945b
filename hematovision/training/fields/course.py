"""The network for fields from its start to its thresholds: fields of an archive -> what was learnt.

    plan = plan_fields(epochs, count, model, plan)
    learnt = learn_fields(network, fields, model, plan)

A type of cell is learnt as what it is a kind of: "Neutrophil" as "WBC". Where training goes on from
a model, the network is built without normalizations, since what is exported has them folded and
statistics of five fields are noise; thresholds move from the known ones no further than the
annotated cells allow.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from hematovision.archive.contents import FieldSplit
from hematovision.archive.folds import list_folds
from hematovision.cells.cells import Cells
from hematovision.cells.labels import is_rbc
from hematovision.networks.card import FieldCard, seal
from hematovision.networks.detector import find_in_field, run_network
from hematovision.networks.litert import Network
from hematovision.networks.tiles import CELL
from hematovision.program.console import progress
from hematovision.training.backbone import convert
from hematovision.training.fields.fields import TrainingField, prepare_fields
from hematovision.training.fields.fit import BATCH, Trainer, fit_fields, make_step
from hematovision.training.fields.known import (
    build_known,
    list_labels,
    recall_known,
    settle_typical,
)
from hematovision.training.fields.network import build_field_network, make_run
from hematovision.training.fields.thresholds import choose_thresholds
from hematovision.training.plan import Learnt, Plan
from hematovision.training.shrinkage import read_values, shrink
from hematovision.training.start import KnownModel
from hematovision.training.workers import find_workers

if TYPE_CHECKING:
    import keras

EPOCHS, RATE = 24, 1e-3  # by default
# From a trained model: so many epochs and steps at least; at this part of the rate.
KNOWN_EPOCHS, KNOWN_STEPS, KNOWN_RATE = 2, 50, 0.3 * RATE
EPOCH_STEPS = 10  # few fields are shown again and again, until an epoch has so many
NOTHING = Cells(np.empty((0, 4)), np.empty(0, int), np.empty(0))
MOST_JUDGES = 100  # fields of a laboratory that thresholds are chosen on


class FieldSplits(NamedTuple):
    """The fields of an archive that a network is fitted on and judged by."""

    train: FieldSplit
    own: np.ndarray  # (f,) bool, the train fields of this worker; without folds it draws no others
    val: FieldSplit


def plan_fields(asked: int | None, count: int, model: KnownModel | None, plan: Plan) -> Plan:
    """How long and how fast is learnt from so many fields; the rest as in `plan`."""
    known = model is not None and bool(model.fields)
    epochs, repeats = asked, 1
    if epochs is None and known:
        repeats = max(1, EPOCH_STEPS * BATCH // max(count, 1))
        steps = -(-repeats * max(count, 1) // BATCH)
        epochs = max(KNOWN_EPOCHS, -(-KNOWN_STEPS // steps))
    epochs = EPOCHS if epochs is None else epochs
    return plan.of("fields", epochs, repeats * count, KNOWN_RATE if known else RATE)


def learn_fields(
    backbone: keras.Model | None, splits: FieldSplits, model: KnownModel | None, plan: Plan
) -> Learnt:
    """Fit on the train fields, choose thresholds on fields that were not learnt from.

    `backbone`: where no model is gone on from that finds cells already.
    """
    known = model if model is not None and model.fields else None
    labels = list_labels(splits.train, known)
    sizes = None
    if known:
        sizes = np.array([known.of_fields.typical_side.get(k, 1.0) for k in labels])
    fields = prepare_fields(splits.train.select(splits.own), labels, sizes)
    typical = find_workers().take_chiefs(settle_typical(fields, labels, known))
    network = build_known(known, labels) if known else build_field_network(backbone, len(labels))
    taught = fields
    if known:
        taught = recall_known(make_run(network), fields, labels, known.of_fields.thresholds)
    step, variables = make_step(network, plan.epochs * -(-plan.shown // BATCH), plan.rate)
    red, start = np.array([is_rbc(name) for name in labels]), read_values(variables)
    trainer = Trainer(network, step, variables, start, typical, red, known is not None)
    exports: list[bytes] = []
    if plan.folds:
        held_out = fields
        found, exports = fit_folds(trainer, taught, fields, plan)
    learnt, history = fit_fields(trainer, taught, plan)
    exported = convert(network)
    if not plan.folds:
        judges = splits.val.select(choose_judges(splits.val.lab, plan.seed))
        held_out = prepare_fields(judges, labels, sizes)
        found = find_held_out(exported, held_out, len(labels))
    thresholds = choose_thresholds(found, held_out, len(labels))
    if known or plan.folds:
        thresholds = shrink_thresholds(thresholds, held_out, labels, known)
    card = FieldCard(
        labels=labels,
        seal=seal(exported, labels),
        typical_side=dict(zip(labels, typical.tolist(), strict=True)),
        thresholds=dict(zip(labels, thresholds.round(3).tolist(), strict=True)),
        cell=CELL,
        epochs=plan.epochs,
        cells_without_a_box=sum(len(f.box) - f.annotated for f in learnt),
    )
    return Learnt(network, exported, card, history, exports)


def fit_folds(
    trainer: Trainer, taught: Sequence[TrainingField], fields: Sequence[TrainingField], plan: Plan
) -> tuple[list[Cells], list[bytes]]:
    """What is found in each of the fields (f,) by a network that has learnt from those of the other
    folds, as `taught`; and the .tflite of each fold."""
    home = list_folds(np.array([f.name for f in fields]), plan.folds)
    found, exports = [NOTHING] * len(fields), []
    for fold in plan.list_folds():
        others = [f for f, k in zip(taught, home, strict=True) if k != fold]
        shown = max(1, round(plan.shown / len(others))) * len(others)
        fit_fields(trainer, others, plan.of_fold(fold, shown))
        exports.append(convert(trainer.network))
        held = np.flatnonzero(home == fold)
        answers = find_held_out(exports[-1], [fields[i] for i in held.tolist()], len(trainer.red))
        for i, cells in zip(held, answers, strict=True):
            found[i] = cells
    return found, exports


def choose_judges(labs: np.ndarray, seed: int) -> np.ndarray:
    """Which fields (f,) bool thresholds are chosen on: MOST_JUDGES of each laboratory at most."""
    rng, chosen = np.random.default_rng([seed, 6]), np.zeros(len(labs), bool)
    for lab in np.unique(labs):
        chosen[rng.permutation(np.flatnonzero(labs == lab))[:MOST_JUDGES]] = True
    return chosen


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
    known = model.of_fields.thresholds if model else {}
    start = np.array([known.get(label, 0.5) for label in labels])
    count = np.array([sum(int((f.label == k).sum()) for f in fields) for k in range(len(labels))])
    return shrink(best, start, count)
