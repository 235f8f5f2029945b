"""Train a blood cell classifier on an archive of crops, by transfer learning from MobileNetV2.

    python3 train_model.py                               # preprocessed_data.npz -> model/
    python3 train_model.py --weights PATH --epochs 4

MobileNetV2 has learnt from photographs what edges, spots and textures are. Here its lower blocks
stay as they are; heads are fitted on what the untouched backbone sees, then heads and upper blocks
are fine-tuned on views of the crops as other laboratories might show them, and on pictures that
show no cell. A second network, which shares the start, learns to find cells in whole fields.

Writes ``hematovision.keras`` (crops in [0, 1] to probabilities), ``hematovision.tflite`` (the same
for prediction, without TensorFlow), both again for whole fields, ``hematovision.json`` (the model
card), ``hematovision_rehearsal.npz`` (of each kind some crops as the frozen blocks see them, for
training that goes on from the model), ``history.csv`` and ``training_curves.png``. The decision
threshold and the calibration see the validation split only; the test split is not read.
"""

from __future__ import annotations

import hematovision.program.signals  # noqa: F401  first: from here on a signal ends in one line

# isort: split
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hematovision.archive.folds import read_folds
from hematovision.archive.joining import find_own
from hematovision.archive.loading import Archive, choose_archive, leave_out, load_archive, place
from hematovision.networks.card import NAME, list_versions, seal
from hematovision.networks.classifier import ask_network
from hematovision.networks.detector import NAME as FIELDS_NAME
from hematovision.networks.litert import ThreadedNetwork
from hematovision.program.console import UserError, command, option, parse_options, say
from hematovision.program.figures import plot_history, save_figure
from hematovision.program.files import check_writable, write_csv, write_text, written_whole
from hematovision.training.backbone import convert, free_size, save_keras, start_tensorflow
from hematovision.training.checkpoint import Checkpoint
from hematovision.training.crops import course as crop_course
from hematovision.training.crops.course import fit_crops, pack_crops
from hematovision.training.crops.network import (
    ask_keras,
    assemble,
    build_crop_network,
    check_export,
    merge_leaves,
)
from hematovision.training.crops.rehearsal import Rehearsal, keep_crops, write_rehearsal
from hematovision.training.crops.validation import (
    Calibration,
    answer_held_out,
    calibrate,
    settle_temperature,
)
from hematovision.training.fields import course as field_course
from hematovision.training.fields.course import learn_fields
from hematovision.training.fold_models import write_fold_models
from hematovision.training.start import (
    KnownModel,
    Start,
    choose_start,
    join_origin,
    start_backbone,
    take_in,
    tell_labels,
)
from hematovision.training.workers import find_share, here

if TYPE_CHECKING:
    import keras

VERSIONED = ("tensorflow", "keras", "numpy", "scikit-learn", "opencv-python-headless")
HISTORY = ("phase", "epoch", "loss", "accuracy", "val_loss", "val_accuracy", "seconds")


@dataclass(frozen=True)
class Options:
    data: Path | None = option(
        None,
        "archive made by preprocess_data.py, in one file or in parts (default: "
        "preprocessed_data.npz)",
    )
    output_dir: Path | None = option(
        None, "folder for the trained model (default: model; demo/model where cells are drawn)"
    )
    weights: str = option(
        "auto",
        "start from: auto, bundled or a folder with a trained model (goes on from it), imagenet, "
        "none, or a MobileNetV2 weights file",
    )
    epochs: int | None = option(
        None,
        "passes over the training crops while fine-tuning (default: 4; from a trained model 1, "
        "of few crops shown again)",
        low=0, high=1000,
    )  # fmt: skip
    field_epochs: int | None = option(
        None,
        "passes over the training fields to learn to find cells in them, 0: don't (default: 24; "
        "from a trained model 2, or 5 of few fields shown again)",
        low=0, high=1000,
    )  # fmt: skip
    leave_out: str | None = option(
        None, "train without these laboratories of the archive (names, comma between)"
    )
    resume: bool = option(False, "go on after the last whole epoch of a run that was cut")
    seed: int = option(42, "seed of everything random", low=0)


