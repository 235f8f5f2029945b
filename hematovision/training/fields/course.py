"""The network for fields from its start to its thresholds: fields of an archive -> what was learnt.

    plan = plan_fields(epochs, count, model, plan)
    learnt = learn_fields(network, fields, model, plan)

A type of cell is learnt as what it is a kind of: "Neutrophil" as "WBC". Where training goes on from
a model, the network is built without normalizations, since what is exported has them folded and
statistics of five fields are noise; thresholds move from the known ones no further than the
annotated cells allow.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from hematovision.archive.contents import FieldSplit
from hematovision.archive.folds import list_folds
from hematovision.cells.cells import Cells
from hematovision.cells.labels import is_rbc
from hematovision.networks.card import FieldCard, seal
from hematovision.networks.tiles import CELL
from hematovision.training.backbone import convert
from hematovision.training.fields.fields import TrainingField, prepare_fields
from hematovision.training.fields.fit import BATCH, Trainer, fit_fields, make_step
from hematovision.training.fields.known import (
    MOST_RECOUNTED,
    build_known,
    count_again,
    list_labels,
    recall_known,
    settle_typical,
    tell_jumps,
)
from hematovision.training.fields.looks import settle_looks
from hematovision.training.fields.network import build_field_network, make_run
from hematovision.training.fields.thresholds import choose_thresholds
from hematovision.training.fields.validation import (
    choose_judges,
    find_held_out,
    score_held_out,
    shrink_thresholds,
    tell_failures,
)
from hematovision.training.plan import Learnt, Plan
from hematovision.training.shrinkage import read_values
from hematovision.training.start import KnownModel
from hematovision.training.workers import find_workers

if TYPE_CHECKING:
    import keras

EPOCHS, RATE = 24, 1e-3  # by default
# From a trained model: so many epochs and steps at least; at this part of the rate.
KNOWN_EPOCHS, KNOWN_STEPS, KNOWN_RATE = 2, 50, 0.3 * RATE
EPOCH_STEPS = 10  # few fields are shown again and again, until an epoch has so many
NOTHING = Cells(np.empty((0, 4)), np.empty(0, int), np.empty(0))


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
    trainer, taught = start_trainer(backbone, fields, labels, known, plan), fields
    if known:
        run, least = make_run(trainer.network), known.of_fields.thresholds
        taught = recall_known(run, fields, labels, least)
    exports: list[bytes] = []
    if plan.folds:
        held_out = fields
        found, exports = fit_folds(trainer, taught, fields, plan)
    learnt, history = fit_fields(trainer, taught, plan)
    exported = convert(trainer.network)
    if not plan.folds:
        judges = splits.val.select(choose_judges(splits.val.lab, plan.seed))
        held_out = prepare_fields(judges, labels, sizes)
        found = find_held_out(exported, held_out, len(labels))
    best = choose_thresholds(found, held_out, len(labels))
    if known or plan.folds:
        best = shrink_thresholds(best, held_out, labels, known)
    thresholds = dict(zip(labels, best.round(3).tolist(), strict=True))
    card = FieldCard(
        labels=labels,
        seal=seal(exported, labels),
        typical_side=dict(zip(labels, trainer.typical.tolist(), strict=True)),
        thresholds=thresholds,
        **settle_looks(found, held_out, thresholds, trainer.typical, trainer.red),
        cell=CELL,
        epochs=plan.epochs,
        cells_without_a_box=sum(len(f.box) - f.annotated for f in learnt),
        validation=score_held_out(found, held_out, thresholds),
    )
    notices = tell_failures(card.validation)
    if known:
        some = np.random.default_rng([plan.seed, 7]).permutation(len(fields))[:MOST_RECOUNTED]
        recounted = [fields[i] for i in np.sort(some).tolist()]
        counts = count_again(recounted, known, exported, thresholds)
        notices += tell_jumps(counts, len(recounted))
    return Learnt(trainer.network, exported, card, history, exports, notices)


def start_trainer(
    backbone: keras.Model | None, fields: Sequence[TrainingField], labels: Sequence[str],
    known: KnownModel | None, plan: Plan,
) -> Trainer:  # fmt: skip
    """The network before it is trained, built of a model or anew on a backbone."""
    typical = find_workers().take_chiefs(settle_typical(fields, labels, known))
    network = build_known(known, labels) if known else build_field_network(backbone, len(labels))
    step, variables = make_step(network, plan.epochs * -(-plan.shown // BATCH), plan.rate)
    red, start = np.array([is_rbc(name) for name in labels]), read_values(variables)
    return Trainer(network, step, variables, start, typical, red, known is not None)


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
