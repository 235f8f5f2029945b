"""The start of a training: which weights it begins with, ImageNet's or those of a trained model.

    start = choose_start("auto", metadata)     # the words of --weights -> weights, or a model
    backbone, origin = start_backbone(start, crops)

A trained model is gone on from by its two .tflite files and its card alone: the networks are folded
there, and a layer's name tells which of ours it is.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from hematovision.archive.contents import Archive
from hematovision.archive.metadata import Metadata
from hematovision.archive.schema import BROKEN
from hematovision.cells.taxonomy import lineage, list_members
from hematovision.networks.card import NAME, PRETRAINED, Card, FieldCard, read_card
from hematovision.networks.classifier import Classifier
from hematovision.networks.detector import NAME as FIELDS_NAME
from hematovision.networks.detector import Detector
from hematovision.networks.litert import read_weights
from hematovision.networks.seen import find_seen_fields, find_seen_twins
from hematovision.pictures.images import Crops
from hematovision.program.console import UserError, first_line
from hematovision.program.files import read_file
from hematovision.training.backbone import build_backbone, build_bare
from hematovision.training.crops.rehearsal import Rehearsal, read_rehearsal

if TYPE_CHECKING:
    import keras

Weights = dict[str, tuple[np.ndarray, ...]]  # kernel and bias by the name of their layer


class KnownModel(NamedTuple):
    """A trained model, as far as its exported files tell."""

    name: str  # in words, for the screen and the next card
    card: Card
    leaves: list[str]  # what the network for crops tells apart
    crops: Weights
    fields: Weights  # empty: it can't find cells in whole fields
    classifier: Classifier  # to hold what is built of it against
    exported_fields: bytes  # the same of its network for fields
    rehearsal: Rehearsal | None  # crops that it was taught, where some are kept with it

    @property
    def temperature(self) -> float:
        """What the logits of its export are divided by already."""
        return float(self.card.temperature)

    @property
    def labels(self) -> list[str]:
        """What its network for fields finds."""
        return self.of_fields.labels if self.fields else []

    @property
    def of_fields(self) -> FieldCard:
        """What its card says of its network for fields; LookupError where it has none."""
        if self.card.fields is None:
            raise LookupError(f"{self.name} can't find cells in whole fields")
        return self.card.fields


# Cells of a label from which it is learnt to find them without a model to go on from: from thirty
# fields with some thirty white cells and platelets it wasn't.
FEW = 100


class Start(NamedTuple):
    """What a training begins with."""

    weights: str  # imagenet, none or a weights file; unused where there is a model
    model: KnownModel | None
    notices: list[str]  # for the screen and the card


def choose_start(weights: str, metadata: Metadata) -> Start:
    """What --weights stands for on an archive.

    `auto` is the bundled model, unless a held-out field of the archive, or a twin of one, was among
    its training fields: figures on it would flatter. Raises UserError where a model is named that
    is none.
    """
    if weights == "auto":
        if not (PRETRAINED / f"{NAME}.json").is_file():
            return Start("imagenet", None, [])
        seen = list_seen(metadata, read_card(PRETRAINED))
        if seen:
            return Start("imagenet", None, [
                f"not started from the bundled model: {len(seen)} validation or test fields of "
                f"this archive (such as {seen[0]}) were among its training fields"
            ])  # fmt: skip
        return Start("", load_model(PRETRAINED), [])
    folder = PRETRAINED if weights == "bundled" else Path(weights)
    if weights in ("imagenet", "none") or not folder.is_dir():
        return Start(weights, None, [])
    model = load_model(folder)
    seen, notices = list_seen(metadata, model.card), []
    if seen:
        notices = [
            f"{len(seen)} validation or test fields of this archive (such as {seen[0]}) were among "
            f"the training fields of the {model.name}: figures on them flatter"
        ]
    return Start("", model, notices)


def list_seen(metadata: Metadata, card: Card) -> list[str]:
    """Held-out fields that a model was trained on, then those whose twins it was."""
    return find_seen_fields(metadata, card) + find_seen_twins(metadata, card)


def load_model(folder: Path) -> KnownModel:
    """The trained model in `folder`; UserError where it is none, or damaged."""
    card = read_card(folder)
    classifier = Classifier.load(folder)  # checks that card and network belong together
    leaves = card.leaves or card.classes
    with_fields = card.fields is not None
    if with_fields:
        Detector.load(folder, card)
    try:
        crops = read_weights(read_file(folder / f"{NAME}.tflite", "model"))
        fields: Weights = {}
        exported_fields = b""
        if with_fields:
            exported_fields = read_file(folder / f"{FIELDS_NAME}.tflite", "model")
            fields = read_weights(exported_fields)
        rehearsal = read_rehearsal(folder)
        if crops["leaves"][0].shape[1] != len(leaves):
            raise ValueError("its card names other leaves than its network has")
    except BROKEN as error:
        raise UserError(
            f"{folder}: can't be gone on from ({first_line(error)}); train it anew with this "
            "version, or start from other --weights"
        ) from None
    kind = "bundled model" if folder == PRETRAINED else f"model {folder.name}"
    return KnownModel(kind, card, leaves, crops, fields, classifier, exported_fields, rehearsal)


def take_in(archive: Archive, model: KnownModel | None) -> Archive:
    """The archive with the classes that a model knows beside its own: what isn't shown here needn't
    be lost. In the binary task there is nothing to take in."""
    if model is None or archive.metadata.task == "binary":
        return archive
    binary = model.card.task == "binary"
    known = model.leaves if binary else model.card.classes
    classes = sorted({*archive.classes, *known})
    home = np.array([classes.index(name) for name in archive.classes])
    splits = {name: split._replace(y=home[split.y]) for name, split in archive.splits.items()}
    return archive._replace(splits=splits, classes=classes)


def tell_labels(labels: Sequence[str], model: KnownModel) -> str:
    """How the labels of an archive and what a model knows meet, in a line."""
    known = {name.casefold() for name in (*model.leaves, *model.card.classes)}
    members = list_members(list(labels), model.leaves)
    same = [a for a, m in zip(labels, members, strict=True) if m.any() or a.casefold() in known]
    new = [name for name in labels if name not in same]
    kept = [leaf for leaf, m in zip(model.leaves, members.T, strict=True) if not m.any()]
    parts = [f"known to the {model.name}: {', '.join(same) or 'none'}"]
    parts += [f"new to it: {', '.join(new)}"] if new else []
    parts += [f"kept without an example here: {', '.join(kept)}"] if kept else []
    if not same:
        parts.append("if they mean the same, rename them with preprocess_data.py --labels OLD=NEW")
    return "labels " + "; ".join(parts)


def tell_start(start: Start, origin: str, archive: Archive) -> list[str]:
    """What a training begins with, line by line for the screen."""
    lines = [f"weights: {origin}", *(f"warning: {notice}" for notice in start.notices)]
    if start.model is not None:
        labels = np.unique(archive.splits["train"].label).tolist()
        lines.append(tell_labels(labels, start.model))
    return lines


def tell_few(labels: Sequence[str]) -> list[str]:
    """What to say where so few cells of a label are annotated, `labels` (n,) of all, that a network
    which knows none won't learn to find them in whole fields."""
    count = Counter([*lineage(label)][-1] for label in labels)
    few = {label: n for label, n in sorted(count.items()) if n < FEW}
    if not few or not (PRETRAINED / f"{NAME}.json").is_file():
        return []
    told = ", ".join(f"{n} {label}" for label, n in few.items())
    return [
        f"warning: {told}: too few to learn from nothing to find them in whole fields; --weights "
        "bundled goes on from a model that finds them (figures on fields that it has seen flatter)"
    ]


