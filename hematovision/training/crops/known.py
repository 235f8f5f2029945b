"""What a model that is gone on from knows of crops: its heads, its answers, what it was shown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from hematovision.training.calibration import fit_logistic
from hematovision.training.crops.epoch import HEAD_CROPS, Kept, draw_crops
from hematovision.training.crops.examples import Examples
from hematovision.training.crops.network import CropNetwork, build_crop_network, merge_leaves
from hematovision.training.start import (
    KnownModel,
    Start,
    draw_picture,
    hold_against,
    start_backbone,
)


def check_known(network: CropNetwork, leaves: Sequence[str], model: KnownModel) -> None:
    """Hold what is built of a model against the model's own answer to a picture; UserError where
    these differ: then training would go on from something else."""
    from scipy.special import softmax

    size = model.card.image_size
    picture = draw_picture(size, size)[np.newaxis]
    if network.lower.input.shape[1] != size:
        backbone, _ = start_backbone(Start("", model, []), picture)
        network, leaves = build_crop_network(backbone, len(model.leaves)), model.leaves
    copy_heads(network, leaves, model)
    of_model = [list(leaves).index(leaf) for leaf in model.leaves if leaf in leaves]
    if len(of_model) < len(model.leaves):  # a parent that its kinds stand for now
        return
    proba = softmax(network.ask(picture)[0][:, of_model] / model.temperature, axis=1)
    merge = merge_leaves(model.leaves, model.card.classes, model.card.task)
    proba = proba if merge is None else np.minimum(proba @ merge, 1.0)
    hold_against(proba, model.classifier.predict_proba(picture)[0], model.name)


def start_known_heads(
    network: CropNetwork, examples: Examples, model: KnownModel, seed: int
) -> None:
    """Set the heads: leaves that a model knows start as they are there; only those new to it are
    fitted."""
    new = [k for k, leaf in enumerate(examples.leaves) if leaf not in model.leaves]
    if new:
        kernel, bias = network.head.get_weights()
        kernel[:, new], bias[new] = fit_new(network, examples, new, seed)
        network.head.set_weights((kernel, bias))
    copy_heads(network, examples.leaves, model)


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


def fit_new(
    network: CropNetwork, examples: Examples, new: Sequence[int], seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Kernel (d, new) and bias (new,) of leaves that the network doesn't know: what tells each from
    all others in its own features. Nothing, where no crop is surely of one."""
    rng = np.random.default_rng([seed, 4])
    chosen = np.sort(draw_crops(examples.train, min(len(examples.train.y), HEAD_CROPS), rng))
    maps = network.frozen(examples.train.X[chosen])
    features = network.upper.predict(maps, batch_size=128, verbose=0)
    members = examples.members[chosen]
    kernel = np.zeros((features.shape[1], len(new)), np.float32)
    bias = np.zeros(len(new), np.float32)
    for place, k in enumerate(new):
        is_one = members[:, k] & (members.sum(axis=1) == 1)
        if 0 < is_one.sum() < len(is_one):
            column, offset = fit_logistic(features, is_one, C=0.01, max_iter=200)
            kernel[:, place], bias[place] = column[:, 0], offset[0]
    return kernel, bias


def recall_kept(model: KnownModel | None, leaves: Sequence[str], shape: Any) -> Kept | None:
    """What is kept with a model of crops, as far as it is of these leaves and of maps of `shape`
    (h, w, c); None, where there is nothing."""
    if model is None or model.rehearsal is None or model.rehearsal.maps.shape[1:] != tuple(shape):
        return None
    shown, members = model.rehearsal.encode(leaves)
    if not len(shown):
        return None
    return Kept(model.rehearsal.maps[shown], members)
