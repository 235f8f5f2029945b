"""The model card, hematovision.json: what a model is, read and checked, and sealed to its network.

A card that some editor or hand has changed still looks like one: so its keys, types and ranges are
looked at whenever it is read, and a digest ties the order of the classes to the network's bytes.
"""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from hematovision.networks.digests import Digests, Kept, write_digests
from hematovision.program.console import UserError, first_line
from hematovision.program.files import HERE, read_file, write_text
from hematovision.program.records import read_record, some_within, within, write_record

NAME = "hematovision"
PRETRAINED = HERE / "data" / "pretrained"
KIND_THRESHOLD = 0.5  # share of its parent's probability from which a kind is named
MOST_NAMES = 1000  # classes
MOST_IN_CARD = 5000  # training fields told of in the card itself, 100 bytes each
KEPT_FIELDS, KEPT_LOOKS = f"{NAME}_training_fields.npy", f"{NAME}_training_looks.npy"
SIDES = (0.05, 4)  # of a cell, in parts of a red cell's: beyond, fields would grow without end
HOW_TO_TRAIN = "train one with train_model.py"


@dataclass(frozen=True, kw_only=True)
class FieldCard:
    """What a card says of the network for whole fields."""

    labels: list[str]  # what is found, in the order of its outputs
    seal: str | None = None
    typical_side: dict[str, float] = within(*SIDES)  # of each label, in parts of a red cell's
    thresholds: dict[str, float] = within(0.001, 1)  # probability from which a cell is counted
    # Probabilities between which a cell is to be looked at again: below, where it is counted; from
    # there up, where it isn't (`networks.looks`).
    sure: dict[str, float] = some_within(0.001, 1)
    nearly: dict[str, float] = some_within(0.001, 1)
    cell: float | None = None  # pixels across a red cell, at the scale it looks at
    epochs: int | None = None
    cells_without_a_box: int | None = None  # that it learnt as cells all the same
    # By label, cells annotated, counted, and both, in held-out fields.
    validation: dict[str, dict[str, float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_names("labels", self.labels)
        for key in ("thresholds", "typical_side"):
            if missing := [name for name in self.labels if name not in getattr(self, key)]:
                raise ValueError(f"{key}: lacks {missing[0]:.40}")


@dataclass(frozen=True, kw_only=True)
class Card:
    """What a model is, what it was made of, and how it did on held-out crops."""

    classes: list[str]
    image_size: int = within(8, 1024)  # pixels along a crop
    task: Literal["binary", "multiclass"]
    temperature: float = 1.0  # divides the logits
    threshold: float | None = within(0, 1)  # of RBC's probability, in the binary task
    kind_threshold: float = within(0, 1, KIND_THRESHOLD)
    novelty_threshold: float  # above it, a picture is unlike any cell
    export_difference: float | None = None  # largest, of a probability between Keras and LiteRT
    validation: dict[str, float] = field(default_factory=dict)  # figures on held-out crops
    seal: str | None = None
    leaves: list[str] | None = None  # what the network tells apart, where these aren't the classes
    weights: str = ""  # in words, where they came from
    notices: list[str] = field(default_factory=list)
    demonstration: bool = False  # it has learnt from drawn cells
    epochs: int | None = None
    seed: int | None = None
    archive_sha256: str = ""
    dataset_sha256: str = ""
    counts: dict[str, dict[str, int]] = field(default_factory=dict)  # crops by split and class
    seconds: dict[str, float] = field(default_factory=dict)  # by phase
    versions: dict[str, str] = field(default_factory=dict)
    kept_fields: Kept | None = None  # where these are many, in files beside the card:
    kept_looks: Kept | None = None
    training_fields: Sequence[str]  # SHA-256 of each field that it has learnt from
    training_looks: Sequence[str] = field(default_factory=list)  # how these look (`pictures.twins`)
    fields: FieldCard | None = None  # None: it can't find cells in whole fields

    def __post_init__(self) -> None:
        check_names("classes", self.classes)
        if self.threshold is not None and self.classes != ["Other", "RBC"]:
            raise ValueError("a threshold of red cells wants the classes Other and RBC")


def check_names(key: str, names: Sequence[str]) -> None:
    """ValueError where names aren't some, each another."""
    if not names or len(set(names)) < len(names) or len(names) > MOST_NAMES:
        raise ValueError(f"{key}: none, a name twice, or over {MOST_NAMES}")


def read_card(folder: Path) -> Card:
    """The model card of `folder`; UserError where it is missing or no card."""
    path = folder / f"{NAME}.json"
    if not path.exists():
        raise UserError(f"{path}: No such file or directory; {HOW_TO_TRAIN}")
    try:
        card = read_record(Card, json.loads(read_file(path, "model card").decode("utf-8")))
    except (ValueError, RecursionError) as error:
        raise UserError(
            f"{folder}: not a HematoVision model ({first_line(error)}); {HOW_TO_TRAIN}"
        ) from None
    if card.kept_fields:
        card = replace(card, training_fields=Digests(folder / KEPT_FIELDS, card.kept_fields))
    if card.kept_looks:
        card = replace(card, training_looks=Digests(folder / KEPT_LOOKS, card.kept_looks))
    return card


def write_card(folder: Path, card: Card) -> None:
    """Write the card of a model, whole or not at all; where it has learnt from many fields, before
    it what tells of them into files of their own, so that it stays small."""
    fields, looks = list(card.training_fields), [look for look in card.training_looks if look]
    card = replace(card, kept_fields=None, kept_looks=None)
    if len(fields) > MOST_IN_CARD:
        kept = write_digests(folder / KEPT_FIELDS, fields)
        card = replace(card, kept_fields=kept, training_fields=[])
    if len(looks) > MOST_IN_CARD:
        kept = write_digests(folder / KEPT_LOOKS, looks)
        card = replace(card, kept_looks=kept, training_looks=[])
    write_text(folder / f"{NAME}.json", json.dumps(write_record(card), indent=2) + "\n")


def seal(network: bytes, names: Sequence[str]) -> str:
    """The digest of an exported network and of what its outputs mean, in their order."""
    return hashlib.sha256(network + "\0".join(names).encode()).hexdigest()


def check_seal(network: bytes, names: Sequence[str], sealed: str | None) -> None:
    """ValueError where card and network don't belong together; cards of before carry no seal."""
    if sealed is not None and seal(network, names) != sealed:
        raise ValueError("card and network belong to different models, or one was changed")


def warn_of_demonstration(card: Card) -> str:
    """What to say of a model that was trained on drawn cells; nothing of any other."""
    if not card.demonstration:
        return ""
    return "warning: this model has learnt from drawn cells: a demonstration, not for real smears"


def choose_model(folder: Path | None, trained: Path = Path("model")) -> tuple[Path, str]:
    """The folder given, or that of the file given, else `trained` where it holds a model, else the
    bundled one; and a notice."""
    if folder is not None and folder.is_file() and folder.name.startswith(NAME):
        return folder.parent, f"using the model that the file belongs to: {folder.parent}"
    if folder is not None:
        # Who names a file of a model means the model.
        is_part = folder.name.startswith(NAME) and (folder.parent / f"{NAME}.json").is_file()
        if folder.is_file() and not is_part:
            raise UserError(f"{folder}: is a file; name the folder of a model")
        return (folder.parent if folder.is_file() else folder), ""
    if (trained / f"{NAME}.json").is_file():
        return trained, f"using the model trained here: {trained}"
    return PRETRAINED, f"using the bundled model: {PRETRAINED}"


def list_versions(packages: Sequence[str]) -> dict[str, str]:
    """The version of Python and of each package, for cards and reports."""
    from importlib.metadata import version

    return {"python": platform.python_version(), **{name: version(name) for name in packages}}
