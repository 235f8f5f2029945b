"""The network for crops from its start to its answers on crops that it hasn't learnt from.

    fit = fit_crops(network, crops, model, folds, epochs, seed, checkpoint)

Where the archive is split, one training, and the validation crops are answered; where its few
fields are dealt to folds, a training for each fold, whose crops it answers, then one on all.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from hematovision.archive.folds import list_folds
from hematovision.archive.loading import Split
from hematovision.cells.cells import BACKGROUND
from hematovision.training.calibration import fit_logistic
from hematovision.training.checkpoint import Checkpoint
from hematovision.training.crops.epoch import STRANGERS, Kept
from hematovision.training.crops.fit import (
    BATCH,
    HEAD_CROPS,
    RATE,
    encode_annotated,
    fine_tune,
    fit_heads,
    make_validation,
    say_epoch,
)
from hematovision.training.crops.network import CropNetwork, build_crop_network, merge_leaves
from hematovision.training.precision import mixed_precision
from hematovision.training.shrinkage import blend, read_values, restore
from hematovision.training.start import (
    KnownModel,
    Start,
    draw_picture,
    hold_against,
    start_backbone,
)
from hematovision.training.views import add_views

EPOCHS = 4  # by default
# From a trained model: one epoch, of so many steps at least; at this part of the rate.
KNOWN_STEPS, KNOWN_RATE = 60, 0.5 * RATE
MOST_VALIDATED = 12_000


class Crops(NamedTuple):
    """The crops of an archive as the network is fitted on them."""

    leaves: list[str]
    train: Split  # of several workers, this one's
    members: np.ndarray  # (n, leaves) bool, which leaves each may show
    count: int  # training crops of all workers
    val: Split
    val_members: np.ndarray

    def select(self, train: np.ndarray, val: np.ndarray) -> Crops:
        """Only those crops of train and val where a mask (n,) is true."""
        return Crops(
            self.leaves,
            self.train.pick(train),
            self.members[train],
            int(train.sum()),
            self.val.pick(val),
            self.val_members[val],
        )

    def keep(self, own: np.ndarray) -> Crops:
        """Of the training crops only this worker's own, where a mask (n,) is true."""
        return self._replace(train=self.train.pick(own), members=self.members[own])


class CropFit(NamedTuple):
    """What came of it; the network itself has learnt from all that it may learn from."""

    viewed: Split  # the validation crops as they are, then views of them
    logits: np.ndarray  # (2 n, leaves) of these, by a network that hasn't learnt from them
    novelty: np.ndarray  # (2 n,)
    history: list[dict[str, Any]]
    folds: list[list[np.ndarray]]  # the values of the variables fitted for each fold


def pack_crops(train: Split, val: Split, model: KnownModel | None) -> Crops:
    """The crops, with the leaves that a model knows beside those annotated.

    Of the validation crops no more than MOST_VALIDATED, at random: their answers are all held.
    """
    if len(val.y) > MOST_VALIDATED:
        chosen = np.random.default_rng(0).permutation(len(val.y))[:MOST_VALIDATED]
        val = val.pick(np.sort(chosen))
    leaves, members, val_members = encode_annotated(train, val, model.leaves if model else ())
    return Crops(leaves, train, members, len(train.y), val, val_members)


def recall_kept(model: KnownModel | None, leaves: Sequence[str], shape: Any) -> Kept | None:
    """What is kept with a model of crops, as far as it is of these leaves and of maps of `shape`
    (h, w, c); None, where there is nothing."""
    if model is None or model.rehearsal is None or model.rehearsal.maps.shape[1:] != tuple(shape):
        return None
    shown, members = model.rehearsal.encode(leaves)
    if not len(shown):
        return None
    is_cell = (model.rehearsal.label[shown] != BACKGROUND).astype(np.float32)
    return Kept(model.rehearsal.maps[shown], members, is_cell)