class Clock:
    """Seconds by phase: each call closes the phase that was running."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._last = time.perf_counter()

    def __call__(self, phase: str) -> None:
        now = time.perf_counter()
        self.seconds[phase] = round(now - self._last, 2)
        self._last = now


def check_archive(archive: Archive, path: Path, model: KnownModel | None) -> None:
    """UserError where the splits or classes can't be trained on. A class that a model knows needs
    no example."""
    known = set() if model is None else {*model.leaves, *model.card["classes"], "Other"}
    for name, split in archive.splits.items():
        count = np.bincount(split.y, minlength=len(archive.classes))
        missing = [c for c, n in zip(archive.classes, count, strict=True) if n == 0]
        if len(split.y):
            missing = [c for c in missing if c not in known]
        if missing:
            raise UserError(
                f"{path}: no example of {missing[0]} in its {name} split; try another --split of "
                "preprocess_data.py, or go on from a model that knows it (--weights)"
            )


def describe_start(options: Options, archive: Archive, origin: str) -> dict[str, Any]:
    """All that a run's result depends on: a cut one goes on only where it is the same."""
    asked = {k: v for k, v in vars(options).items() if k not in ("data", "output_dir", "resume")}
    versions = list_versions(VERSIONED)
    return {**asked, "archive": archive.digest, "origin": origin, "versions": versions}


def describe_model(
    options: Options,
    archive: Archive,
    leaves: Sequence[str],
    start: Start,
    origin: str,
    epochs: int,
    exported: bytes,
    found: Calibration,
    fields_card: dict[str, Any] | None,
    seconds: dict[str, float],
) -> dict[str, Any]:
    """The model card: what the model is, what it was made of, how it did on held-out crops."""
    metadata = archive.metadata
    learnt = metadata["field_sha256"]["train"]
    looks = metadata.get("field_look", {}).get("train", {})
    card = {
        "classes": archive.classes,
        "image_size": metadata["image_size"],
        "task": metadata["task"],
        **found._asdict(),
        "seal": seal(exported, archive.classes),
        "leaves": list(leaves),
        "weights": origin,
        "notices": [],
        "demonstration": metadata.get("demonstration", False),
        "epochs": epochs,
        "seed": options.seed,
        "archive_sha256": archive.digest,
        "dataset_sha256": metadata["dataset_sha256"],
        "counts": metadata["counts"],
        "seconds": seconds,
        "versions": list_versions(VERSIONED),
        "training_fields": sorted(set(learnt.values())),
    }
    card = join_origin(card, start, [look for name, look in looks.items() if name in learnt])
    return card if fields_card is None else card | {"fields": fields_card}


def write_model(
    folder: Path,
    networks: dict[str, tuple[keras.Model, bytes]],
    card: dict[str, Any],
    history: Sequence[dict[str, Any]],
    rehearsal: Rehearsal | None,
) -> None:
    """Write the files, each whole or not at all; the card, which vouches for them, last.

    `networks`: by name, each with its .tflite. A network that an earlier run left goes: it would
    belong to another model.
    """
    for name in {NAME, FIELDS_NAME} - networks.keys():
        for suffix in (".keras", ".tflite"):
            (folder / f"{name}{suffix}").unlink(missing_ok=True)
    for name, (network, exported) in networks.items():
        save_keras(network, folder / f"{name}.keras")
        with written_whole(folder / f"{name}.tflite") as temporary:
            temporary.write_bytes(exported)
    of_crops = [row for row in history if row["phase"] != "fields"]
    save_figure(plot_history(of_crops), folder / "training_curves.png")
    write_csv(folder / "history.csv", history, HISTORY)
    write_rehearsal(folder, rehearsal)
    write_text(folder / f"{NAME}.json", json.dumps(card, indent=2) + "\n")


def format_summary(card: dict[str, Any], folder: Path) -> str:
    found = card["validation"]
    phases = ", ".join(f"{k} {v:.1f}" for k, v in card["seconds"].items())
    threshold = "" if card["threshold"] is None else f", threshold {card['threshold']:.3f}"
    return (
        f"validation: accuracy {found['accuracy']:.4f}, balanced {found['balanced_accuracy']:.4f} "
        f"on {found['crops']} crops{threshold}\n"
        f"{folder}: {sum(card['seconds'].values()):.1f} s ({phases})"
    )


