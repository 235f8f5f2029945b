"""Tests of evaluate_model.py: its figures against hand-computed ones, its files, its refusals."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from conftest import Outcome, SampleRun, load_arrays, only_error

import evaluate_model as E
import train_model as T

CONTRACT_KEYS = {
    "accuracy", "balanced_accuracy", "precision", "recall", "f1", "roc_auc", "average_precision",
    "mcc", "brier", "ece", "threshold", "confusion_matrix", "classes", "support", "ci95",
}  # fmt: skip
HEADLINE = CONTRACT_KEYS - {"threshold", "confusion_matrix", "classes", "support", "ci95"}


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Callable[..., Outcome]:
    """Run the script in this process; give its status, stdout and stderr."""

    def call(*args: object) -> Outcome:
        capsys.readouterr()
        status = E.main([str(a) for a in args])
        return Outcome(status, *capsys.readouterr())

    return call


def two_classes(rbc: list[float]) -> np.ndarray:
    """Probabilities (n, 2) of which the second column is given."""
    return np.stack([1 - np.array(rbc), rbc], axis=1)


def score(y: list[int], proba: np.ndarray, weight: list[float] | None = None) -> dict[str, float]:
    return decide(y, proba, proba.argmax(axis=1), weight)


def decide(
    y: list[int], proba: np.ndarray, predicted: np.ndarray, weight: list[float] | None = None
) -> dict[str, float]:
    """The headline figures of one weighting of the crops."""
    weights = np.ones((1, len(y))) if weight is None else np.array([weight], float)
    found = E.score_weighted(np.array(y), proba, predicted, weights)
    return {name: float(found[name][0]) for name in E.HEADLINE}


# --- figures --------------------------------------------------------------------------------------


def test_a_perfect_classifier_scores_full_marks() -> None:
    found = score([0, 0, 1, 1, 1], two_classes([0.0, 0.0, 1.0, 1.0, 1.0]))
    assert found == pytest.approx(dict.fromkeys(HEADLINE, 1.0) | {"brier": 0.0, "ece": 0.0})


def test_a_classifier_that_is_always_wrong_scores_none() -> None:
    found = score([0, 0, 1, 1, 1], two_classes([1.0, 1.0, 0.0, 0.0, 0.0]))
    # All crops are tied but for the wrong ones first: precision 3/5 where the recall comes.
    worst = {"mcc": -1.0, "brier": 1.0, "ece": 1.0, "average_precision": 3 / 5}
    assert found == pytest.approx(dict.fromkeys(HEADLINE, 0.0) | worst, abs=1e-9)


def test_figures_of_a_small_case_worked_out_by_hand() -> None:
    # Others at 0.1, 0.2, 0.7 and red cells at 0.3, 0.6, 0.8, 0.9: hits 3 of 4, false alarm 1 of 3.
    found = score([0, 0, 0, 1, 1, 1, 1], two_classes([0.1, 0.2, 0.7, 0.3, 0.6, 0.8, 0.9]))
    assert found["accuracy"] == pytest.approx(5 / 7)
    assert found["balanced_accuracy"] == pytest.approx((2 / 3 + 3 / 4) / 2)
    assert found["precision"] == pytest.approx(3 / 4)
    assert found["recall"] == pytest.approx(3 / 4)
    assert found["f1"] == pytest.approx(3 / 4)
    assert found["roc_auc"] == pytest.approx(10 / 12)  # pairs in the right order
    assert found["average_precision"] == pytest.approx((1 + 1 + 3 / 4 + 4 / 5) / 4)
    assert found["mcc"] == pytest.approx((3 * 2 - 1 * 1) / np.sqrt(4 * 4 * 3 * 3))
    squares = [0.1**2, 0.2**2, 0.7**2, 0.7**2, 0.4**2, 0.2**2, 0.1**2]
    assert found["brier"] == pytest.approx(np.mean(squares))


def test_a_weight_counts_like_that_many_crops() -> None:
    rng = np.random.default_rng(0)
    y, times = rng.integers(0, 3, 40), rng.integers(1, 5, 40)
    proba = rng.dirichlet(np.ones(3), 40)
    weighted = score(y.tolist(), proba, times.tolist())
    repeated = score(np.repeat(y, times).tolist(), np.repeat(proba, times, axis=0))
    assert weighted == pytest.approx(repeated)
    assert weighted != pytest.approx(score(y.tolist(), proba))


@pytest.mark.filterwarnings("ignore:A single label")
def test_the_threshold_decides_not_the_likeliest_class() -> None:
    proba = two_classes([0.3, 0.3])
    found = decide([1, 1], proba, np.array([1, 1]))
    assert (found["accuracy"], found["recall"]) == (1.0, 1.0)


def test_multiclass_figures_are_means_over_the_classes() -> None:
    proba = np.eye(3)[[0, 0, 1, 2, 2, 0]]
    found = score([0, 0, 1, 1, 2, 2], proba)
    assert found["recall"] == pytest.approx((1 + 1 / 2 + 1 / 2) / 3)
    assert found["precision"] == pytest.approx((2 / 3 + 1 + 1 / 2) / 3)
    assert found["balanced_accuracy"] == pytest.approx(found["recall"])
    assert found["brier"] == pytest.approx(2 * 2 / 6)
    # One against the rest; hard answers give (recall + specificity) / 2 each.
    assert found["roc_auc"] == pytest.approx(
        np.mean([(1 + 3 / 4), (1 / 2 + 1), (1 / 2 + 3 / 4)]) / 2
    )


def test_a_class_without_examples_is_left_out_of_the_means() -> None:
    found = score([0, 0, 1, 1], np.eye(3)[[0, 0, 1, 1]])
    assert found["balanced_accuracy"] == found["recall"] == found["roc_auc"] == 1.0


@pytest.mark.filterwarnings("ignore:A single label")
def test_what_needs_two_classes_is_no_number_with_one() -> None:
    found = score([1, 1], two_classes([0.8, 0.9]))
    assert np.isnan(found["roc_auc"]) and np.isnan(found["average_precision"])
    assert found["accuracy"] == 1.0


@pytest.mark.parametrize(
    ("confidence", "correct", "error"),
    [
        ([1.0, 1.0], [1, 1], 0.0),
        ([1.0, 1.0], [0, 0], 1.0),
        ([0.75, 0.75, 0.75, 0.75], [1, 1, 1, 0], 0.0),
        ([0.9, 0.9, 0.6, 0.6], [1, 0, 1, 1], (0.4 + 0.4) / 2),  # two bins, one each way
        ([0.9, 0.91, 0.92, 0.93], [1, 1, 1, 0], abs(0.915 - 0.75)),  # one bin: errors cancel in it
    ],
)
def test_calibration_error(confidence: list[float], correct: list[int], error: float) -> None:
    ones = np.ones(len(confidence))
    found = E.calibration_error(np.array(confidence), np.array(correct, bool), ones)
    assert found == pytest.approx(error)


def test_calibration_error_has_as_many_bins_as_it_says() -> None:
    confidence, correct, ones = np.array([0.95, 0.99]), np.array([True, False]), np.ones(2)
    fifteen = E.calibration_error(confidence, correct, ones)
    hundred = E.calibration_error(confidence, correct, ones, bins=100)
    assert fifteen == pytest.approx(abs(0.97 - 0.5))
    assert hundred == pytest.approx((0.05 + 0.99) / 2)


# --- bootstrap ------------------------------------------------------------------------------------


def bootstrap(right: np.ndarray, source: np.ndarray, seed: int = 0) -> dict:
    """Intervals of a classifier that is right where told, on alternating classes."""
    y = np.arange(len(right)) % 2
    predicted = np.where(right, y, 1 - y)
    proba = np.eye(2)[predicted]
    draws = E.resample(lambda w: E.score_weighted(y, proba, predicted, w), source, 100, seed)
    return E.find_intervals(draws, y, source, 2)


def test_bootstrap_draws_fields_not_crops() -> None:
    # Ten fields of 40 crops, each all right or all wrong: ten independent observations, not 400.
    source = np.repeat([f"field{i}" for i in range(10)], 40)
    right = np.repeat(np.arange(10) < 8, 40)
    low, high = bootstrap(right, source)["accuracy"]
    assert (high - low) > 0.3  # 400 independent crops would give 0.08
    alone = np.array([f"field{i}" for i in range(400)])
    low, high = bootstrap(right, alone)["accuracy"]
    assert 0.05 < (high - low) < 0.11


def test_bootstrap_interval_holds_the_figure_and_follows_the_seed() -> None:
    rng = np.random.default_rng(1)
    source = np.repeat([f"field{i}" for i in range(30)], 10)
    right = rng.random(300) < 0.9
    first, again, other = (bootstrap(right, source, seed) for seed in (0, 0, 1))
    assert first == again
    assert first != other
    assert set(first) == HEADLINE
    low, high = first["accuracy"]
    assert low < right.mean() < high


def test_one_field_has_no_interval() -> None:
    found = bootstrap(np.array([True, False, True, True]), np.array(["only"] * 4))
    assert found == dict.fromkeys(HEADLINE)


# --- the whole ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def report(sample_run: SampleRun, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    args = ["--data", sample_run.archive, "--model", sample_run.model, "--output-dir", folder]
    assert E.main([*map(str, args), "--resamples", "200"]) == 0
    return folder


@pytest.fixture(scope="module")
def metrics(report: Path) -> dict:
    return json.loads((report / "metrics.json").read_text())


def test_metrics_hold_what_the_contract_lists(metrics: dict) -> None:
    assert set(metrics) >= CONTRACT_KEYS
    assert set(metrics["ci95"]) == HEADLINE
    for name in HEADLINE - {"mcc"}:
        assert 0 <= metrics[name] <= 1, name
        low, high = metrics["ci95"][name]
        assert low <= high


def test_metrics_agree_with_the_archive_and_one_another(
    metrics: dict, sample_run: SampleRun
) -> None:
    arrays = load_arrays(sample_run.archive)
    y, matrix = arrays["y_test"], np.array(metrics["confusion_matrix"])
    card = json.loads((sample_run.model / "hematovision.json").read_text())
    assert metrics["classes"] == arrays["classes"].tolist() == ["Other", "RBC"]
    assert metrics["threshold"] == pytest.approx(card["threshold"], abs=1e-6)
    assert metrics["support"] == matrix.sum(axis=1).tolist() == np.bincount(y).tolist()
    assert metrics["accuracy"] == pytest.approx(np.trace(matrix) / len(y), abs=1e-6)
    assert metrics["recall"] == pytest.approx(matrix[1, 1] / matrix[1].sum(), abs=1e-6)
    assert metrics["precision"] == pytest.approx(matrix[1, 1] / matrix[:, 1].sum(), abs=1e-6)
    per_class = metrics["per_class"]
    assert list(per_class) == metrics["classes"]
    assert per_class["RBC"]["recall"] == pytest.approx(metrics["recall"], abs=1e-6)
    assert per_class["Other"]["support"] == matrix[0].sum()


def test_the_figures_are_those_of_the_exported_model(metrics: dict, sample_run: SampleRun) -> None:
    """By scikit-learn, from the classifier's own probabilities."""
    from sklearn.metrics import average_precision_score, brier_score_loss, roc_auc_score

    test = T.load_archive(sample_run.archive, ["test"]).splits["test"]
    proba, _ = T.Classifier.load(sample_run.model).predict_proba(test.X)
    rbc = proba[:, 1]
    assert metrics["roc_auc"] == pytest.approx(roc_auc_score(test.y, rbc), abs=1e-6)
    assert metrics["average_precision"] == pytest.approx(
        average_precision_score(test.y, rbc), abs=1e-6
    )
    assert metrics["brier"] == pytest.approx(brier_score_loss(test.y, rbc.astype(float)), abs=1e-6)
    predicted = (rbc >= metrics["threshold"]).astype(int)
    assert metrics["accuracy"] == pytest.approx((predicted == test.y).mean(), abs=1e-6)