def choose_epochs(asked: int | None, crops: int, model: KnownModel | None) -> tuple[int, int]:
    """How many epochs over so many training crops, and how often each is shown in one."""
    if asked is not None:
        return asked, 1
    if model is None:
        return EPOCHS, 1
    return 1, -(-int(KNOWN_STEPS * BATCH / (1 + STRANGERS)) // max(crops, 1))


def start_heads(
    network: CropNetwork, crops: Crops, model: KnownModel | None, seed: int
) -> list[dict[str, Any]]:
    """The heads before anything is fine-tuned; the history.

    Leaves that a model knows start as they are there; only those new to it are fitted.
    """
    validate = make_validation(network, crops.val.X, crops.val_members)
    if model is None:
        return fit_heads(network, crops.train, crops.members, validate, seed)
    new = [k for k, leaf in enumerate(crops.leaves) if leaf not in model.leaves]
    if new:
        kernel, bias = network.head.get_weights()
        kernel[:, new], bias[new] = fit_new(network, crops, new, seed)
        network.head.set_weights((kernel, bias))
    copy_heads(network, crops.leaves, model)
    history = [{"phase": "head", "epoch": 0, **validate()}]
    say_epoch(history[0])
    return history


def copy_heads(network: CropNetwork, leaves: Sequence[str], model: KnownModel) -> None:
    """Give a network the heads of a model, leaf by leaf; what is new to the model stays."""
    kernel, bias = network.head.get_weights()
    old_kernel, old_bias = model.crops["leaves"]
    for k, leaf in enumerate(leaves):
        if (
            leaf in model.leaves
        ):  # the export has the temperature in it, which training does without
            place = model.leaves.index(leaf)
            kernel[:, k] = old_kernel[:, place] * model.temperature
            bias[k] = old_bias[place] * model.temperature
    network.head.set_weights((kernel, bias))
    network.novelty.set_weights(model.crops["strange"])


def check_known(network: CropNetwork, leaves: Sequence[str], model: KnownModel) -> None:
    """Hold what is built of a model against the model's own answer to a picture; UserError where
    these differ: then training would go on from something else."""
    from scipy.special import softmax

    size = model.card["image_size"]
    picture = draw_picture(size, size)[np.newaxis]
    if network.lower.input.shape[1] != size:
        backbone, _ = start_backbone(Start("", model, []), picture)
        network, leaves = build_crop_network(backbone, len(model.leaves)), model.leaves
    copy_heads(network, leaves, model)
    of_model = [list(leaves).index(leaf) for leaf in model.leaves if leaf in leaves]
    if len(of_model) < len(model.leaves):  # a parent that its kinds stand for now
        return
    proba = softmax(network.ask(picture)[0][:, of_model] / model.temperature, axis=1)
    merge = merge_leaves(model.leaves, model.card["classes"], model.card["task"])
    proba = proba if merge is None else np.minimum(proba @ merge, 1.0)
    hold_against(proba, model.classifier.predict_proba(picture)[0], model.name)


def fit_new(
    network: CropNetwork, crops: Crops, new: Sequence[int], seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Kernel (d, new) and bias (new,) of leaves that the network doesn't know: what tells each from
    all others in its own features. Nothing, where no crop is surely of one."""
    rng = np.random.default_rng([seed, 4])
    chosen = np.sort(rng.permutation(len(crops.train.y))[:HEAD_CROPS])
    maps = network.frozen(crops.train.X[chosen])
    features = network.upper.predict(maps, batch_size=128, verbose=0)
    members = crops.members[chosen]
    kernel = np.zeros((features.shape[1], len(new)), np.float32)
    bias = np.zeros(len(new), np.float32)
    for place, k in enumerate(new):
        is_one = members[:, k] & (members.sum(axis=1) == 1)
        if 0 < is_one.sum() < len(is_one):
            column, offset = fit_logistic(features, is_one, C=0.01, max_iter=200)
            kernel[:, place], bias[place] = column[:, 0], offset[0]
    return kernel, bias


def fit_once(
    network: CropNetwork, crops: Crops, model: KnownModel | None, epochs: int, repeats: int,
    seed: int, checkpoint: Checkpoint, phase: str,
) -> list[dict[str, Any]]:  # fmt: skip
    """Heads, then fine-tuning; from a trained model, part of the way back. The history."""
    history = start_heads(network, crops, model, seed)
    before = read_values(network.trainer.trainable_variables)
    validate = make_validation(network, crops.val.X, crops.val_members)
    rate = RATE if model is None else KNOWN_RATE
    again = np.tile(np.arange(len(crops.members)), repeats)
    shown = crops.train if repeats == 1 else crops.train.pick(again)
    with mixed_precision(network.trainer, kept=(network.head.name, network.novelty.name)):
        history += fine_tune(
            network, shown, crops.members[again], repeats * crops.count, validate, epochs, seed,
            checkpoint, rate, phase,
            recall_kept(model, crops.leaves, network.upper.input.shape[1:]),
        )  # fmt: skip
    if model is not None:
        blend(network.trainer.trainable_variables, before)
    return history


def fit_crops(
    network: CropNetwork, crops: Crops, model: KnownModel | None, folds: dict[str, int],
    epochs: int, repeats: int, seed: int, checkpoint: Checkpoint,
) -> CropFit:  # fmt: skip
    """Fit the network, and answer for crops that it hasn't learnt from."""
    if model is not None:
        check_known(network, crops.leaves, model)
    # On the validation crops as they are a good model makes next to no mistake to learn from.
    viewed = add_views(crops.val, [seed, 1])
    if not folds:
        history = fit_once(network, crops, model, epochs, repeats, seed, checkpoint, "crops")
        return CropFit(viewed, *network.ask(viewed.X), history, [])
    variables = network.trainer.trainable_variables
    before, fitted = read_values(variables), []
    of_train, of_val = (list_folds(split.source, folds) for split in (crops.train, crops.val))
    of_viewed = np.tile(of_val, 2)
    logits = np.zeros((len(of_viewed), len(crops.leaves)), np.float32)
    novelty = np.zeros(len(of_viewed), np.float32)
    for fold in sorted(set(folds.values())):
        restore(variables, before)
        part = crops.select(of_train != fold, of_val == fold)
        fit_once(network, part, model, epochs, repeats, seed, checkpoint, f"crops_{fold}")
        mine = of_viewed == fold
        logits[mine], novelty[mine] = network.ask(viewed.X[mine])
        fitted.append(read_values(variables))
    restore(variables, before)
    history = fit_once(network, crops, model, epochs, repeats, seed, checkpoint, "crops")
    return CropFit(viewed, logits, novelty, history, fitted)
