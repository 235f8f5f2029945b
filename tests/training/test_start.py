"""The start of a training: what --weights stands for, and what a trained model hands on."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import SampleRun

from hematovision.archive.loading import load_archive
from hematovision.archive.metadata import Metadata
from hematovision.networks.card import PRETRAINED, read_card, write_card
from hematovision.program.console import UserError
from hematovision.training.backbone import start_tensorflow
from hematovision.training.start import (
    choose_start,
    join_origin,
    load_model,
    start_backbone,
    take_in,
    tell_labels,
)


@pytest.fixture(scope="module")
def described(sample_run: SampleRun) -> Metadata:
    return load_archive(sample_run.archive, []).metadata


@pytest.fixture
def seen(
    sample_run: SampleRun, described: Metadata, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Path:  # fmt: skip
    """A stand-in for the bundled model, whose card calls two held-out fields its training ones."""
    folder = tmp_path / "pretrained"
    shutil.copytree(sample_run.model, folder)
    digests = described.field_sha256
    of_both = [next(iter(digests[split].values())) for split in ("val", "test")]
    write_card(folder, replace(read_card(folder), training_fields=[*of_both, "0" * 64]))
    monkeypatch.setattr("hematovision.training.start.PRETRAINED", folder)
    return folder


def test_auto_is_the_bundled_model_where_it_has_seen_no_held_out_field(
    described: Metadata,
) -> None:
    start = choose_start("auto", described)
    assert start.model is not None and start.model.card == read_card(PRETRAINED)
    assert start.notices == []


def test_auto_is_imagenet_where_it_has_and_says_why(seen: Path, described: Metadata) -> None:
    start = choose_start("auto", described)
    assert (start.weights, start.model) == ("imagenet", None)
    assert len(start.notices) == 1 and "2 validation or test fields" in start.notices[0]


def test_who_asks_for_a_model_that_has_gets_it_with_a_notice(
    seen: Path, described: Metadata
) -> None:
    start = choose_start("bundled", described)
    assert start.model is not None and "flatter" in start.notices[0]
    fresh = replace(start.model.card, training_fields=["1" * 64], training_looks=["look"])
    card = join_origin(fresh, start)
    assert {"0" * 64, "1" * 64} <= set(card.training_fields)
    assert start.notices[0] in card.notices and "look" in card.training_looks


@pytest.mark.parametrize("what", ["no card", "no network", "another card"])
def test_a_folder_that_holds_no_model_is_refused(
    what: str, sample_run: SampleRun, tmp_path: Path
) -> None:
    folder = tmp_path / "model"
    shutil.copytree(sample_run.model, folder)
    if what == "no card":
        (folder / "hematovision.json").unlink()
    elif what == "no network":
        (folder / "hematovision.tflite").unlink()
    else:
        shutil.copy(PRETRAINED / "hematovision.json", folder)
    with pytest.raises(UserError):
        load_model(folder)


def test_a_backbone_is_built_of_the_exported_network_alone(described: Metadata) -> None:
    start_tensorflow(0)
    model = load_model(PRETRAINED)
    size = model.card.image_size
    start = choose_start(str(PRETRAINED), replace(described, field_sha256={"val": {}, "test": {}}))
    backbone, origin = start_backbone(start, np.zeros((1, size, size, 3), np.uint8))
    assert "bundled" in origin or PRETRAINED.name in origin
    kernel = backbone.get_layer("block_12_project").get_weights()[0]
    assert (kernel == model.crops["block_12_project"][0]).all()
    assert kernel.std() > 0


def test_what_a_model_knows_and_an_archive_lacks_stays(multiclass_run: SampleRun) -> None:
    archive = load_archive(multiclass_run.archive, ["train", "val"])
    model = load_model(PRETRAINED)
    taken = take_in(archive, model)
    assert set(taken.classes) == {*archive.classes, *model.card.classes}
    for name, split in archive.splits.items():
        names = [archive.classes[k] for k in split.y]
        assert [taken.classes[k] for k in taken.splits[name].y] == names
    told = tell_labels(["RBC", "WBC", "Parasite"], model)
    assert "new to it: Parasite" in told and "kept without an example here: " in told
    assert "rename" in tell_labels(["Parasite"], model)
