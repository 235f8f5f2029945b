"""evaluate_model.py: its files, its figures by scikit-learn, what it points out and refuses."""

from __future__ import annotations

import csv
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import CONTRACT_KEYS, HEADLINE, ROOT, Run, SampleRun, load, only_error

from evaluate_model import read_history
from hematovision.archive.loading import load_archive
from hematovision.networks.classifier import Classifier
from hematovision.program.console import UserError


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
    arrays = load(sample_run.archive)
    y, matrix = arrays["y_test"], np.array(metrics["confusion_matrix"])
    card = json.loads((sample_run.judged / "hematovision.json").read_text())
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

    test = load_archive(sample_run.archive, ["test"]).splits["test"]
    proba, _ = Classifier.load(sample_run.judged).predict_proba(test.X)
    rbc = proba[:, 1]
    assert metrics["roc_auc"] == pytest.approx(roc_auc_score(test.y, rbc), abs=1e-6)
    assert metrics["average_precision"] == pytest.approx(
        average_precision_score(test.y, rbc), abs=1e-6
    )
    assert metrics["brier"] == pytest.approx(brier_score_loss(test.y, rbc.astype(float)), abs=1e-6)
    predicted = (rbc >= metrics["threshold"]).astype(int)
    assert metrics["accuracy"] == pytest.approx((predicted == test.y).mean(), abs=1e-6)


def test_the_same_run_gives_the_same_files(
    report: Path, sample_run: SampleRun, tmp_path: Path, run: Run
) -> None:
    before = {p.name: p.read_bytes() for p in report.iterdir()}
    both = ["--model", sample_run.judged, "--compare", sample_run.judged]
    args = ["--data", sample_run.archive, *both, "--resamples", 200]
    result = run("evaluate_model.py", *args, "--output-dir", report)
    assert result.status == 0
    assert str(report) in result.out
    assert "accuracy" in result.out and "ece" in result.out
    assert {p.name: p.read_bytes() for p in report.iterdir()} == before

    assert run("evaluate_model.py", *args, "--output-dir", tmp_path, "--workers", 1).status == 0
    found, expected = (json.loads((f / "metrics.json").read_text()) for f in (tmp_path, report))
    assert {k: v for k, v in found.items() if k != "command"} == {
        k: v for k, v in expected.items() if k != "command"
    }


def test_multiclass(multiclass_run: SampleRun, tmp_path: Path, run: Run) -> None:
    args = ("--data", multiclass_run.archive, "--model", multiclass_run.model)
    result = run("evaluate_model.py", *args, "--output-dir", tmp_path, "--resamples", 50)
    assert result.status == 0, result.err
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    y = load(multiclass_run.archive)["y_test"]
    assert metrics["classes"] == ["Background", "Platelets", "RBC", "WBC"]
    assert np.array(metrics["confusion_matrix"]).shape == (4, 4)
    assert metrics["support"] == np.bincount(y, minlength=4).tolist()
    assert metrics["threshold"] is None
    assert set(metrics) >= CONTRACT_KEYS
    assert {p.suffix for p in tmp_path.iterdir()} >= {".png", ".json"}


def test_predictions_hold_every_test_crop(report: Path, sample_run: SampleRun) -> None:
    arrays = load(sample_run.archive)
    with open(report / "predictions.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["source"] for row in rows] == arrays["source_test"].tolist()
    assert [row["label"] for row in rows] == arrays["label_test"].tolist()
    box = [[int(row[key]) for key in ("xmin", "ymin", "xmax", "ymax")] for row in rows]
    assert box == arrays["box_test"].tolist()
    metrics = json.loads((report / "metrics.json").read_text())
    right = np.mean([row["truth"] == row["predicted"] for row in rows])
    assert right == pytest.approx(metrics["accuracy"])
    assert all(float(r["p_RBC"]) + float(r["p_Other"]) == pytest.approx(1) for r in rows)


def test_without_its_history_the_page_says_so(
    sample_run: SampleRun, tmp_path: Path, run: Run
) -> None:
    model = shutil.copytree(sample_run.of_crops, tmp_path / "model")
    (model / "history.csv").unlink()
    args = ["--data", sample_run.archive, "--model", model, "--output-dir", tmp_path / "a"]
    assert run("evaluate_model.py", "--resamples", 50, *args).status == 0
    page = (tmp_path / "a" / "report.html").read_text()
    assert "without its training history" in page
    assert "<svg" in page


def test_the_report_needs_neither_tensorflow_nor_scikit_learn(
    sample_run: SampleRun, tmp_path: Path
) -> None:
    code = (
        "import sys, evaluate_model\n"
        "assert evaluate_model.main(sys.argv[1:]) == 0\n"
        "heavy = {'tensorflow', 'keras', 'sklearn'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    args = ["--data", sample_run.archive, "--model", sample_run.judged, "--output-dir", tmp_path]
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, args), "--resamples", "20"],
        cwd=ROOT, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


