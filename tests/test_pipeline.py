"""The four scripts in a row, as a user runs them: on the bundled sample, and on the real BCCD."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from conftest import EXAMPLES, SAMPLE, Outcome, SampleRun, run_script, write_png

from hematovision.archive.parts import choose_archive
from hematovision.cells.taxonomy import lineage
from hematovision.networks.card import PRETRAINED
from hematovision.networks.classifier import Classifier


def test_the_four_scripts_run_in_a_row_with_their_default_names(sample_run: SampleRun) -> None:
    """The first two ran for `sample_run`, in the same folder."""
    report = run_script("evaluate_model.py", "--resamples", 50, cwd=sample_run.folder)
    assert report.status == 0, report.err
    metrics = json.loads((sample_run.folder / "demo" / "report" / "metrics.json").read_text())
    assert metrics["accuracy"] > 0.9  # drawn cells are easy
    assert len(list((sample_run.folder / "demo" / "report").glob("*.png"))) >= 3

    cell = EXAMPLES / "red_cell.png"
    answer = run_script("predict.py", cell, "--json", cwd=sample_run.folder)
    assert answer.status == 0, answer.err
    assert json.loads(answer.out)["label"] == "RBC"
    assert not json.loads(answer.out)["uncertain"]
    # A demonstration doesn't answer for real smears: which model it took.
    assert "bundled model" in answer.err and len(answer.err.splitlines()) == 1
    for outcome in (sample_run.preprocessed, sample_run.trained, report, answer):
        assert "Traceback" not in outcome.err


def test_what_is_trained_on_drawn_cells_stays_apart_and_says_so(sample_run: SampleRun) -> None:
    assert {path.name for path in sample_run.folder.iterdir()} == {"demo"}
    card = json.loads((sample_run.model / "hematovision.json").read_text())
    assert card["demonstration"] is True
    cell = EXAMPLES / "red_cell.png"
    for args in ((cell,), ("--field", EXAMPLES / "field.jpg")):
        answer = run_script("predict.py", *args, "--model", sample_run.model)
        assert answer.status == 0
        assert "drawn cells: a demonstration" in answer.err
    assert "drawn" not in run_script("predict.py", cell, "--model", PRETRAINED).err


def test_an_archive_of_ones_own_comes_before_the_demonstration(
    sample_run: SampleRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(sample_run.folder)
    assert choose_archive(None) == Path("demo/preprocessed_data.npz")
    assert choose_archive(Path("mine.npz")) == Path("mine.npz")
    monkeypatch.chdir(tmp_path)
    assert choose_archive(None) == Path("preprocessed_data.npz")
    shutil.copytree(sample_run.folder / "demo", tmp_path / "demo")
    (tmp_path / "preprocessed_data.npz").touch()
    assert choose_archive(None) == Path("preprocessed_data.npz")


def test_evaluation_counts_what_predict_answers(sample_run: SampleRun, tmp_path: Path) -> None:
    """The confusion matrix, from predict.py's labels for the segments of the test fields."""
    with np.load(sample_run.archive, allow_pickle=False) as archive:
        y, source, box = (archive[f"{k}_test"] for k in ("y", "source", "box"))
    for i, (name, (x0, y0, x1, y1)) in enumerate(zip(source, box, strict=True)):
        field = cv2.imread(str(SAMPLE / "JPEGImages" / name))[..., ::-1]
        write_png(tmp_path / f"{i:04d}.png", field[y0:y1, x0:x1])
    answers = run_script("predict.py", tmp_path, "--json", "--model", sample_run.model)
    assert answers.status == 0, answers.err
    labels = [json.loads(line)["label"] for line in answers.out.splitlines()]
    matrix = np.zeros((2, 2), int)
    for truth, label in zip(y, labels, strict=True):
        matrix[truth, ["Other", "RBC"].index(label)] += 1

    report = tmp_path / "report"
    args = ("--data", sample_run.archive, "--model", sample_run.judged, "--output-dir", report)
    assert run_script("evaluate_model.py", *args, "--resamples", 0).status == 0
    assert json.loads((report / "metrics.json").read_text())["confusion_matrix"] == matrix.tolist()


# --- the bundled model ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def bundled() -> Path:
    if not (PRETRAINED / "hematovision.tflite").is_file():
        pytest.skip(f"there is no bundled model in {PRETRAINED}")
    return PRETRAINED


def test_the_bundled_model_is_small_and_its_card_whole(bundled: Path) -> None:
    files = {p.name for p in bundled.iterdir()}
    assert files >= {"hematovision.tflite", "hematovision.json", "backbone.weights.h5"}
    assert sum(p.stat().st_size for p in bundled.glob("*.tflite")) < 12e6
    assert sum(p.stat().st_size for p in bundled.iterdir()) < 17e6
    classifier = Classifier.load(bundled)
    assert classifier.classes == [
        "Background", "Basophil", "Blast", "Eosinophil", "Erythroblast", "Immature granulocyte",
        "Lymphocyte", "Monocyte", "Neutrophil", "Platelets", "RBC", "WBC",
    ]  # fmt: skip
    assert len(classifier.card.training_fields) > 100