@pytest.mark.parametrize("kind", ["confusion", "roc", "precision_recall"])
def test_pictures_are_pictures(report: Path, kind: str) -> None:
    (path,) = (p for p in report.glob("*.png") if p.name.startswith(kind))
    picture = cv2.imread(str(path))
    assert picture is not None
    assert min(picture.shape[:2]) >= 300
    assert picture.std() > 5  # something is drawn


def test_the_same_run_gives_the_same_files(
    report: Path, sample_run: SampleRun, tmp_path: Path, run: Callable[..., Outcome]
) -> None:
    before = {p.name: p.read_bytes() for p in report.iterdir()}
    args = ["--data", sample_run.archive, "--model", sample_run.model, "--resamples", 200]
    result = run(*args, "--output-dir", report)
    assert result.status == 0
    assert str(report) in result.out
    assert "accuracy" in result.out and "ece" in result.out
    assert {p.name: p.read_bytes() for p in report.iterdir()} == before

    assert run(*args, "--output-dir", tmp_path, "--workers", 1).status == 0
    found, expected = (json.loads((f / "metrics.json").read_text()) for f in (tmp_path, report))
    assert {k: v for k, v in found.items() if k != "command"} == {
        k: v for k, v in expected.items() if k != "command"
    }


def test_multiclass(multiclass_run: SampleRun, tmp_path: Path, run: Callable[..., Outcome]) -> None:
    result = run(
        "--data", multiclass_run.archive, "--model", multiclass_run.model,
        "--output-dir", tmp_path, "--resamples", 50,
    )  # fmt: skip
    assert result.status == 0, result.err
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    y = load_arrays(multiclass_run.archive)["y_test"]
    assert metrics["classes"] == ["Background", "Platelets", "RBC", "WBC"]
    assert np.array(metrics["confusion_matrix"]).shape == (4, 4)
    assert metrics["support"] == np.bincount(y, minlength=4).tolist()
    assert metrics["threshold"] is None
    assert set(metrics) >= CONTRACT_KEYS
    assert {p.suffix for p in tmp_path.iterdir()} >= {".png", ".json"}