# --- what it points out ---------------------------------------------------------------------------


def test_test_fields_that_were_trained_on_are_pointed_out(
    sample_run: SampleRun, tmp_path: Path, run: Run
) -> None:
    model = tmp_path / "model"
    shutil.copytree(sample_run.of_crops, model)
    card = json.loads((model / "hematovision.json").read_text())
    digests = json.loads(str(load(sample_run.archive)["metadata"]))["field_sha256"]
    args = ("--data", sample_run.archive, "--model", model, "--resamples", 0)
    assert "warning" not in run("evaluate_model.py", *args, "--output-dir", tmp_path / "honest").err
    card["training_fields"].append(next(iter(digests["test"].values())))
    (model / "hematovision.json").write_text(json.dumps(card))
    result = run("evaluate_model.py", *args, "--output-dir", tmp_path / "flattering")
    assert result.status == 0
    assert "warning: " in result.err and "1 of the test fields" in result.err
    metrics = json.loads((tmp_path / "flattering" / "metrics.json").read_text())
    assert metrics["test_fields_trained_on"] == 1


def edit_archive(source: Path, target: Path, keep: np.ndarray | None = None, **changes) -> Path:
    """A copy of an archive with some of its test crops, and with `changes` to its metadata."""
    arrays = load(source)
    metadata = json.loads(str(arrays["metadata"])) | changes
    arrays["metadata"] = np.array(json.dumps(metadata))
    if keep is not None:
        arrays |= {
            k: v[keep]
            for k, v in arrays.items()
            if k.endswith("_test") and not k.startswith("field")
        }
    np.savez(target, **arrays)
    return target


def test_a_model_that_saw_the_test_fields_is_said_to_flatter(
    sample_run: SampleRun, tmp_path: Path, run: Run
) -> None:
    model = shutil.copytree(sample_run.of_crops, tmp_path / "model")
    card = json.loads((model / "hematovision.json").read_text())
    metadata = json.loads(str(load(sample_run.archive)["metadata"]))
    card["training_fields"] += metadata["field_sha256"]["test"].values()
    (model / "hematovision.json").write_text(json.dumps(card))
    result = run(
        "evaluate_model.py",
        "--resamples",
        50,
        "--data",
        sample_run.archive,
        "--model",
        model,
        "--output-dir",
        tmp_path / "out",
    )
    assert "flatter" in result.err
    page = (tmp_path / "out" / "report.html").read_text()
    assert "These figures flatter" in page and "it had never seen" not in page


def test_too_few_examples_are_said_to_be_too_few(
    sample_run: SampleRun, tmp_path: Path, run: Run
) -> None:
    y = load(sample_run.archive)["y_test"]
    keep = np.flatnonzero((y == 1) | (np.cumsum(y == 0) <= 3))
    data = edit_archive(sample_run.archive, tmp_path / "few.npz", keep)
    result = run(
        "evaluate_model.py",
        "--resamples",
        50,
        "--data",
        data,
        "--model",
        sample_run.of_crops,
        "--output-dir",
        tmp_path,
    )
    assert result.status == 0, result.err
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert metrics["ci95"]["accuracy"] is not None
    assert metrics["ci95"]["balanced_accuracy"] is None
    assert metrics["per_class"]["Other"]["ci95"]["recall"] is None
    assert re.search(r"^balanced_accuracy .* too few examples$", result.out, re.MULTILINE)
    assert "too few examples" in (tmp_path / "report.html").read_text()


def test_one_field_has_figures_but_no_interval(
    sample_run: SampleRun, tmp_path: Path, run: Run
) -> None:
    source = load(sample_run.archive)["source_test"]
    keep = np.flatnonzero(source == source[0])
    data = edit_archive(sample_run.archive, tmp_path / "one.npz", keep)
    result = run(
        "evaluate_model.py",
        "--resamples",
        50,
        "--data",
        data,
        "--model",
        sample_run.of_crops,
        "--output-dir",
        tmp_path,
    )
    assert result.status == 0, result.err
    assert set(json.loads((tmp_path / "metrics.json").read_text())["ci95"].values()) == {None}
    assert "too few examples for an interval" in (tmp_path / "report.html").read_text()


# --- what it refuses ------------------------------------------------------------------------------


