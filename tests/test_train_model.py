"""train_model.py: what it writes, what it leaves as it was, what it points out and refuses."""

from __future__ import annotations

import csv
import hashlib
import json
import shutil
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import cv2
import numpy as np
import pytest
from conftest import (
    Outcome,
    Run,
    SampleRun,
    files_below,
    load,
    metadata,
    only_error,
    read_model_card,
    run_once,
    start_weights,
)

from hematovision.archive.contents import Split
from hematovision.archive.loading import load_archive
from hematovision.networks.card import read_card
from hematovision.networks.classifier import Classifier
from hematovision.networks.detector import Detector
from hematovision.training.checkpoint import Checkpoint

FILES = {
    "hematovision.keras", "hematovision.tflite", "hematovision.json", "history.csv",
    "training_curves.png", "hematovision_fields.keras", "hematovision_fields.tflite",
    "hematovision_rehearsal.npz",
}  # fmt: skip


def drop(arrays: dict[str, np.ndarray], ending: str) -> dict[str, np.ndarray]:
    return {key: value for key, value in arrays.items() if not key.endswith(ending)}


def test_training_writes_its_files(sample_run: SampleRun) -> None:
    assert {p.name for p in sample_run.model.iterdir()} == FILES
    result = sample_run.trained
    assert result.status == 0
    assert "accuracy" in result.out and "model" in result.out
    assert "weights" in result.err
    picture = cv2.imread(str(sample_run.model / "training_curves.png"))
    assert picture is not None and min(picture.shape[:2]) >= 300
    with open(sample_run.model / "history.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["0", "1", "1"]
    assert [row["phase"] for row in rows] == ["head", "fine-tune", "fields"]
    for row in rows[:2]:
        assert 0 <= float(row["val_accuracy"]) <= 1
        assert float(row["val_loss"]) >= 0
    assert 0 <= float(rows[1]["accuracy"]) <= 1


def test_nothing_but_its_own_words_on_the_screen(sample_run: SampleRun) -> None:
    for chatter in ("Warning", "TensorFlow Lite", "INFO", "W0000", "I0000", "XNNPACK", "oneDNN"):
        assert chatter not in sample_run.trained.err, chatter
        assert chatter not in sample_run.trained.out, chatter


def test_the_card_says_what_the_contract_lists(sample_run: SampleRun, card: dict[str, Any]) -> None:
    digests = metadata(load(sample_run.archive))["field_sha256"]
    assert card["classes"] == ["Other", "RBC"]
    assert card["image_size"] == 64
    assert card["task"] == "binary"
    assert 0 < card["threshold"] < 1
    assert card["seed"] == 42
    assert card["epochs"] == 1
    assert Path(start_weights()).name in card["weights"]
    digest = hashlib.sha256(sample_run.archive.read_bytes()).hexdigest()
    assert card["archive_sha256"] == digest
    assert card["versions"]["tensorflow"] == version("tensorflow")
    assert len(card["seconds"]) >= 4
    assert all(seconds >= 0 for seconds in card["seconds"].values())
    fields = set(digests["train"].values())
    assert fields <= set(card["training_fields"])
    assert not set(card["training_fields"]) & set(digests["test"].values())


def test_the_validation_figures_are_those_of_the_exported_model(
    sample_run: SampleRun, card: dict[str, Any], val: Split
) -> None:
    classifier = Classifier.load(sample_run.model)
    proba, _ = classifier.predict_proba(val.X)
    predicted = (proba[:, 1] >= card["threshold"]).astype(int)
    assert (classifier.predict(proba) == predicted).all()
    figures = card["validation"]
    assert figures["accuracy"] == pytest.approx((predicted == val.y).mean())
    recalls = [(predicted == val.y)[val.y == c].mean() for c in (0, 1)]
    assert figures["balanced_accuracy"] == pytest.approx(np.mean(recalls))
    assert 0 <= card["export_difference"] < 1e-3


def test_it_learns(card: dict[str, Any]) -> None:
    assert card["validation"]["balanced_accuracy"] > 0.9  # drawn cells are easy


def test_multiclass_has_no_threshold(multiclass_run: SampleRun) -> None:
    card = read_model_card(multiclass_run.model)
    assert card["classes"] == ["Background", "Platelets", "RBC", "WBC"]
    assert card["threshold"] is None
    assert card["task"] == "multiclass"
    assert card["validation"]["balanced_accuracy"] > 0.7
    proba = np.array([[0.1, 0.2, 0.3, 0.4], [0.4, 0.1, 0.1, 0.4]])
    assert Classifier.load(multiclass_run.model).predict(proba).tolist() == [3, 0]


@pytest.fixture(scope="module")
def few(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny archive with three fields a split."""
    arrays = load(tiny)
    told = metadata(arrays)
    for split in ("train", "val", "test"):
        end = arrays[f"field_end_{split}"][:3]
        boxes = arrays[f"field_index_{split}"] < 3
        for key in ("index", "box", "label"):
            arrays[f"field_{key}_{split}"] = arrays[f"field_{key}_{split}"][boxes]
        for key in ("lab", "complete"):
            arrays[f"field_{key}_{split}"] = arrays[f"field_{key}_{split}"][:3]
        arrays[f"field_{split}"] = arrays[f"field_{split}"][:3]
        arrays[f"field_file_{split}"] = arrays[f"field_file_{split}"][: end[-1]]
        arrays[f"field_end_{split}"] = end
        kept = np.isin(arrays[f"source_{split}"], arrays[f"field_{split}"])
        for key in ("X", "y", "label", "source", "box", "lab"):
            arrays[f"{key}_{split}"] = arrays[f"{key}_{split}"][kept]
        digests = told["field_sha256"][split]
        told["field_sha256"][split] = {n: digests[n] for n in arrays[f"field_{split}"].tolist()}
    arrays["metadata"] = np.array(json.dumps(told))
    path = tmp_path_factory.mktemp("few") / "few.npz"
    np.savez(path, **arrays)
    return path


def train_few(data: Path, folder: Path, *args: object) -> Outcome:
    """A training of two epochs each from ImageNet's weights, in this process, on one small window
    of fields: of the three large ones each is compiled anew, and nothing here hangs on their size.
    """
    import keras

    keras.utils.clear_session()
    given = ("--data", data, "--output-dir", folder, "--weights", start_weights(), "--epochs", 2)
    with pytest.MonkeyPatch.context() as patch:
        for room in ("fit", "views.drawing"):
            window = ((96, 128), (0.35, 0.75), 1.0)
            patch.setattr(f"hematovision.training.fields.{room}.WINDOWS", (window,))
        return run_once("train_model.py", *given, "--field-epochs", 2, *args)


class FewRun(NamedTuple):
    """A training on few fields."""

    folder: Path  # its model
    cut: Path  # what stood on the disk after the first epoch of either network


@pytest.fixture(scope="module")
def few_run(few: Path, tmp_path_factory: pytest.TempPathFactory) -> FewRun:
    home = tmp_path_factory.mktemp("few-model")
    trained = FewRun(home / "a\x1b[2J\nmodel", home / "cut")
    trained.cut.mkdir()
    save = Checkpoint.save

    def save_and_keep(self: Checkpoint, phase: str, epoch: int, *args: Any, **extra: Any) -> None:
        save(self, phase, epoch, *args, **extra)
        if epoch == 1:
            shutil.copy(trained.folder / f"unfinished_{phase}.npz", trained.cut)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Checkpoint, "save", save_and_keep)
        result = train_few(few, trained.folder)
    assert result.status == 0, result.err
    assert r"a\x1b[2J\nmodel: " in result.out.splitlines()[-1]  # no name commands a terminal
    assert not [line for line in (result.out + result.err).splitlines() if not line.isprintable()]
    return trained


def test_a_cut_training_ends_with_the_model_of_an_uncut_one(few_run: FewRun, few: Path) -> None:
    """What stood on the disk after the first epoch of either network is gone on from."""
    done = train_few(few, few_run.cut, "--resume")
    assert done.status == 0, done.err
    assert "crops: going on after epoch 1" in done.err
    assert "fields: going on after epoch 1" in done.err
    folders = (few_run.folder, few_run.cut)
    assert not [path for folder in folders for path in folder.rglob("unfinished_*")]
    crops = load_archive(few, ["val"]).splits["val"].X[:20]
    picture = np.random.default_rng(0).integers(0, 256, (128, 128, 3)).astype(np.uint8)
    answers = []
    for folder in folders:
        heat = Detector.load(folder, read_card(folder)).run(picture)
        answers.append([*Classifier.load(folder).predict_proba(crops), *heat])
    for first, second in zip(*answers, strict=True):
        assert np.abs(first - second).max() < 1e-5
    same = [read_model_card(folder) for folder in folders]
    assert same[0]["validation"] == same[1]["validation"]
    assert same[0]["fields"]["thresholds"] == same[1]["fields"]["thresholds"]


def test_no_warning_where_no_held_out_field_was_trained_on(
    sample_run: SampleRun, card: dict[str, Any]
) -> None:
    assert "among its training fields" not in sample_run.trained.err
    assert card["notices"] == []


def test_training_again_without_the_test_split_gives_the_same_model(
    few_run: FewRun, few: Path, tmp_path: Path
) -> None:
    """The same seed gives the same bytes, and the test split has no say in them."""
    np.savez(tmp_path / "part.npz", **drop(load(few), "_test"))
    assert train_few(tmp_path / "part.npz", tmp_path / "again").status == 0
    first, again = few_run.folder, tmp_path / "again"
    for name in ("hematovision", "hematovision_fields"):
        for file in (f"{name}.tflite", f"{name}.keras"):
            assert (first / file).read_bytes() == (again / file).read_bytes(), file
    cards = [read_model_card(folder) for folder in (first, again)]
    for entry in cards:
        del entry["seconds"], entry["archive_sha256"]
    assert cards[0] == cards[1]


def test_an_export_that_disagrees_stops_the_training_and_leaves_the_old_model(
    few_run: FewRun, few: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "model"
    shutil.copytree(few_run.folder, folder)
    before = files_below(folder)
    monkeypatch.setattr(  # another seed's
        "hematovision.training.crops.course.convert", lambda model: before["hematovision.tflite"]
    )
    result = train_few(few, folder, "--seed", 7, "--epochs", 1)
    assert result.status == 2
    assert result.out == ""
    assert result.err.splitlines()[-1].startswith("error: hematovision.tflite: ")
    assert files_below(folder) == before


@pytest.mark.parametrize(("asked", "counted"), [(None, 110), (None, 0), (1, 0)])
def test_a_network_that_fails_on_held_out_fields_is_kept_only_where_it_was_asked_for(
    asked: int | None, counted: int, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    import train_model

    scores = {"RBC": {"fields": 6, "annotated": 100, "counted": counted, "both": counted * 0.9}}
    found: Any = SimpleNamespace(card=SimpleNamespace(validation=scores), notices=["look at it"])
    monkeypatch.setattr(train_model, "learn_fields", lambda *given: found)
    run: Any = SimpleNamespace(
        options=SimpleNamespace(field_epochs=asked), start=SimpleNamespace(model=None),
        fields=SimpleNamespace(train=SimpleNamespace(label=np.array(["RBC"] * 500 + ["WBC"] * 7))),
    )  # fmt: skip
    learnt: dict[str, Any] = {}
    plan: Any = None
    train_model.learn_to_find(None, run, plan, learnt)
    few, notice, *rest = capsys.readouterr().err.splitlines()
    assert "7 WBC" in few and "RBC" not in few and "--weights bundled" in few
    assert notice == "warning: look at it"
    assert bool(learnt) == (not rest) == (asked is not None or counted > 0)
    assert not rest or "isn't kept" in rest[0]


@pytest.mark.filterwarnings("error::RuntimeWarning")
@pytest.mark.parametrize("epochs", [0, 1])
def test_training_from_nothing(epochs: int, tiny: Path, tmp_path: Path, run: Run) -> None:
    """And with no fine-tuning at all."""
    args = ("--weights", "none", "--epochs", epochs, "--field-epochs", 0)
    result = run("train_model.py", "--data", tiny, *args, "--output-dir", tmp_path)
    assert result.status == 0, result.err
    card = read_model_card(tmp_path)
    assert "none" in card["weights"]
    with open(tmp_path / "history.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == epochs + 1
    assert all(np.isfinite(float(row["val_loss"])) for row in rows)


def test_an_archive_whose_labels_name_no_class_is_refused(
    tiny: Path, tmp_path: Path, run: Run
) -> None:
    arrays = load(tiny)
    np.savez(tmp_path / "odd.npz", **arrays | {"y_val": arrays["y_val"] + 1})
    error = only_error(
        run("train_model.py", "--data", tmp_path / "odd.npz", "--output-dir", tmp_path / "model")
    )
    assert "odd.npz" in error


@pytest.mark.parametrize("split", ["train", "val"])
def test_an_empty_split_is_refused(split: str, tiny: Path, tmp_path: Path, run: Run) -> None:
    arrays = load(tiny)
    arrays |= {k: v[:0] for k, v in arrays.items() if k.endswith(f"_{split}")}
    np.savez(tmp_path / "empty.npz", **arrays)
    error = only_error(
        run("train_model.py", "--data", tmp_path / "empty.npz", "--output-dir", tmp_path / "model")
    )
    assert "empty.npz" in error and split in error


def test_an_archive_split_for_testing_only_is_refused(
    voc_dataset: Callable[..., Path], tmp_path: Path, run: Run
) -> None:
    path = tmp_path / "test.npz"
    args = ["--data-dir", voc_dataset(), "--output", path, "--split", "test", "--image-size", 32]
    assert run("preprocess_data.py", *args).status == 0
    error = only_error(run("train_model.py", "--data", path, "--output-dir", tmp_path / "model"))
    assert "train" in error and "--split" in error


def test_a_laboratory_that_is_not_there_can_not_be_left_out(
    tiny: Path, tmp_path: Path, run: Run
) -> None:
    args = ("--data", tiny, "--output-dir", tmp_path / "model", "--leave-out", "elsewhere")
    assert "elsewhere" in only_error(run("train_model.py", *args))
    assert not (tmp_path / "model").exists()
