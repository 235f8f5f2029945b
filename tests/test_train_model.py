"""Tests of train_model.py: archive in, backbone, fit, calibration, export, and what it refuses."""

from __future__ import annotations

import contextlib
import csv
import hashlib
import importlib.metadata
import io
import json
import os
import shutil
import time
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from conftest import SAMPLE, Outcome, SampleRun, load_arrays, only_error, start_weights

import preprocess_data as P
import train_model as T

FILES = {
    "hematovision.keras", "hematovision.tflite", "hematovision.json", "history.csv",
    "training_curves.png", "hematovision_fields.keras", "hematovision_fields.tflite",
}  # fmt: skip

CROPS = np.zeros((4, 64, 64, 3), np.uint8)  # tells the size of the network to build


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Callable[..., Outcome]:
    """Run the script in this process; give its status, stdout and stderr."""

    def call(*args: object) -> Outcome:
        capsys.readouterr()
        status = T.main([str(a) for a in args])
        return Outcome(status, *capsys.readouterr())

    return call


@pytest.fixture(scope="module")
def card(sample_run: SampleRun) -> dict[str, Any]:
    return json.loads((sample_run.model / "hematovision.json").read_text())


@pytest.fixture(scope="module")
def val(sample_run: SampleRun) -> T.Split:
    return T.load_archive(sample_run.archive, ["val"]).splits["val"]


def drop(arrays: dict[str, np.ndarray], ending: str) -> dict[str, np.ndarray]:
    return {key: value for key, value in arrays.items() if not key.endswith(ending)}


# --- the archive ----------------------------------------------------------------------------------


def test_all_256_levels_of_a_pixel_come_back() -> None:
    levels = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1)
    scaled = P.scale_pixels(levels)
    assert (scaled.min(), scaled.max()) == (0, 1)
    for kind in (np.float16, np.float32, np.float64):
        assert (T.unscale_pixels(scaled.astype(kind)) == levels).all(), kind


def test_the_archive_comes_back_as_it_was_written(sample_run: SampleRun) -> None:
    archive = T.load_archive(sample_run.archive, ["train", "test"])
    arrays = load_arrays(sample_run.archive)
    assert set(archive.splits) == {"train", "test"}
    assert archive.classes == ["Other", "RBC"]
    assert archive.metadata["image_size"] == 64
    for name, split in archive.splits.items():
        assert split.X.dtype == np.uint8
        assert (P.scale_pixels(split.X) == arrays[f"X_{name}"]).all()
        assert (split.y == arrays[f"y_{name}"]).all()
        assert (split.source == arrays[f"source_{name}"]).all()
        assert (split.box == arrays[f"box_{name}"]).all()


def missing(path: Path, arrays: dict[str, np.ndarray]) -> None:
    path.unlink(missing_ok=True)


def truncated(path: Path, arrays: dict[str, np.ndarray]) -> None:
    np.savez_compressed(path, **arrays)
    path.write_bytes(path.read_bytes()[:-2000])