def test_an_archive_of_other_classes_is_scored_in_those_that_both_know(
    sample_run: SampleRun, multiclass_run: SampleRun, tmp_path: Path, run: Run
) -> None:
    models = (multiclass_run.model, sample_run.of_crops)
    for data, model in zip((sample_run, multiclass_run), models, strict=True):
        args = ("--data", data.archive, "--model", model, "--output-dir", tmp_path)
        result = run("evaluate_model.py", *args, "--resamples", 0)
        assert result.status == 0, result.err
        assert "share: Other, RBC" in result.err
        metrics = json.loads((tmp_path / "metrics.json").read_text())
        labels = load(data.archive)["label_test"]
        assert metrics["classes"] == ["Other", "RBC"]
        assert metrics["support"] == [(labels != "RBC").sum(), (labels == "RBC").sum()]
        assert metrics["accuracy"] > 0.9


def test_an_archive_of_another_size_is_cut_anew(
    sample_run: SampleRun, tmp_path: Path, run: Run
) -> None:
    arrays = load(sample_run.archive)
    metadata = json.loads(str(arrays["metadata"])) | {"image_size": 32}
    arrays["metadata"] = np.array(json.dumps(metadata))
    arrays["X_test"] = arrays["X_test"][:, ::2, ::2]
    np.savez(tmp_path / "small.npz", **arrays)
    figures = []
    for data in (tmp_path / "small.npz", sample_run.archive):
        args = ("--data", data, "--model", sample_run.of_crops, "--output-dir", tmp_path / "out")
        result = run("evaluate_model.py", *args, "--resamples", 0)
        assert result.status == 0, result.err
        assert ("cut anew at 64" in result.err) == (data.name == "small.npz")
        figures.append(json.loads((tmp_path / "out" / "metrics.json").read_text())["brier"])
    assert figures[0] == figures[1]


def test_an_archive_of_nothing_that_the_model_knows_is_refused(
    multiclass_run: SampleRun, tmp_path: Path, run: Run
) -> None:
    arrays = load(multiclass_run.archive)
    arrays["classes"] = np.array(["Amoeba", "Diatom", "Rotifer", "Tardigrade"])
    np.savez(tmp_path / "pond.npz", **arrays)
    args = ("--data", tmp_path / "pond.npz", "--model", multiclass_run.model)
    error = only_error(run("evaluate_model.py", *args, "--output-dir", tmp_path / "out"))
    assert "Amoeba" in error and "Platelets" in error
    assert not (tmp_path / "out").exists()


def test_an_empty_test_split_is_refused(sample_run: SampleRun, tmp_path: Path, run: Run) -> None:
    arrays = load(sample_run.archive)
    arrays |= {k: v[:0] for k, v in arrays.items() if k.endswith("_test")}
    np.savez(tmp_path / "empty.npz", **arrays)
    error = only_error(
        run("evaluate_model.py", "--data", tmp_path / "empty.npz", "--model", sample_run.judged)
    )
    assert "empty" in error


def test_a_report_folder_that_is_a_file_is_an_error_line(
    sample_run: SampleRun, tmp_path: Path, run: Run
) -> None:
    (tmp_path / "taken").write_text("mine")
    args = ("--data", sample_run.archive, "--model", sample_run.judged, "--resamples", 0)
    result = run("evaluate_model.py", *args, "--output-dir", tmp_path / "taken")
    assert result.status == 2
    assert result.err.splitlines()[-1].startswith("error: ")
    assert "taken" in result.err
    assert (tmp_path / "taken").read_text() == "mine"


def test_a_second_model_of_another_task_is_compared_in_the_classes_of_both(
    sample_run: SampleRun, multiclass_run: SampleRun, tmp_path: Path, run: Run
) -> None:
    models = ("--model", sample_run.of_crops, "--compare", multiclass_run.model)
    args = ("--data", sample_run.archive, *models, "--output-dir", tmp_path)
    result = run("evaluate_model.py", *args, "--resamples", 0)
    assert result.status == 0, result.err
    second = json.loads((tmp_path / "metrics.json").read_text())["comparison"]
    assert second["accuracy"] > 0.9


def test_a_second_model_must_answer_the_same_question(
    sample_run: SampleRun, multiclass_run: SampleRun, tmp_path: Path, run: Run
) -> None:
    models = ("--model", multiclass_run.model, "--compare", sample_run.judged)
    args = ("--data", multiclass_run.archive, *models, "--output-dir", tmp_path)
    error = only_error(run("evaluate_model.py", *args))
    assert str(sample_run.judged) in error and "Platelets" in error


@pytest.mark.parametrize(
    "text",
    [
        b"\x00\xff\xfe",
        b"phase,loss\nheads,much\n",
        b"phase,loss\nheads,nan\n",
        b"phase,loss\nheads,1e999\n",
        b"a,b\n1,2\n",
    ],
)
def test_a_history_that_is_none_is_refused(text: bytes, tmp_path: Path) -> None:
    path = tmp_path / "history.csv"
    path.write_bytes(text)
    with pytest.raises(UserError, match="no history"):
        read_history(path)