def test_the_bundled_model_is_sure_of_the_examples(bundled: Path, tmp_path: Path) -> None:
    """Cells of BCCD's test fields; `make run` ends with the first of these."""
    names = ("red_cell", "white_cell", "platelet")
    paths = [EXAMPLES / f"{name}.png" for name in names]
    result = run_script("predict.py", *paths, "--json", cwd=tmp_path)
    assert result.status == 0, result.err
    assert "bundled" in result.err
    found = [json.loads(line) for line in result.out.splitlines()]
    assert [[*lineage(answer["label"])][-1] for answer in found] == ["RBC", "WBC", "Platelets"]
    assert [answer["type"] == answer["label"] for answer in found] == [False, True, False]
    for answer in found:
        kinds = [p for name, p in answer["probabilities"].items() if "WBC" in [*lineage(name)][1:]]
        assert answer["probabilities"]["WBC"] == pytest.approx(sum(kinds), abs=1e-5)
    assert not any(answer["uncertain"] for answer in found)


def drawn_nonsense(folder: Path) -> list[Path]:
    """Thirty pictures that show no blood cell: blanks, noise, text, faces, landscapes."""
    rng = np.random.default_rng(0)
    pictures = []
    for i in range(6):
        size = int(rng.integers(80, 300))
        blank = np.full((size, size, 3), rng.integers(0, 256, 3), np.uint8)
        noise = rng.integers(0, 256, (size, size, 3)).astype(np.uint8)
        text = np.full((size, size, 3), 255, np.uint8)
        for row in range(20, size, 24):
            cv2.putText(text, f"Haematology {i}{row}", (3, row), 0, 0.6, (0, 0, 0), 1, cv2.LINE_AA)
        face = np.full((size, size, 3), 255, np.uint8)
        middle, r = (size // 2, size // 2), size // 3
        cv2.circle(face, middle, r, (0, 0, 0), 3)
        for side in (-1, 1):
            cv2.circle(face, (middle[0] + side * r // 3, middle[1] - r // 4), 4, (0, 0, 0), -1)
        cv2.ellipse(face, middle, (r // 2, r // 2), 0, 20, 160, (0, 0, 0), 3)
        land = np.zeros((size, size, 3), np.uint8)
        land[: size // 2] = np.linspace((90, 140, 230), (200, 220, 250), size // 2)[:, None]
        land[size // 2 :] = np.linspace((60, 140, 50), (20, 80, 20), size - size // 2)[:, None]
        peak = np.array([[0, size // 2], [size // 3, size // 5], [2 * size // 3, size // 2]])
        cv2.fillPoly(land, [peak], (120, 110, 100))
        pictures += [blank, noise, text, face, land]
    return [write_png(folder / f"{i:02d}.png", picture) for i, picture in enumerate(pictures)]


def test_what_is_no_blood_cell_is_called_uncertain(bundled: Path, tmp_path: Path) -> None:
    paths = drawn_nonsense(tmp_path)
    result = run_script("predict.py", *paths, "--json", "--model", bundled)
    assert result.status == 0, result.err
    flags = [json.loads(line)["uncertain"] for line in result.out.splitlines()]
    assert np.mean(flags) >= 0.9, [p.name for p, f in zip(paths, flags, strict=True) if not f]


@pytest.fixture(scope="module")
def bccd_report(
    bundled: Path, bccd: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[dict, Outcome]:
    """metrics.json of the bundled model on BCCD's official test split, and how the run ended."""
    folder = tmp_path_factory.mktemp("bccd")
    size = json.loads((bundled / "hematovision.json").read_text())["image_size"]
    args = ("--task", "multiclass", "--split", "official", "--image-size", size)
    first = run_script("preprocess_data.py", "--data-dir", bccd, *args, cwd=folder)
    assert first.status == 0, first.err
    second = run_script("evaluate_model.py", "--model", bundled, "--resamples", 50, cwd=folder)
    assert second.status == 0, second.err
    return json.loads((folder / "report" / "metrics.json").read_text()), second


def test_the_bundled_model_on_bccds_test_split(bccd_report: tuple[dict, Outcome]) -> None:
    metrics, _ = bccd_report
    assert metrics["crops"] > 700
    assert metrics["accuracy"] >= 0.985
    matrix = np.array(metrics["confusion_matrix"])
    rbc = metrics["classes"].index("RBC")
    wrong = matrix[rbc].sum() + matrix[:, rbc].sum() - 2 * matrix[rbc, rbc]
    assert 1 - wrong / matrix.sum() >= 0.985
    assert metrics["uncertain_share"] <= 0.03


def test_the_bundled_model_was_not_trained_on_bccds_test_split(
    bccd_report: tuple[dict, Outcome],
) -> None:
    _, outcome = bccd_report
    assert "warning" not in outcome.err