def damaged_inside(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """The list of members is whole, the crops are not."""
    np.savez_compressed(path, **arrays)
    data = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as file:
        start = file.getinfo("X_train.npy").header_offset
    data[start + 200 : start + 400] = bytes(200)
    path.write_bytes(data)


def empty(path: Path, arrays: dict[str, np.ndarray]) -> None:
    path.write_bytes(b"")


def no_zip(path: Path, arrays: dict[str, np.ndarray]) -> None:
    path.write_text("no archive, just words\n" * 100)


def a_single_array(path: Path, arrays: dict[str, np.ndarray]) -> None:
    with open(path, "wb") as file:
        np.save(file, np.zeros(3))


def other_keys(path: Path, arrays: dict[str, np.ndarray]) -> None:
    np.savez(path, images=np.zeros(3))


def no_labels(path: Path, arrays: dict[str, np.ndarray]) -> None:
    np.savez(path, **drop(arrays, "y_train"))


def pickled(path: Path, arrays: dict[str, np.ndarray]) -> None:
    np.savez(path, **arrays | {"source_train": arrays["source_train"].astype(object)})


def bad_metadata(path: Path, arrays: dict[str, np.ndarray]) -> None:
    np.savez(path, **arrays | {"metadata": np.array("{")})


def short_labels(path: Path, arrays: dict[str, np.ndarray]) -> None:
    np.savez(path, **arrays | {"y_train": arrays["y_train"][:-1]})


def short_crops(path: Path, arrays: dict[str, np.ndarray]) -> None:
    np.savez(path, **arrays | {"X_val": arrays["X_val"][:-1]})


def other_size(path: Path, arrays: dict[str, np.ndarray]) -> None:
    np.savez(path, **arrays | {"X_val": arrays["X_val"][:, ::2, ::2]})


BROKEN = [
    missing, truncated, damaged_inside, empty, no_zip, a_single_array, other_keys, no_labels,
    pickled, bad_metadata, short_labels, short_crops, other_size,
]  # fmt: skip


@pytest.mark.parametrize("break_it", BROKEN, ids=lambda f: f.__name__)
def test_a_broken_archive_is_refused(
    break_it: Callable[[Path, dict], None], tiny: Path, tmp_path: Path, run: Callable[..., Outcome]
) -> None:
    path = tmp_path / "broken.npz"
    break_it(path, load_arrays(tiny))
    assert str(path) in only_error(run("--data", path, "--output-dir", tmp_path / "model"))
    assert not (tmp_path / "model").exists()


def test_an_archive_whose_labels_name_no_class_is_refused(
    tiny: Path, tmp_path: Path, run: Callable[..., Outcome]
) -> None:
    arrays = load_arrays(tiny)
    np.savez(tmp_path / "odd.npz", **arrays | {"y_val": arrays["y_val"] + 1})
    error = only_error(run("--data", tmp_path / "odd.npz", "--output-dir", tmp_path / "model"))
    assert "odd.npz" in error


@pytest.mark.parametrize("key", ["field_file_train", "field_index_val", "field_end_train"])
def test_fields_that_do_not_fit_together_are_refused(
    key: str, sample_run: SampleRun, tmp_path: Path, run: Callable[..., Outcome]
) -> None:
    arrays = load_arrays(sample_run.archive)
    arrays[key] = arrays[key][:-1]
    np.savez(tmp_path / "cut.npz", **arrays)
    assert "field" in only_error(run("--data", tmp_path / "cut.npz"))


@pytest.mark.parametrize("split", ["train", "val"])
def test_an_empty_split_is_refused(
    split: str, tiny: Path, tmp_path: Path, run: Callable[..., Outcome]
) -> None:
    arrays = load_arrays(tiny)
    arrays |= {k: v[:0] for k, v in arrays.items() if k.endswith(f"_{split}")}
    np.savez(tmp_path / "empty.npz", **arrays)
    error = only_error(run("--data", tmp_path / "empty.npz", "--output-dir", tmp_path / "model"))
    assert "empty.npz" in error and split in error


def test_an_archive_split_for_testing_only_is_refused(
    voc_dataset: Callable[..., Path], tmp_path: Path, run: Callable[..., Outcome]
) -> None:
    path = tmp_path / "test.npz"
    args = ["--data-dir", voc_dataset(), "--output", path, "--split", "test", "--image-size", 32]
    assert P.main([str(a) for a in args]) == 0
    error = only_error(run("--data", path, "--output-dir", tmp_path / "model"))
    assert "train" in error and "--split" in error


# --- backbone -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def mobilenet() -> Any:
    """MobileNetV2 at 64 pixels whose normalizations all do something, as trained ones do."""
    T.start_tensorflow(0)
    import keras

    model = keras.applications.MobileNetV2((64, 64, 3), include_top=False, weights=None)
    rng = np.random.default_rng(0)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            n = len(layer.get_weights()[0])
            gamma, variance = rng.uniform(0.6, 1.4, n), rng.uniform(0.01, 0.2, n)
            layer.set_weights([gamma, rng.normal(0, 0.3, n), rng.normal(0, 0.1, n), variance])
    return model


@pytest.fixture(scope="module")
def weights_file(mobilenet: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "backbone.weights.h5"
    mobilenet.save_weights(path)
    return path


def apart(found: np.ndarray, expected: np.ndarray) -> float:
    """Largest difference, as a share of how much the expected values vary."""
    assert found.shape == expected.shape
    assert expected.std() > 1e-3  # or there would be nothing to tell apart
    return float(np.abs(found - expected).max() / expected.std())


@pytest.fixture(scope="module")
def noise() -> np.ndarray:
    return np.random.default_rng(1).random((4, 64, 64, 3), np.float32)


def test_folding_normalizations_changes_no_answer(
    mobilenet: Any, noise: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    import keras

    expected = mobilenet.predict(noise * 2 - 1, verbose=0)
    folded = T.fold_norms(mobilenet)
    assert not any(isinstance(v, keras.layers.BatchNormalization) for v in folded.layers)
    assert apart(folded.predict(noise * 2 - 1, verbose=0), expected) < 0.2  # half precision
    monkeypatch.setattr(T, "set_half", lambda layer, *weights: layer.set_weights(list(weights)))
    exact = T.fold_norms(mobilenet).predict(noise * 2 - 1, verbose=0)
    assert apart(exact, expected) < 1e-3


@pytest.fixture(scope="module")
def lit(noise: np.ndarray) -> np.ndarray:
    """Crops whose brightest patch has the brightness that any levelling would bring it to."""
    crops = noise * 0.7
    crops[:, :16, :16] = T.GROUND
    return crops


def test_the_network_rescales_crops_itself(
    mobilenet: Any, weights_file: Path, lit: np.ndarray
) -> None:
    """Crops in [0, 1] go in; MobileNetV2 wants [-1, 1]."""
    backbone, _ = T.build_backbone(str(weights_file), CROPS)
    lower, upper = T.split_backbone(backbone)
    found = upper.predict(lower.predict(lit, verbose=0), verbose=0)
    expected = mobilenet.predict(lit * 2 - 1, verbose=0).mean(axis=(1, 2))
    unscaled = mobilenet.predict(lit, verbose=0).mean(axis=(1, 2))
    assert apart(found, expected) < 0.1
    assert apart(unscaled, expected) > 0.5


def test_the_colour_of_the_light_makes_no_difference(weights_file: Path, lit: np.ndarray) -> None:
    lower, _ = T.split_backbone(T.build_backbone(str(weights_file), CROPS)[0])
    expected = lower.predict(lit, verbose=0)
    tinted = lit * np.array([0.9, 0.8, 0.6], np.float32)
    assert apart(lower.predict(tinted, verbose=0), expected) < 0.01
    black = lower.predict(np.zeros_like(lit), verbose=0)
    assert np.isfinite(black).all()


def test_a_weights_file_is_read_and_named(mobilenet: Any, weights_file: Path) -> None:
    backbone, origin = T.build_backbone(str(weights_file), CROPS)
    assert weights_file.name in origin
    kernel = mobilenet.get_layer("Conv1").get_weights()[0]
    gamma, _, _, variance = mobilenet.get_layer("bn_Conv1").get_weights()
    found = backbone.get_layer("Conv1").get_weights()[0]
    assert np.allclose(found, kernel * gamma / np.sqrt(variance + 1e-3), rtol=2e-3, atol=1e-4)


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keras can't fetch its weights, and says so its own way."""
    import keras

    real = keras.applications.MobileNetV2

    def fetchless(*args: Any, weights: str | None = "imagenet", **options: Any) -> Any:
        if weights == "imagenet":
            raise Exception("URL fetch failure on https://storage: None -- no route to host")
        return real(*args, weights=weights, **options)

    monkeypatch.setattr(keras.applications, "MobileNetV2", fetchless)


@pytest.mark.usefixtures("offline")
def test_auto_falls_back_on_the_bundled_backbone_and_says_so(
    weights_file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(T, "PRETRAINED", weights_file.parent)
    backbone, origin = T.build_backbone("auto", CROPS)
    _, err = capsys.readouterr()
    assert "bundled" in err and len(err.splitlines()) == 1
    assert "bundled" in origin
    expected, _ = T.build_backbone(str(weights_file), CROPS)
    for found, wanted in zip(backbone.get_weights(), expected.get_weights(), strict=True):
        assert (found == wanted).all()


@pytest.mark.usefixtures("offline")
def test_imagenet_that_cannot_be_fetched_is_an_error_line(
    tiny: Path, tmp_path: Path, run: Callable[..., Outcome]
) -> None:
    result = run("--data", tiny, "--weights", "imagenet", "--output-dir", tmp_path / "model")
    assert "no route to host" in only_error(result)


@pytest.mark.parametrize(
    "kind",
    [
        "missing",
        "text",
        "other network",
    ],
)
def test_a_file_that_holds_no_weights_is_an_error_line(
    kind: str,
    tiny: Path,
    tmp_path: Path,
    run: Callable[..., Outcome],
    recwarn: pytest.WarningsRecorder,
) -> None:
    path = tmp_path / "odd.weights.h5"
    if kind == "text":
        path.write_text("no weights, just words\n")
    elif kind == "other network":
        import keras

        keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)]).save_weights(path)
    result = run("--data", tiny, "--weights", path, "--output-dir", tmp_path / "model")
    assert str(path) in only_error(result)
    assert not [w for w in recwarn if w.category is UserWarning]  # each would be a line on stderr
    assert not (tmp_path / "model").exists()


# --- augmentation, fit, calibration ---------------------------------------------------------------


@pytest.mark.parametrize("label", ["RBC", "WBC", "Platelets", "Background", "Blast"])
def test_augmented_views(label: str) -> None:
    crop = P.square_crop(np.random.default_rng(0).integers(0, 256, (50, 80, 3), np.uint8), 64)
    box = np.array([100, 100, 180, 150])

    def views(seed: int) -> list[np.ndarray]:
        rng = np.random.default_rng(seed)
        return [T.augment(crop.copy(), box, label, rng) for _ in range(20)]

    first, again, other = views(0), views(0), views(1)
    for view in (*first, *other):
        assert (view.shape, view.dtype) == ((64, 64, 3), np.uint8)
    assert all((a == b).all() for a, b in zip(first, again, strict=True))
    assert not any((a == b).all() for a, b in zip(first, other, strict=True))
    assert len({view.tobytes() for view in first}) == 20


@pytest.mark.parametrize("box", [(0, 0, 200, 4), (0, 0, 3, 90), (5, 5, 6, 6), (0, 0, 1000, 1000)])
def test_a_box_of_any_shape_can_be_augmented(box: tuple[int, int, int, int]) -> None:
    segment = np.full((box[3] - box[1], box[2] - box[0], 3), 120, np.uint8)
    crop = P.square_crop(segment, 64)
    rng = np.random.default_rng(0)
    for _ in range(200):
        assert T.augment(crop, np.array(box), "RBC", rng).shape == (64, 64, 3)


def test_augmenting_leaves_the_crop_as_it_was() -> None:
    crop = np.random.default_rng(0).integers(0, 256, (64, 64, 3)).astype(np.uint8)
    kept = crop.copy()
    rng = np.random.default_rng(0)
    for _ in range(50):
        T.augment(crop, np.array([0, 0, 64, 64]), "RBC", rng)
    assert (crop == kept).all()


@pytest.mark.parametrize("size", [1, 3, 100])
def test_how_many_are_drawn_at_a_time_makes_no_difference(
    val: T.Split, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    some = T.Split(*(column[:8] for column in val))
    views = list(T.draw_views(some, [1, 2]))
    strangers = list(T.draw_strangers(8, 32, np.random.default_rng(1)))
    monkeypatch.setattr(T, "SLICE", size)
    in_slices = list(T.draw_views(some, [1, 2]))
    assert max(map(len, in_slices)) == min(size, 8)
    assert (np.concatenate(in_slices) == np.concatenate(views)).all()
    in_slices = list(T.draw_strangers(8, 32, np.random.default_rng(1)))
    assert max(map(len, in_slices)) == min(size, 8)
    assert (np.concatenate(in_slices) == np.concatenate(strangers)).all()


def test_rare_classes_weigh_more_and_the_mean_is_one() -> None:
    code = np.repeat([0, 1, 2], [90, 9, 1])
    weight = T.weigh_classes(code)
    assert weight[0] < weight[1] < weight[2]
    assert weight[code].mean() == pytest.approx(1)
    assert T.weigh_classes(np.array([0, 1, 1, 0])) == pytest.approx([1, 1])


@pytest.mark.parametrize("classes", [2, 4])
def test_the_head_learns_to_separate_and_follows_the_seed(classes: int) -> None:
    rng = np.random.default_rng(0)
    code = np.repeat(np.arange(classes), 30)
    features = rng.normal(0, 1, (len(code), 10)) + 5
    features[np.arange(len(code)), code] += 6
    kernel, bias = T.fit_head(features, code)
    assert (kernel.shape, bias.shape) == ((10, classes), (classes,))
    assert ((features @ kernel + bias).argmax(axis=1) == code).mean() > 0.97


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.5])
def test_the_temperature_of_overconfident_logits_is_found(temperature: float) -> None:
    rng = np.random.default_rng(0)
    honest = rng.normal(0, 2, (20000, 3))
    gumbel = rng.gumbel(size=honest.shape)
    code = (honest + gumbel).argmax(axis=1)  # drawn with softmax(honest) as probabilities
    assert T.fit_temperature(honest * temperature, code) == pytest.approx(temperature, rel=0.05)


