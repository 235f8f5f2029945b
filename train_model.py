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

import os
import sys

# Python's own way to this folder is left out by PYTHONSAFEPATH.
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

# isort: split
import hematovision.program.signals  # noqa: F401  first: from here on a signal ends in one line

# isort: split
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from hematovision.archive.contents import Archive, leave_out
from hematovision.archive.joining import find_own
from hematovision.archive.loading import load_archive
from hematovision.archive.parts import choose_archive, place
from hematovision.networks.card import NAME, Card, list_versions, write_card
from hematovision.networks.detector import NAME as FIELDS_NAME
from hematovision.program.console import UserError, command, say, tell
from hematovision.program.figures import plot_history, save_figure
from hematovision.program.files import check_writable, write_bytes
from hematovision.program.locks import hold
from hematovision.program.options import option, parse_options, seed_option
from hematovision.program.tables import write_csv
from hematovision.training.backbone import free_size, save_keras, start_tensorflow
from hematovision.training.checkpoint import Checkpoint
from hematovision.training.cluster import find_share
from hematovision.training.crops.course import learn_crops, plan_crops
from hematovision.training.crops.examples import Examples, pack_examples
from hematovision.training.crops.network import build_crop_network
from hematovision.training.crops.rehearsal import Rehearsal, keep_crops, write_rehearsal
from hematovision.training.fields.course import FieldSplits, learn_fields, plan_fields
from hematovision.training.fields.validation import is_fit, tell_scores
from hematovision.training.fold_models import write_fold_models
from hematovision.training.plan import Learnt, Plan, tell_plan
from hematovision.training.start import (
    KnownModel,
    Start,
    choose_start,
    join_origin,
    start_backbone,
    take_in,
    tell_few,
    tell_start,
)
from hematovision.training.workers import find_workers

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
    seed: int = seed_option("seed of everything random")


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
    known = set() if model is None else {*model.leaves, *model.card.classes, "Other"}
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


@dataclass(frozen=True)
class Run:
    """What one training is of: what was asked for, and what was found for it."""

    options: Options
    archive: Archive
    folder: Path
    start: Start
    examples: Examples  # of this worker
    fields: FieldSplits


def open_run(options: Options) -> Run:
    """Read archive and start; UserError where they can't be trained on."""
    path = choose_archive(options.data)
    share = find_share()
    archive = load_archive(path, ["train", "val"], share)
    if share and archive.metadata.folds:  # so few fields that each worker takes all
        share, archive = None, load_archive(path, ["train", "val"])
    if options.leave_out is not None:
        archive = leave_out(archive, options.leave_out.split(","))
    folder = options.output_dir or place("model", archive.metadata.demonstration)
    check_writable(folder)
    if share is None or share.number == 1:  # who alone writes the model
        hold(folder / f"{NAME}.json")
    start = choose_start(options.weights, archive.metadata)
    check_archive(archive, path, start.model)
    archive = take_in(archive, start.model)
    examples = pack_examples(archive, start.model.leaves if start.model else ())
    fields = archive.fields["train"]
    own = find_own(fields, share) if share else np.ones(len(fields.name), bool)
    if share:
        examples = examples.keep(np.isin(examples.train.source, fields.name[own]))
    splits = FieldSplits(fields, own, archive.fields["val"])
    return Run(options, archive, folder, start, examples, splits)


def make_plans(run: Run, origin: str) -> tuple[Plan, Plan]:
    """How the network for crops is fitted, and how that for fields."""
    options, archive, model = run.options, run.archive, run.start.model
    # All that a run's result depends on: a cut one goes on only where it is the same.
    asked = {k: v for k, v in vars(options).items() if k not in ("data", "output_dir", "resume")}
    told = {"archive": archive.digest, "origin": origin, "versions": list_versions(VERSIONED)}
    checkpoint = Checkpoint(run.folder, {**asked, **told}, options.resume)
    plan = Plan(options.seed, checkpoint, archive.metadata.folds)
    return (
        plan_crops(options.epochs, run.examples.count, model, plan),
        plan_fields(options.field_epochs, len(run.fields.own), model, plan),
    )


def describe_model(
    run: Run, learnt: Mapping[str, Learnt], origin: str, seconds: dict[str, float]
) -> Card:
    """The model card: what the model is, what it was made of, how it did on held-out crops."""
    archive, metadata = run.archive, run.archive.metadata
    fields, looks = metadata.field_sha256["train"], metadata.field_look.get("train", {})
    card = Card(
        classes=archive.classes,
        image_size=metadata.image_size,
        task=metadata.task,
        **learnt[NAME].card,
        weights=origin,
        demonstration=metadata.demonstration,
        seed=run.options.seed,
        archive_sha256=archive.digest,
        dataset_sha256=metadata.dataset_sha256,
        counts=metadata.counts,
        seconds=seconds,
        versions=list_versions(VERSIONED),
        training_fields=sorted(set(fields.values())),
        training_looks=sorted({look for name, look in looks.items() if name in fields}),
        fields=learnt[FIELDS_NAME].card if FIELDS_NAME in learnt else None,
    )
    return join_origin(card, run.start)


