"""Train a blood cell classifier on an archive of crops, by transfer learning from MobileNetV2.

    python3 train_model.py                               # preprocessed_data.npz -> model/
    python3 train_model.py --weights PATH --epochs 4

MobileNetV2 has learnt from photographs what edges, spots and textures are. Here its lower blocks
stay as they are; heads are fitted on what the untouched backbone sees, then heads and upper blocks
are fine-tuned on views of the crops as other laboratories might show them, and on pictures that
show no cell. A second network, which shares the start, learns to find cells in whole fields.

Writes ``hematovision.keras`` (crops in [0, 1] to probabilities), ``hematovision.tflite`` (the same
for prediction, without TensorFlow), both again for whole fields, ``hematovision.json`` (the model
card), ``history.csv`` and ``training_curves.png``. The decision threshold and the calibration see
the validation split only; the test split is not read.
"""

from __future__ import annotations

import hematovision.signals  # noqa: F401  first: from here on a signal ends in one line

# isort: split
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from hematovision.archive import (
    Archive,
    Split,
    choose_archive,
    find_seen_fields,
    leave_out,
    load_archive,
    place,
)
from hematovision.card import KIND_THRESHOLD, NAME, PRETRAINED, list_versions, read_card, seal
from hematovision.cells import BACKGROUND
from hematovision.classifier import ask_network, decide, settle_kinds
from hematovision.console import UserError, command, option, parse_options, say
from hematovision.detector import NAME as FIELDS_NAME
from hematovision.figures import plot_history, save_figure
from hematovision.files import check_writable, write_csv, write_text, written_whole
from hematovision.litert import ThreadedNetwork
from hematovision.taxonomy import lift
from hematovision.training.backbone import (
    build_backbone,
    convert,
    free_size,
    save_keras,
    start_tensorflow,
)
from hematovision.training.calibration import (
    check_learnt,
    choose_novelty,
    choose_threshold,
    fit_temperature,
)
from hematovision.training.checkpoint import Checkpoint
from hematovision.training.crop_fit import (
    encode_annotated,
    fine_tune,
    fit_heads,
    make_validation,
)
from hematovision.training.crop_network import (
    ask_keras,
    assemble,
    build_crop_network,
    check_export,
    merge_leaves,
)
from hematovision.training.field_fit import fit_detector
from hematovision.training.views import add_views

if TYPE_CHECKING:
    import keras

VERSIONED = ("tensorflow", "keras", "numpy", "scikit-learn", "opencv-python-headless")
HISTORY = ("phase", "epoch", "loss", "accuracy", "val_loss", "val_accuracy", "seconds")