def test_the_temperature_of_flawless_logits_is_finite() -> None:
    code = np.array([0, 1, 0, 1])
    assert 0 < T.fit_temperature(np.eye(2)[code] * 20, code) < 100


def test_the_loss_is_the_mean_negative_log_likelihood() -> None:
    logits = np.log([[0.7, 0.2, 0.1], [0.1, 0.6, 0.3]]) + 50
    expected = -(np.log(0.7) + np.log(0.3)) / 2
    assert T.measure_loss(logits, np.array([0, 2])) == pytest.approx(expected)
    assert np.isfinite(T.measure_loss(np.array([[1000.0, -1000.0]]), np.array([1])))


@pytest.mark.parametrize(
    ("negative", "positive", "low", "high"),
    [
        ([0.1, 0.2], [0.8, 0.9], 0.5, 0.5),  # 1/2 is as good as any
        ([0.1, 0.6], [0.8, 0.9], 0.6, 0.8),
        ([0.1, 0.2], [0.3, 0.9], 0.2, 0.3),
        ([0.01, 0.05, 0.9], [0.4, 0.95, 0.97], 0.05, 0.4),  # one false alarm can't be avoided
    ],
)
def test_the_threshold_separates_as_near_a_half_as_it_can(
    negative: list[float], positive: list[float], low: float, high: float
) -> None:
    probability = np.array(negative + positive)
    truth = np.array([False] * len(negative) + [True] * len(positive))
    shuffled = np.random.default_rng(0).permutation(len(truth))
    found = T.choose_threshold(probability[shuffled], truth[shuffled])
    assert low <= found <= high