def start_backbone(start: Start, crops: Crops) -> tuple[keras.Model, str]:
    """The folded backbone for crops (n, size, size, 3), and in words where it is from."""
    if start.model is None:
        return build_backbone(start.weights, crops)
    backbone = build_bare(crops.shape[1:])
    fill(backbone.layers, start.model.crops, start.model.name)
    seal = start.model.card.seal or "none"
    return backbone, f"{start.model.name}, seal {seal[:16]}"


def start_field_backbone(model: KnownModel) -> keras.Model:
    """The folded backbone of a model's network for fields, for pictures of any size."""
    backbone = build_bare((None, None, 3))
    fill(backbone.layers, model.fields, model.name)
    return backbone


def fill(layers: Sequence[keras.Layer], weights: Weights, name: str) -> None:
    """Set the weights of layers by their names; UserError where some are missing or don't fit."""
    try:
        for layer in layers:
            if layer.weights:
                layer.set_weights(weights[layer.name])
    except BROKEN as error:
        raise UserError(
            f"{name}: its network isn't built as ours ({first_line(error)}); start from other "
            "--weights"
        ) from None


def draw_picture(height: int, width: int) -> np.ndarray:
    """A picture (height, width, 3) uint8 of coloured blocks, always the same, that every part of a
    network has to do something with."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (-(-height // 8), -(-width // 8), 3), np.uint8)
    return coarse.repeat(8, axis=0).repeat(8, axis=1)[:height, :width]


def hold_against(built: np.ndarray, answered: np.ndarray, name: str) -> None:
    """UserError where what was built of a model answers otherwise than the model, 0.001 or more."""
    apart = float(np.abs(built - answered).max(initial=0.0))
    if not apart < 1e-3:  # also where it is no number
        raise UserError(
            f"{name}: built anew, it answers otherwise to the same picture (by {apart:.4f}); start "
            "from other --weights"
        )


def join_origin(card: Card, start: Start) -> Card:
    """The card of a trained model with what it has from the one it went on from: fields that were
    learnt from, their looks, notices, and whether cells were drawn."""
    if start.model is None:
        return replace(card, notices=list(dict.fromkeys(start.notices)))
    of = start.model.card
    return replace(
        card,
        notices=list(dict.fromkeys([*start.notices, *of.notices])),
        demonstration=card.demonstration or of.demonstration,
        training_fields=sorted({*card.training_fields, *of.training_fields}),
        training_looks=sorted({*card.training_looks, *of.training_looks}),
    )