@dataclass(frozen=True)
class Options:
    data: Path | None = option(
        None, "archive made by preprocess_data.py (default: preprocessed_data.npz)"
    )
    output_dir: Path | None = option(
        None, "folder for the trained model (default: model; demo/model where cells are drawn)"
    )
    weights: str = option(
        "auto", "start from: auto, imagenet, bundled, none, or a MobileNetV2 weights file"
    )
    epochs: int = option(4, "passes over the training crops while fine-tuning", low=0, high=1000)
    field_epochs: int = option(
        24, "passes over the training fields to learn to find cells in them (0: don't)",
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


def check_archive(archive: Archive, path: Path) -> None:
    """UserError where the splits or classes can't be trained on."""
    for name, split in archive.splits.items():
        count = np.bincount(split.y, minlength=len(archive.classes))
        if count.min() == 0:
            missing = archive.classes[int(count.argmin())]
            raise UserError(
                f"{path}: no example of {missing} in its {name} split; try another --split of "
                "preprocess_data.py"
            )


class Calibration(NamedTuple):
    """What the validation split settled, once the network was fitted."""

    temperature: float  # divides the logits
    threshold: float | None  # of RBC's probability, in the binary task
    kind_threshold: float  # share of its parent's probability from which a kind is named
    novelty_threshold: float  # above it, a picture is unlike any cell
    export_difference: float  # largest, of a probability between the Keras model and the export
    validation: dict[str, float]  # figures of the card


def describe_start(options: Options, archive: Archive, origin: str) -> dict[str, Any]:
    """All that a run's result depends on: a cut one goes on only where it is the same."""
    asked = {k: v for k, v in vars(options).items() if k not in ("data", "output_dir", "resume")}
    versions = list_versions(VERSIONED)
    return {**asked, "archive": archive.digest, "origin": origin, "versions": versions}


def find_leaks(origin: str, metadata: dict[str, Any]) -> tuple[list[str], list[str]]:
    """What starting from the bundled backbone implies: digests of the fields it was trained on,
    and a notice where the archive's held-out fields are among them."""
    if not origin.startswith("bundled"):
        return [], []
    card = read_card(PRETRAINED)
    seen = find_seen_fields(metadata, card)
    if not seen:
        return card["training_fields"], []
    return card["training_fields"], [
        f"{len(seen)} validation or test fields of this archive (such as {seen[0]}) were among the "
        "training fields of the bundled backbone: figures on them flatter"
    ]


def calibrate(
    model: keras.Model, exported: bytes, temperature: float, val: Split, viewed: Split,
    classes: Sequence[str], task: str,
) -> Calibration:  # fmt: skip
    """Check the export and choose where to decide, on the validation crops: `val` as they are,
    which come first in `viewed`, and views of them."""
    network = ThreadedNetwork(exported)
    proba, novelty = ask_network(network, viewed.X)
    threshold = choose_threshold(proba[:, 1], viewed.y == 1) if task == "binary" else None
    plain = proba[: len(val.y)]
    settled = settle_kinds(network, val.X, plain, classes) if threshold is None else plain
    predicted = decide(settled, classes, threshold, KIND_THRESHOLD)
    check_learnt(val.y, lift(predicted, val.y, classes), len(classes))
    return Calibration(
        temperature,
        threshold,
        KIND_THRESHOLD,
        choose_novelty(novelty[viewed.label != BACKGROUND]),
        check_export(ask_keras(model, val.X), plain),
        score_validation(settled, val.y, predicted, classes),
    )


def score_validation(
    proba: np.ndarray, y: np.ndarray, predicted: np.ndarray, classes: Sequence[str]
) -> dict[str, float]:
    """The validation figures of the model card; those of the test split are evaluate_model.py's.

    Each answer is taken at the level of detail that was annotated.
    """
    from sklearn.metrics import balanced_accuracy_score, matthews_corrcoef

    predicted = lift(predicted, y, classes)
    return {
        "accuracy": float((predicted == y).mean()),
        "balanced_accuracy": float(balanced_accuracy_score(y, predicted)),
        "mcc": float(matthews_corrcoef(y, predicted)),
        "log_loss": float(-np.log(np.maximum(proba[np.arange(len(y)), y], 1e-12)).mean()),
        "crops": len(y),
    }


def describe_model(
    options: Options,
    archive: Archive,
    leaves: Sequence[str],
    origin: str,
    exported: bytes,
    found: Calibration,
    fields_card: dict[str, Any] | None,
    seconds: dict[str, float],
) -> dict[str, Any]:
    """The model card: what the model is, what it was made of, how it did on held-out crops."""
    metadata = archive.metadata
    seen_before, notices = find_leaks(origin, metadata)
    card = {
        "classes": archive.classes,
        "image_size": metadata["image_size"],
        "task": metadata["task"],
        **found._asdict(),
        "seal": seal(exported, archive.classes),
        "leaves": list(leaves),
        "weights": origin,
        "notices": notices,
        "demonstration": metadata.get("demonstration", False),
        "epochs": options.epochs,
        "seed": options.seed,
        "archive_sha256": archive.digest,
        "dataset_sha256": metadata["dataset_sha256"],
        "counts": metadata["counts"],
        "seconds": seconds,
        "versions": list_versions(VERSIONED),
        "training_fields": sorted({*metadata["field_sha256"]["train"].values(), *seen_before}),
        "training_looks": list_looks(metadata, origin),
    }
    return card if fields_card is None else card | {"fields": fields_card}


def list_looks(metadata: dict[str, Any], origin: str) -> list[str]:
    """What the training fields look like (see `twins`), those of the bundled backbone too."""
    looks = metadata.get("field_look", {}).get("train", {})
    before = read_card(PRETRAINED).get("training_looks", []) if origin[:7] == "bundled" else []
    trained_on = metadata["field_sha256"]["train"]
    return sorted({*(look for name, look in looks.items() if name in trained_on), *before})


def write_model(
    folder: Path,
    networks: dict[str, tuple[keras.Model, bytes]],
    card: dict[str, Any],
    history: Sequence[dict[str, Any]],
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
    archive = load_archive(path, ["train", "val"])
    if options.leave_out is not None:
        archive = leave_out(archive, options.leave_out.split(","))
    check_archive(archive, path)
    folder = options.output_dir or place("model", archive.metadata)
    check_writable(folder)
    train, val = archive.splits["train"], archive.splits["val"]
    leaves, members, val_members = encode_annotated(train, val)
    clock("load archive")

    start_tensorflow(options.seed)
    clock("start TensorFlow")
    backbone, origin = build_backbone(options.weights, train.X)
    say(f"weights: {origin}")
    for notice in find_leaks(origin, archive.metadata)[1]:
        say(f"warning: {notice}")
    field_backbone = free_size(backbone) if options.field_epochs else None
    network = build_crop_network(backbone, len(leaves))
    checkpoint = Checkpoint(folder, describe_start(options, archive, origin), options.resume)
    clock("build")

    validate = make_validation(network, val.X, val_members)
    history = fit_heads(network, train, members, validate, options.seed)
    clock("fit heads")
    history += fine_tune(
        network, train, members, validate, options.epochs, options.seed, checkpoint
    )
    clock("fine-tune")

    # On the validation crops as they are a good model makes next to no mistake to learn from.
    viewed = add_views(val, [options.seed, 1])
    temperature = fit_temperature(network.ask(viewed.X)[0], np.tile(val_members, (2, 1)))
    task = archive.metadata["task"]
    merge = merge_leaves(leaves, archive.classes, task)
    model = assemble(network, temperature, merge)
    clock("calibrate")
    exported = convert(model)
    clock("export")
    try:
        found = calibrate(model, exported, temperature, val, viewed, archive.classes, task)
    except UserError:
        checkpoint.clear()  # to go on from there would end here again
        raise
    clock("check export")

    networks, fields_card = {NAME: (model, exported)}, None
    if field_backbone is not None:
        networks[FIELDS_NAME], fields_card, learnt = fit_detector(
            field_backbone, archive.fields["train"], archive.fields["val"],
            options.field_epochs, options.seed, checkpoint,
        )  # fmt: skip
        history += learnt
        clock("learn fields")
    card = describe_model(
        options, archive, leaves, origin, exported, found, fields_card, clock.seconds
    )
    write_model(folder, networks, card, history)
    checkpoint.clear()
    print(format_summary(card, folder))
    return 0


if __name__ == "__main__":
    sys.exit(main())