# --- export ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("difference", [0.0011, 0.5, np.nan])
def test_an_export_that_differs_is_refused(difference: float) -> None:
    answers = np.full((5, 2), 0.5)
    exported = answers.copy()
    exported[3, 1] += difference
    for pair in ((answers, exported), (exported, answers)):
        with pytest.raises(P.UserError):
            T.check_export(*pair)


def test_an_export_that_differs_by_exactly_the_limit_is_refused() -> None:
    with pytest.raises(P.UserError):
        T.check_export(np.zeros((1, 2)), np.full((1, 2), 0.001))


def test_an_export_that_agrees_passes() -> None:
    answers = np.random.default_rng(0).random((50, 4))
    assert T.check_export(answers, answers) == 0
    assert T.check_export(answers, answers - 0.0009) == pytest.approx(0.0009)


def test_threads_that_hush_native_libraries_leave_stderr_open() -> None:
    """Every thread of a prediction does, when it starts its interpreter."""
    kept, before = os.dup(2), os.fstat(2)

    def hush(_: int) -> None:
        with T.quiet_stderr():
            time.sleep(0.001)

    try:
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(hush, range(200)))
        after = os.fstat(2)
    finally:
        os.dup2(kept, 2)
        os.close(kept)
    assert (after.st_dev, after.st_ino) == (before.st_dev, before.st_ino)