def test_test_fields_that_were_trained_on_are_pointed_out(
    sample_run: SampleRun, tmp_path: Path, run: Callable[..., Outcome]
) -> None:
    model = tmp_path / "model"
    shutil.copytree(sample_run.model, model)
    card = json.loads((model / "hematovision.json").read_text())
    digests = json.loads(str(load_arrays(sample_run.archive)["metadata"]))["field_sha256"]
    args = ("--data", sample_run.archive, "--model", model, "--resamples", 0)
    assert "warning" not in run(*args, "--output-dir", tmp_path / "honest").err
    card["training_fields"].append(next(iter(digests["test"].values())))
    (model / "hematovision.json").write_text(json.dumps(card))
    result = run(*args, "--output-dir", tmp_path / "flattering")
    assert result.status == 0
    assert "warning: " in result.err and "1 of the test fields" in result.err
    metrics = json.loads((tmp_path / "flattering" / "metrics.json").read_text())
    assert metrics["test_fields_trained_on"] == 1


# --- what it refuses ------------------------------------------------------------------------------


def test_an_archive_of_other_classes_is_refused(
    sample_run: SampleRun, multiclass_run: SampleRun, tmp_path: Path, run: Callable[..., Outcome]
) -> None:
    for data, model in ((sample_run, multiclass_run), (multiclass_run, sample_run)):
        error = only_error(
            run("--data", data.archive, "--model", model.model, "--output-dir", tmp_path / "out")
        )
        assert "Platelets" in error
    assert not (tmp_path / "out").exists()


