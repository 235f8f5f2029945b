"""The network for crops from its start to its calibration: crops of an archive -> what was learnt.

    plan = plan_crops(epochs, examples.count, model, plan)
    learnt = learn_crops(network, examples, model, plan)

Where the archive is split, one training, and the validation crops are answered; where its few
fields are dealt to folds, a training for each fold, whose crops it answers, then one on all.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from hematovision.archive.contents import Split
from hematovision.archive.folds import list_folds
from hematovision.networks.card import seal
from hematovision.networks.classifier import ask_network
from hematovision.networks.litert import ThreadedNetwork
from hematovision.program.console import UserError
from hematovision.training.backbone import convert
from hematovision.training.crops.epoch import BATCH, STRANGERS
from hematovision.training.crops.examples import Examples
from hematovision.training.crops.fit import fit_crops
from hematovision.training.crops.known import check_known
from hematovision.training.crops.network import (
    CropNetwork,
    ask_keras,
    assemble,
    check_export,
    merge_leaves,
    set_heads,
)
from hematovision.training.crops.validation import (
    Asked,
    answer_held_out,
    calibrate,
    settle_temperature,
)
from hematovision.training.plan import Learnt, Plan
from hematovision.training.shrinkage import read_values, restore, shrink
from hematovision.training.start import KnownModel
from hematovision.training.views import add_views

if TYPE_CHECKING:
    import keras

EPOCHS, RATE = 4, 1e-4  # by default
# From a trained model: one epoch, of so many steps at least; of few crops at a part of the rate,
# of MANY halfway between that and the whole.
KNOWN_STEPS, KNOWN_RATE, MANY = 60, 0.5 * RATE, 10_000


def plan_crops(asked: int | None, count: int, model: KnownModel | None, plan: Plan) -> Plan:
    """How long and how fast is learnt from so many crops; the rest as in `plan`."""
    epochs, repeats, rate = asked, 1, RATE
    if model is not None:
        rate = float(shrink(RATE, KNOWN_RATE, count, MANY))
    if epochs is None:
        epochs = EPOCHS if model is None else 1
        if model is not None:
            least = int(KNOWN_STEPS * BATCH / (1 + STRANGERS))
            repeats = -(-least // max(count, 1))
    return plan.of("crops", epochs, repeats * count, rate)


def learn_crops(
    network: CropNetwork, examples: Examples, model: KnownModel | None, plan: Plan
) -> Learnt:
    """Fit the network, judge it by crops that it hasn't learnt from, export it."""
    if model is not None:
        check_known(network, examples.leaves, model)
    # On the validation crops as they are a good model makes next to no mistake to learn from.
    viewed = add_views(examples.val, [plan.seed, 1])
    fitted: list[list[np.ndarray]] = []
    if plan.folds:
        held_out, fitted = fit_folds(network, examples, viewed, model, plan)
    history = fit_crops(network, examples, model, plan)
    if not plan.folds:
        held_out = Asked(*network.ask(viewed.X))
    temperature = settle_temperature(held_out.answers, examples.val_members, model)
    merge = merge_leaves(examples.leaves, examples.classes, examples.task)
    assembled = assemble(network, temperature, merge)
    exported = convert(assembled)
    try:
        asked, difference = ask_exported(assembled, exported, examples, viewed)
        if plan.folds:  # that network has learnt from what it was asked
            asked = answer_held_out(held_out, temperature, merge)
        found = calibrate(asked, viewed, examples, model)
    except UserError:
        plan.checkpoint.clear()  # to go on from there would end here again
        raise
    card = {
        "temperature": temperature,
        **found._asdict(),
        "export_difference": difference,
        "seal": seal(exported, examples.classes),
        "leaves": examples.leaves,
        "epochs": plan.epochs,
    }
    folds = export_folds(assembled, network, temperature, fitted)
    return Learnt(assembled, exported, card, history, folds)


def fit_folds(
    network: CropNetwork, examples: Examples, viewed: Split, model: KnownModel | None, plan: Plan
) -> tuple[Asked, list[list[np.ndarray]]]:
    """Logits and novelty of the validation crops and views of them (2 n), each by a network that
    hasn't learnt from its field; and the values of the variables fitted for each fold."""
    variables = network.trainer.trainable_variables
    before, fitted = read_values(variables), []
    of_train, of_val = (
        list_folds(split.source, plan.folds) for split in (examples.train, examples.val)
    )
    of_viewed = np.tile(of_val, 2)
    logits = np.zeros((len(of_viewed), len(examples.leaves)), np.float32)
    novelty = np.zeros(len(of_viewed), np.float32)
    for fold in plan.list_folds():
        restore(variables, before)
        others = examples.select(of_train != fold, of_val == fold)
        shown = plan.shown // examples.count * others.count
        fit_crops(network, others, model, plan.of_fold(fold, shown))
        mine = of_viewed == fold
        logits[mine], novelty[mine] = network.ask(viewed.X[mine])
        fitted.append(read_values(variables))
    restore(variables, before)
    return Asked(logits, novelty), fitted


def ask_exported(
    assembled: keras.Model, exported: bytes, examples: Examples, viewed: Split
) -> tuple[Asked, float]:
    """What the exported network says of the validation crops and views of them, and how far a
    probability is from the Keras model's; UserError where that is too far."""
    asked = Asked(*ask_network(ThreadedNetwork(exported), viewed.X))
    plain = asked.answers[: len(examples.val.y)]
    return asked, check_export(ask_keras(assembled, examples.val.X), plain)


def export_folds(
    assembled: keras.Model, network: CropNetwork, temperature: float,
    fitted: Sequence[Sequence[np.ndarray]],
) -> list[bytes]:  # fmt: skip
    """The .tflite of each fold, of the values `fitted` for it; the network is left as it was."""
    variables, exports = network.trainer.trainable_variables, []
    last = read_values(variables)
    for values in fitted:
        restore(variables, values)
        set_heads(assembled, network, temperature)
        exports.append(convert(assembled))
    if exports:
        restore(variables, last)
        set_heads(assembled, network, temperature)
    return exports