# --- the classifier -------------------------------------------------------------------------------


def test_answers_do_not_depend_on_workers_or_company(sample_run: SampleRun, val: T.Split) -> None:
    classifier = T.Classifier.load(sample_run.model)
    crops = val.X[:60]
    proba, novelty = classifier.predict_proba(crops, workers=1)
    for workers in (2, 5):
        again = classifier.predict_proba(crops, workers=workers)
        assert (again[0] == proba).all() and (again[1] == novelty).all()
    back = classifier.predict_proba(crops[::-1], workers=3)
    assert (back[0][::-1] == proba).all()
    alone, alone_novelty = classifier.judge(P.scale_pixels(crops[7]))
    assert (alone == proba[7]).all() and alone_novelty == novelty[7]


def test_the_exported_model_agrees_with_the_keras_model(
    sample_run: SampleRun, val: T.Split
) -> None:
    T.start_tensorflow(0)
    import keras

    model = keras.models.load_model(sample_run.model / "hematovision.keras", compile=False)
    layers = list(model.layers)
    for layer in layers:
        layers += getattr(layer, "layers", [])
        assert not isinstance(layer, keras.layers.BatchNormalization)
    answers = model.predict(P.scale_pixels(val.X), verbose=0)
    proba, novelty = T.Classifier.load(sample_run.model).predict_proba(val.X)
    assert np.abs(answers["probabilities"] - proba).max() < 1e-3
    assert answers["novelty"] == pytest.approx(novelty, rel=0.01, abs=0.1)
    assert proba.sum(axis=1) == pytest.approx(1, abs=1e-3)