def test_an_archive_of_another_size_is_refused(
    sample_run: SampleRun, tmp_path: Path, run: Callable[..., Outcome]
) -> None:
    model = tmp_path / "model"
    shutil.copytree(sample_run.model, model)
    arrays = load_arrays(sample_run.archive)
    metadata = json.loads(str(arrays["metadata"])) | {"image_size": 32}
    arrays["metadata"] = np.array(json.dumps(metadata))
    arrays["X_test"] = arrays["X_test"][:, ::2, ::2]
    np.savez(tmp_path / "small.npz", **arrays)
    error = only_error(run("--data", tmp_path / "small.npz", "--model", model))
    assert "32" in error and "64" in error


def test_an_empty_test_split_is_refused(
    sample_run: SampleRun, tmp_path: Path, run: Callable[..., Outcome]
) -> None:
    arrays = load_arrays(sample_run.archive)
    arrays |= {k: v[:0] for k, v in arrays.items() if k.endswith("_test")}
    np.savez(tmp_path / "empty.npz", **arrays)
    error = only_error(run("--data", tmp_path / "empty.npz", "--model", sample_run.model))
    assert "empty" in error


def test_missing_archive_or_model_is_refused(
    sample_run: SampleRun, tmp_path: Path, run: Callable[..., Outcome]
) -> None:
    error = only_error(run("--data", tmp_path / "no.npz", "--model", sample_run.model))
    assert "no.npz" in error
    error = only_error(run("--data", sample_run.archive, "--model", tmp_path / "nowhere"))
    assert "nowhere" in error


@pytest.mark.parametrize(
    "args", [("--resamples", "-1"), ("--resamples", "many"), ("--workers", "0"), ("--nonsense",)]
)
def test_bad_options_are_refused(args: tuple[str, ...], run: Callable[..., Outcome]) -> None:
    assert args[0] in only_error(run(*args))


def test_help_lists_every_option_with_its_default(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        E.main(["--help"])
    assert end.value.code == 0
    text = " ".join(capsys.readouterr().out.split())
    for name, default in (
        ("--data", "preprocessed_data.npz"),
        ("--model", "model"),
        ("--output-dir", "report"),
    ):
        assert name in text
        assert f"(default: {default})" in text


def test_a_report_folder_that_is_a_file_is_an_error_line(
    sample_run: SampleRun, tmp_path: Path, run: Callable[..., Outcome]
) -> None:
    (tmp_path / "taken").write_text("mine")
    result = run(
        "--data", sample_run.archive, "--model", sample_run.model,
        "--output-dir", tmp_path / "taken", "--resamples", 0,
    )  # fmt: skip
    assert result.status == 2
    assert result.err.splitlines()[-1].startswith("error: ")
    assert "taken" in result.err
    assert (tmp_path / "taken").read_text() == "mine"