@command
def main(argv: Sequence[str] | None = None) -> int:
    options: Options = parse_options(Options, __doc__, argv)
    clock = Clock()
    path = choose_archive(options.data)
    share = find_share()
    archive = load_archive(path, ["train", "val"], share)
    if share and read_folds(archive.metadata):  # so few fields that each worker takes all
        share, archive = None, load_archive(path, ["train", "val"])
    if options.leave_out is not None:
        archive = leave_out(archive, options.leave_out.split(","))
    folder = options.output_dir or place("model", archive.metadata)
    check_writable(folder)
    start = choose_start(options.weights, archive.metadata)
    model, folds = start.model, read_folds(archive.metadata)
    check_archive(archive, path, model)
    archive = take_in(archive, model)
    crops = pack_crops(archive.splits["train"], archive.splits["val"], model)
    fields = archive.fields["train"]
    own = find_own(fields, share) if share else np.ones(len(fields.name), bool)
    crops = crops.keep(np.isin(crops.train.source, fields.name[own])) if share else crops
    epochs, repeats = crop_course.choose_epochs(options.epochs, crops.count, model)
    field_epochs, field_repeats = field_course.choose_epochs(options.field_epochs, len(own), model)
    clock("load archive")

    start_tensorflow(options.seed)
    workers = here()
    clock("start TensorFlow")
    backbone, origin = start_backbone(start, crops.train.X)
    workers.follow_chief(backbone.weights)
    say(f"weights: {origin}")
    for notice in start.notices:
        say(f"warning: {notice}")
    if model is not None:
        say(tell_labels(np.unique(archive.splits["train"].label).tolist(), model))
    field_backbone = free_size(backbone) if field_epochs and not (model and model.fields) else None
    network = build_crop_network(backbone, len(crops.leaves))
    checkpoint = Checkpoint(folder, describe_start(options, archive, origin), options.resume)
    clock("build")

    fit = fit_crops(network, crops, model, folds, epochs, repeats, options.seed, checkpoint)
    clock("fit crops")
    temperature = settle_temperature(fit, crops.val_members, model)
    task = archive.metadata["task"]
    merge = merge_leaves(crops.leaves, archive.classes, task)
    assembled = assemble(network, temperature, merge)
    exported = convert(assembled)
    clock("export")
    try:
        asked = ThreadedNetwork(exported)
        proba, novelty = ask_network(asked, (crops.val if folds else fit.viewed).X)
        difference = check_export(ask_keras(assembled, crops.val.X), proba[: len(crops.val.y)])
        if folds:  # that network has learnt from what it was asked
            proba, novelty = answer_held_out(fit, temperature, merge)
        found = calibrate(
            proba, novelty, temperature, difference, crops.val, fit.viewed, archive.classes, task,
            model,
        )  # fmt: skip
    except UserError:
        checkpoint.clear()  # to go on from there would end here again
        raise
    clock("check export")

    networks, learnt = {NAME: (assembled, exported)}, None
    if field_epochs:
        learnt = learn_fields(
            field_backbone, fields, own, archive.fields["val"], model, folds, field_epochs,
            field_repeats, options.seed, checkpoint,
        )  # fmt: skip
        networks[FIELDS_NAME] = learnt.network, learnt.exported
        clock("learn fields")
    history = [*fit.history, *(learnt.history if learnt else [])]
    card = describe_model(
        options, archive, crops.leaves, start, origin, epochs, exported, found,
        learnt.card if learnt else None, clock.seconds,
    )  # fmt: skip
    if not workers.is_chief:
        say(f"worker {workers.index} of {workers.count}: done; the chief writes the model")
        return 0
    kept = keep_crops(
        network.frozen, crops.train, crops.members, crops.leaves,
        model.rehearsal if model else None, options.seed,
    )  # fmt: skip
    write_model(folder, networks, card, history, kept)
    write_fold_models(
        folder, network, fit, learnt, temperature, merge, card, archive.metadata, model
    )
    checkpoint.clear()
    print(format_summary(card, folder))
    return 0


if __name__ == "__main__":
    sys.exit(main())