def test_no_crops_give_no_answers(sample_run: SampleRun) -> None:
    classifier = T.Classifier.load(sample_run.model)
    proba, novelty = classifier.predict_proba(np.empty((0, 64, 64, 3), np.uint8))
    assert (proba.shape, novelty.shape) == ((0, 2), (0,))


@pytest.mark.parametrize(
    "key",
    [
        "classes",
        "image_size",
        "threshold",
        "novelty_threshold",
    ],
)
def test_a_card_without_what_is_needed_is_refused(
    key: str, sample_run: SampleRun, card: dict[str, Any], tmp_path: Path
) -> None:
    """When it is read, not when an answer is wanted."""
    shutil.copy(sample_run.model / "hematovision.tflite", tmp_path)
    rest = {k: v for k, v in card.items() if k != key}
    (tmp_path / "hematovision.json").write_text(json.dumps(rest))
    with pytest.raises(P.UserError):
        T.Classifier.load(tmp_path)


# --- the whole ------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A quarter of the sample's crops at 32 pixels: enough to run through, not to learn much."""
    folder = tmp_path_factory.mktemp("tiny")
    args = ["--output", folder / "all.npz", "--image-size", 32]
    assert P.main([str(a) for a in ("--data-dir", SAMPLE, *args)]) == 0
    arrays = load_arrays(folder / "all.npz")
    for key in arrays:
        if key not in ("classes", "metadata") and not key.startswith("field"):
            arrays[key] = arrays[key][::4]
    np.savez(folder / "tiny.npz", **arrays)
    return folder / "tiny.npz"


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
    assert [row["epoch"] for row in rows] == ["0", "1", "1", "2"]
    assert [row["phase"] for row in rows] == ["head", "fine-tune", "fields", "fields"]
    for row in rows[:2]:
        assert 0 <= float(row["val_accuracy"]) <= 1
        assert float(row["val_loss"]) >= 0
    assert 0 <= float(rows[1]["accuracy"]) <= 1


def test_nothing_but_its_own_words_on_the_screen(sample_run: SampleRun) -> None:
    for chatter in ("Warning", "TensorFlow Lite", "INFO", "W0000", "I0000", "XNNPACK", "oneDNN"):
        assert chatter not in sample_run.trained.err, chatter
        assert chatter not in sample_run.trained.out, chatter