def write_model(
    folder: Path, learnt: Mapping[str, Learnt], card: Card, rehearsal: Rehearsal | None
) -> None:
    """Write the files, each whole or not at all; the card, which vouches for them, last.

    A network that an earlier run left goes: it would belong to another model.
    """
    for name in {NAME, FIELDS_NAME} - learnt.keys():
        for suffix in (".keras", ".tflite"):
            (folder / f"{name}{suffix}").unlink(missing_ok=True)
    for name, of in learnt.items():
        save_keras(of.network, folder / f"{name}.keras")
        write_bytes(folder / f"{name}.tflite", of.exported)
    save_figure(plot_history(learnt[NAME].history), folder / "training_curves.png")
    write_csv(folder / "history.csv", [r for of in learnt.values() for r in of.history], HISTORY)
    write_rehearsal(folder, rehearsal)
    write_card(folder, card)


def learn_to_find(
    backbone: keras.Model | None, run: Run, plan: Plan, learnt: dict[str, Learnt]
) -> None:
    """Add the network for fields to what was `learnt`, unless it fails on the validation fields:
    then only where a number of passes was asked for."""
    model = run.start.model
    if model is None or not model.fields:
        for line in tell_few(run.fields.train.label.tolist()):
            say(line)
    found = learn_fields(backbone, run.fields, model, plan)
    for notice in found.notices:
        say(f"warning: {notice}")
    scores = found.card.validation
    if run.options.field_epochs is not None or is_fit(scores):
        learnt[FIELDS_NAME] = found
        return
    say(
        "warning: the network for whole fields isn't kept, since it fails on held-out fields "
        f"({tell_scores(scores)}): this model tells single cells apart and counts no fields; more "
        "fields, or --weights bundled, which goes on from a model that counts them"
    )


def format_summary(card: Card, folder: Path) -> list[str]:
    found = card.validation
    phases = ", ".join(f"{k} {v:.1f}" for k, v in card.seconds.items())
    threshold = "" if card.threshold is None else f", threshold {card.threshold:.3f}"
    lines = [
        f"validation: accuracy {found['accuracy']:.4f}, balanced {found['balanced_accuracy']:.4f} "
        f"on {found['crops']} crops{threshold}"
    ]
    if card.fields is not None:
        of = max((int(row["fields"]) for row in card.fields.validation.values()), default=0)
        scores = tell_scores(card.fields.validation)
        lines.append(f"counted in {of} held-out fields: {scores}")
    return [*lines, f"{folder}: {sum(card.seconds.values()):.1f} s ({phases})"]


@command
def main(argv: Sequence[str] | None = None) -> int:
    clock = Clock()
    options: Options = parse_options(Options, __doc__, argv)
    run = open_run(options)
    model, examples = run.start.model, run.examples
    clock("load archive")

    start_tensorflow(options.seed)
    workers = find_workers()
    clock("start TensorFlow")
    backbone, origin = start_backbone(run.start, examples.train.X)
    workers.follow_chief(backbone.weights)
    for line in tell_start(run.start, origin, run.archive):
        say(line)
    crop_plan, field_plan = make_plans(run, origin)
    own_fields = model is not None and bool(model.fields)
    field_backbone = free_size(backbone) if field_plan.epochs and not own_fields else None
    network = build_crop_network(backbone, len(examples.leaves))
    clock("build")

    parts = 3 if field_plan.epochs else 2
    say(f"part 1 of {parts}: to tell single cells apart, {tell_plan(crop_plan, 'cells')}")
    learnt = {NAME: learn_crops(network, examples, model, crop_plan)}
    clock("learn crops")
    if field_plan.epochs:
        say(f"part 2 of {parts}: to find cells in fields, {tell_plan(field_plan, 'fields')}")
        learn_to_find(field_backbone, run, field_plan, learnt)
        clock("learn fields")

    say(f"part {parts} of {parts}: writing the model")
    card = describe_model(run, learnt, origin, clock.seconds)
    if not workers.is_chief:
        say(f"worker {workers.index} of {workers.count}: done; the chief writes the model")
        return 0
    kept = keep_crops(network.frozen, examples, model.rehearsal if model else None, options.seed)
    write_model(run.folder, learnt, card, kept)
    write_fold_models(run.folder, learnt, card, run.archive.metadata, model)
    crop_plan.checkpoint.clear()
    for line in format_summary(card, run.folder):
        tell(line)
    return 0


if __name__ == "__main__":
    sys.exit(main())