def test_the_card_says_what_the_contract_lists(sample_run: SampleRun, card: dict[str, Any]) -> None:
    arrays = load_arrays(sample_run.archive)
    metadata = json.loads(str(arrays["metadata"]))
    assert card["classes"] == ["Other", "RBC"]
    assert card["image_size"] == 64
    assert card["task"] == "binary"
    assert 0 < card["threshold"] < 1
    assert card["seed"] == 42
    assert card["epochs"] == 1
    weights = start_weights()
    assert (Path(weights).name if weights not in ("none", "bundled") else weights) in card[
        "weights"
    ]
    digest = hashlib.sha256(sample_run.archive.read_bytes()).hexdigest()
    assert card["archive_sha256"] == digest
    assert card["versions"]["tensorflow"] == importlib.metadata.version("tensorflow")
    assert len(card["seconds"]) >= 4
    assert all(seconds >= 0 for seconds in card["seconds"].values())
    fields = set(metadata["field_sha256"]["train"].values())
    assert fields <= set(card["training_fields"])
    assert not set(card["training_fields"]) & set(metadata["field_sha256"]["test"].values())


def test_the_validation_figures_are_those_of_the_exported_model(
    sample_run: SampleRun, card: dict[str, Any], val: T.Split
) -> None:
    classifier = T.Classifier.load(sample_run.model)
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
    card = json.loads((multiclass_run.model / "hematovision.json").read_text())
    assert card["classes"] == ["Background", "Platelets", "RBC", "WBC"]
    assert card["threshold"] is None
    assert card["task"] == "multiclass"
    assert card["validation"]["balanced_accuracy"] > 0.7
    proba = np.array([[0.1, 0.2, 0.3, 0.4], [0.4, 0.1, 0.1, 0.4]])
    assert T.Classifier.load(multiclass_run.model).predict(proba).tolist() == [3, 0]


@pytest.fixture(scope="module")
def start(sample_run: SampleRun, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A stand-in for data/pretrained/, whose card calls two held-out fields its training ones."""
    folder = tmp_path_factory.mktemp("pretrained")
    for name in ("hematovision.json", "hematovision.tflite"):
        shutil.copy(sample_run.model / name, folder)
    weights = start_weights()
    file = T.PRETRAINED / "backbone.weights.h5" if weights == "bundled" else Path(weights)
    if not file.is_file():
        pytest.skip("there is neither a bundled backbone nor ImageNet's weights to start from")
    shutil.copy(file, folder / "backbone.weights.h5")
    metadata = json.loads(str(load_arrays(sample_run.archive)["metadata"]))["field_sha256"]
    card = json.loads((folder / "hematovision.json").read_text())
    seen = [next(iter(metadata[split].values())) for split in ("val", "test")]
    card["training_fields"] = [*seen, "0" * 64]
    (folder / "hematovision.json").write_text(json.dumps(card))
    return folder


@pytest.fixture(scope="module")
def tiny_run(
    start: Path, tiny: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Outcome]:
    """A training on the tiny archive from the stand-in for the bundled model, in this process."""
    folder = tmp_path_factory.mktemp("tiny-model")
    out, err = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(T, "PRETRAINED", start)
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            status = train_tiny(tiny, folder)
    return folder, Outcome(status, out.getvalue(), err.getvalue())


def train_tiny(data: Path, folder: Path, *args: object) -> int:
    import keras

    keras.utils.clear_session()
    given = ("--data", data, "--output-dir", folder, "--weights", "bundled", "--epochs", 1)
    return T.main([*map(str, given), "--field-epochs", "1", *map(str, args)])


def test_held_out_fields_that_the_bundled_model_was_trained_on_are_pointed_out(
    tiny_run: tuple[Path, Outcome],
) -> None:
    folder, result = tiny_run
    assert result.status == 0, result.err
    warnings = [line for line in result.err.splitlines() if line.startswith("warning: ")]
    assert len(warnings) == 1
    assert "2 " in warnings[0] and "bundled" in warnings[0]
    card = json.loads((folder / "hematovision.json").read_text())
    assert any(notice in warnings[0] for notice in card["notices"])


def test_no_warning_where_no_held_out_field_was_trained_on(
    sample_run: SampleRun, card: dict[str, Any]
) -> None:
    assert "warning" not in sample_run.trained.err
    assert card["notices"] == []


def test_find_seen_fields_looks_at_held_out_fields_only() -> None:
    digests = {"train": {"a.png": "1"}, "val": {"b.png": "2", "c.png": "3"}, "test": {"d.png": "4"}}
    card = {"training_fields": ["1", "3", "4", "9"]}
    assert sorted(T.find_seen_fields({"field_sha256": digests}, card)) == ["c.png", "d.png"]
    card = {"training_fields": ["1", "9"]}
    assert T.find_seen_fields({"field_sha256": digests}, card) == []


def test_training_again_without_the_test_split_gives_the_same_model(
    tiny_run: tuple[Path, Outcome],
    start: Path,
    tiny: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The same seed gives the same bytes, and the test split has no say in them."""
    monkeypatch.setattr(T, "PRETRAINED", start)
    np.savez(tmp_path / "part.npz", **drop(load_arrays(tiny), "_test"))
    assert train_tiny(tmp_path / "part.npz", tmp_path / "again") == 0
    first, again = tiny_run[0], tmp_path / "again"
    for name in ("hematovision.tflite", "hematovision_fields.tflite"):
        assert (first / name).read_bytes() == (again / name).read_bytes(), name
    cards = [json.loads((f / "hematovision.json").read_text()) for f in (first, again)]
    for entry in cards:
        del entry["seconds"], entry["archive_sha256"]
    assert cards[0] == cards[1]


def test_an_export_that_disagrees_stops_the_training_and_leaves_the_old_model(
    tiny_run: tuple[Path, Outcome],
    start: Path,
    tiny: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = tmp_path / "model"
    shutil.copytree(tiny_run[0], folder)
    before = {p.name: p.read_bytes() for p in folder.iterdir()}
    other = before["hematovision.tflite"]  # of another seed
    real = T.convert
    monkeypatch.setattr(T, "convert", lambda model, half=True: other if half else real(model, half))
    monkeypatch.setattr(T, "PRETRAINED", start)
    assert train_tiny(tiny, folder, "--seed", 7) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines()[-1].startswith("error: hematovision.tflite: ")
    assert {p.name: p.read_bytes() for p in folder.iterdir()} == before


@pytest.mark.filterwarnings("error::RuntimeWarning")
@pytest.mark.parametrize("epochs", [0, 1])
def test_training_from_nothing(
    epochs: int, tiny: Path, tmp_path: Path, run: Callable[..., Outcome]
) -> None:
    """And with no fine-tuning at all."""
    args = ("--weights", "none", "--epochs", epochs, "--field-epochs", 0)
    result = run("--data", tiny, *args, "--output-dir", tmp_path)
    assert result.status == 0, result.err
    card = json.loads((tmp_path / "hematovision.json").read_text())
    assert "none" in card["weights"]
    with open(tmp_path / "history.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == epochs + 1
    assert all(np.isfinite(float(row["val_loss"])) for row in rows)


# --- options --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "args",
    [
        ("--epochs", "-1"),
        ("--field-epochs", "1001"),
        ("--epochs", "few"),
        ("--seed", "-1"),
        ("--nonsense",),
    ],
)
def test_bad_options_are_refused(args: tuple[str, ...], run: Callable[..., Outcome]) -> None:
    assert args[0] in only_error(run(*args))


def test_help_lists_every_option_with_its_default(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        T.main(["--help"])
    assert end.value.code == 0
    text = " ".join(capsys.readouterr().out.split())
    for name, default in (
        ("--data", "preprocessed_data.npz"),
        ("--output-dir", "model"),
        ("--weights", "auto"),
        ("--epochs", T.Options.epochs),
        ("--seed", 42),
    ):
        assert name in text
        assert f"(default: {default})" in text
