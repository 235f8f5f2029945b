"""Tests of predict.py: what it answers, in which form, and what it does with what is no image."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from conftest import ROOT, SAMPLE, Outcome, SampleRun, load_arrays, only_error, write_png

import predict as R
import preprocess_data as P
import train_model as T

SCRIPT = ROOT / "predict.py"
ANSWER_KEYS = {"image", "label", "probability", "rbc_probability", "probabilities", "uncertain"}
DAMAGE: dict[str, tuple[str, bytes | None]] = {
    "empty": ("empty.png", b""),
    "text": ("text.png", b"no picture, just words\n" * 20),
    "cut JPEG": ("cut.jpg", None),  # filled in from a whole one
    "cut PNG": ("cut.png", None),
}


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], sample_run: SampleRun) -> Callable[..., Outcome]:
    """Run the script in this process on the model of the sample."""

    def call(*args: object, model: Path | None = sample_run.model) -> Outcome:
        capsys.readouterr()
        given = () if model is None else ("--model", model)
        status = R.main([str(a) for a in (*args, *given)])
        return Outcome(status, *capsys.readouterr())

    return call


@pytest.fixture
def cells(tmp_path: Path) -> list[Path]:
    """Five segments of the sample as PNG, red cells and others."""
    boxes = P.read_boxes(SAMPLE / "Annotations" / "drawn_000.xml")
    field = P.read_image(SAMPLE / "JPEGImages" / "drawn_000.jpg")
    height, width = field.shape[:2]
    segments, _ = P.clip_boxes(boxes, width, height)
    folder = tmp_path / "cells"
    folder.mkdir()
    return [
        write_png(folder / f"cell{i}.png", field[s.box[1] : s.box[3], s.box[0] : s.box[2]])
        for i, s in enumerate(segments[:5])
    ]


def damaged(folder: Path, kind: str) -> Path:
    """A file that looks like an image by its name alone."""
    name, content = DAMAGE[kind]
    path = folder / name
    if content is None:
        noise = np.random.default_rng(0).integers(0, 256, (60, 60, 3)).astype(np.uint8)
        content = cv2.imencode(path.suffix, noise)[1].tobytes()
        content = content[: len(content) // 2]
    path.write_bytes(content)
    return path


def answers(result: Outcome) -> list[dict]:
    return [json.loads(line) for line in result.out.splitlines()]


# --- what it answers ------------------------------------------------------------------------------


def test_json_is_what_the_contract_says(run: Callable[..., Outcome], cells: list[Path]) -> None:
    result = run(*cells, "--json")
    assert (result.status, result.err) == (0, "")
    found = answers(result)
    assert [a["image"] for a in found] == [str(path) for path in cells]
    for answer in found:
        assert set(answer) >= ANSWER_KEYS
        assert list(answer["probabilities"]) == ["Other", "RBC"]
        assert sum(answer["probabilities"].values()) == pytest.approx(1, abs=1e-3)
        assert answer["probability"] == answer["probabilities"][answer["label"]]
        assert answer["rbc_probability"] == answer["probabilities"]["RBC"]
        assert answer["uncertain"] in (True, False)


def test_text_is_a_line_per_image_and_says_the_same(
    run: Callable[..., Outcome], cells: list[Path]
) -> None:
    text, found = run(*cells), answers(run(*cells, "--json"))
    assert (text.status, text.err) == (0, "")
    lines = text.out.splitlines()
    assert len(lines) == len(cells)
    for line, answer in zip(lines, found, strict=True):
        assert line.startswith(f"{answer['image']}: {answer['label']}")
        assert f"{answer['probability']:.3f}" in line
        assert ("uncertain" in line) == answer["uncertain"]


def test_answers_come_in_the_order_given(run: Callable[..., Outcome], cells: list[Path]) -> None:
    order = [cells[i] for i in (3, 0, 4, 0, 2, 1)] * 4  # more than the workers hold at a time
    many = answers(run(*order, "--json", "--workers", 4))
    assert [a["image"] for a in many] == [str(path) for path in order]
    alone = {str(path): answers(run(path, "--json"))[0] for path in cells}
    assert many == [alone[str(path)] for path in order]


def test_a_folder_stands_for_its_images_by_name(
    run: Callable[..., Outcome], cells: list[Path], tmp_path: Path
) -> None:
    folder = tmp_path / "mixed"
    folder.mkdir()
    for name in ("c.png", "a.PNG", "b.png"):
        shutil.copy(cells[0], folder / name)
    (folder / "notes.txt").write_text("no image")
    result = run(cells[1], folder, "--json")
    assert result.status == 0
    names = [Path(a["image"]).name for a in answers(result)]
    assert names == [cells[1].name, "a.PNG", "b.png", "c.png"]


def test_multiclass_names_the_likeliest_class(
    run: Callable[..., Outcome], cells: list[Path], multiclass_run: SampleRun
) -> None:
    result = run(*cells, "--json", model=multiclass_run.model)
    assert result.status == 0
    for answer in answers(result):
        found = answer["probabilities"]
        assert list(found) == ["Background", "Platelets", "RBC", "WBC"]
        assert answer["label"] == max(found, key=found.__getitem__)
        assert answer["rbc_probability"] == found["RBC"]


def test_the_threshold_of_the_card_decides(
    run: Callable[..., Outcome], cells: list[Path], sample_run: SampleRun, tmp_path: Path
) -> None:
    model = tmp_path / "model"
    shutil.copytree(sample_run.model, model)
    card = json.loads((model / "hematovision.json").read_text())
    for threshold, label in ((0.0, "RBC"), (1.1, "Other")):
        (model / "hematovision.json").write_text(json.dumps(card | {"threshold": threshold}))
        found = answers(run(*cells, "--json", model=model))
        assert {a["label"] for a in found} == {label}


def test_novelty_above_the_cards_marks_uncertain(
    run: Callable[..., Outcome], cells: list[Path], sample_run: SampleRun, tmp_path: Path
) -> None:
    model = tmp_path / "model"
    shutil.copytree(sample_run.model, model)
    card = json.loads((model / "hematovision.json").read_text())
    for threshold, uncertain in ((-1e9, True), (1e9, False)):
        (model / "hematovision.json").write_text(
            json.dumps(card | {"novelty_threshold": threshold})
        )
        assert [a["uncertain"] for a in answers(run(*cells, "--json", model=model))] == (
            [uncertain] * len(cells)
        )
        assert run(*cells, model=model).out.count("uncertain") == uncertain * len(cells)


def test_most_cells_of_the_sample_are_not_uncertain(sample_run: SampleRun) -> None:
    classifier = T.Classifier.load(sample_run.model)
    val = T.load_archive(sample_run.archive, ["val"]).splits["val"]
    _, novelty = classifier.predict_proba(val.X)
    assert classifier.is_uncertain(novelty).mean() <= 0.05


def test_answers_for_cut_out_segments_equal_those_for_the_archive_to_the_bit(
    run: Callable[..., Outcome], sample_run: SampleRun, tmp_path: Path
) -> None:
    """And so what evaluate_model.py scores is what a user gets."""
    arrays = load_arrays(sample_run.archive)
    test = T.load_archive(sample_run.archive, ["test"]).splits["test"]
    classifier = T.Classifier.load(sample_run.model)
    proba, novelty = classifier.predict_proba(test.X)
    predicted = classifier.predict(proba)
    folder = tmp_path / "cut"
    folder.mkdir()
    for i, (name, box) in enumerate(zip(arrays["source_test"], arrays["box_test"], strict=True)):
        field = cv2.imread(str(SAMPLE / "JPEGImages" / name), cv2.IMREAD_COLOR)
        x0, y0, x1, y1 = box
        cv2.imwrite(str(folder / f"{i:04d}.png"), field[y0:y1, x0:x1])
    result = run(folder, "--json")
    assert (result.status, result.err) == (0, "")
    found = answers(result)
    assert len(found) == len(test.y) > 100
    for i, answer in enumerate(found):
        assert list(answer["probabilities"].values()) == list(map(float, proba[i])), i
        assert answer["label"] == classifier.classes[predicted[i]]
        assert answer["uncertain"] == bool(classifier.is_uncertain(novelty[i : i + 1])[0])


def test_every_kind_of_image_is_accepted(
    run: Callable[..., Outcome], cells: list[Path], tmp_path: Path
) -> None:
    image = cv2.imread(str(cells[0]))
    grey = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
    kinds = {
        "plain.png": image,
        "rgba.png": cv2.cvtColor(image, cv2.COLOR_BGR2BGRA),
        "deep.png": image.astype(np.uint16) * 257,
        "plain.bmp": image,
        "plain.tif": image,
        "grey.png": grey,
        "grey3.png": cv2.cvtColor(grey, cv2.COLOR_GRAY2BGR),
        "plain.jpg": image,
    }
    paths = [tmp_path / name for name in kinds]
    for path, pixels in zip(paths, kinds.values(), strict=True):
        assert cv2.imwrite(str(path), pixels)
    result = run(*paths, "--json")
    assert (result.status, result.err) == (0, "")
    by_name = {Path(a["image"]).name: a["probabilities"] for a in answers(result)}
    for name in ("rgba.png", "deep.png", "plain.bmp", "plain.tif"):
        assert by_name[name] == by_name["plain.png"], name
    assert by_name["grey.png"] == by_name["grey3.png"]


@pytest.mark.parametrize("shape", [(1, 1), (1, 300), (400, 3), (900, 1200)])
def test_a_segment_of_any_shape_is_accepted(
    run: Callable[..., Outcome], tmp_path: Path, shape: tuple[int, int]
) -> None:
    path = write_png(tmp_path / "odd.png", np.full((*shape, 3), (205, 120, 125), np.uint8))
    result = run(path, "--json")
    assert (result.status, result.err) == (0, "")
    (answer,) = answers(result)
    assert np.isfinite(list(answer["probabilities"].values())).all()


# --- what is no image -----------------------------------------------------------------------------


@pytest.mark.parametrize("kind", DAMAGE)
def test_a_single_bad_image_is_an_error_line(
    run: Callable[..., Outcome], tmp_path: Path, kind: str
) -> None:
    path = damaged(tmp_path, kind)
    assert str(path) in only_error(run(path))


def test_a_missing_image_is_an_error_line(run: Callable[..., Outcome], tmp_path: Path) -> None:
    assert "nothing.png" in only_error(run(tmp_path / "nothing.png"))


@pytest.mark.parametrize("kind", [*DAMAGE, "missing"])
def test_one_bad_image_among_many_is_skipped_with_a_warning(
    run: Callable[..., Outcome], cells: list[Path], tmp_path: Path, kind: str
) -> None:
    bad = tmp_path / "nothing.png" if kind == "missing" else damaged(tmp_path, kind)
    result = run(cells[0], bad, cells[1], "--json")
    assert result.status == 1
    assert [a["image"] for a in answers(result)] == [str(cells[0]), str(cells[1])]
    lines = result.err.splitlines()
    assert all(line.startswith("warning: ") for line in lines)
    assert str(bad) in lines[0]
    assert any("1 of 3" in line for line in lines)  # counted


def test_an_empty_folder_is_an_error_line(run: Callable[..., Outcome], tmp_path: Path) -> None:
    (tmp_path / "bare").mkdir()
    assert "bare" in only_error(run(tmp_path / "bare"))


# --- which model ----------------------------------------------------------------------------------


def test_without_model_it_takes_the_trained_one_else_the_bundled_and_says_which(
    run: Callable[..., Outcome],
    cells: list[Path],
    sample_run: SampleRun,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    bundled = tmp_path / "elsewhere"
    shutil.copytree(sample_run.model, bundled)
    monkeypatch.setattr(R, "PRETRAINED", bundled)
    result = run(cells[0], "--json", model=None)
    assert result.status == 0
    assert "bundled" in result.err and str(bundled) in result.err
    assert len(answers(result)) == 1  # the notice isn't on stdout

    shutil.copytree(sample_run.model, tmp_path / "model")
    result = run(cells[0], model=None)
    assert result.status == 0
    assert "bundled" not in result.err and "model" in result.err


def test_a_missing_model_is_an_error_line(
    run: Callable[..., Outcome], cells: list[Path], tmp_path: Path
) -> None:
    assert "nowhere" in only_error(run(cells[0], model=tmp_path / "nowhere"))


@pytest.mark.parametrize("name", ["hematovision.json", "hematovision.tflite"])
@pytest.mark.parametrize("content", [b"", b"{}", b"no model at all", "half"])
def test_a_damaged_model_is_an_error_line(
    run: Callable[..., Outcome],
    cells: list[Path],
    sample_run: SampleRun,
    tmp_path: Path,
    name: str,
    content: bytes | str,
) -> None:
    model = tmp_path / "model"
    shutil.copytree(sample_run.model, model)
    whole = (model / name).read_bytes()
    (model / name).write_bytes(whole[: len(whole) // 2] if isinstance(content, str) else content)
    assert "model" in only_error(run(cells[0], model=model))


def test_model_and_card_of_different_trainings_are_refused(
    run: Callable[..., Outcome],
    cells: list[Path],
    sample_run: SampleRun,
    multiclass_run: SampleRun,
    tmp_path: Path,
) -> None:
    model = tmp_path / "model"
    shutil.copytree(sample_run.model, model)
    shutil.copy(multiclass_run.model / "hematovision.json", model)
    assert "model" in only_error(run(cells[0], model=model))


def test_a_card_of_another_image_size_is_refused(
    run: Callable[..., Outcome], cells: list[Path], sample_run: SampleRun, tmp_path: Path
) -> None:
    model = tmp_path / "model"
    shutil.copytree(sample_run.model, model)
    card = json.loads((model / "hematovision.json").read_text())
    (model / "hematovision.json").write_text(json.dumps(card | {"image_size": 96}))
    assert "model" in only_error(run(cells[0], model=model))


# --- as a command ---------------------------------------------------------------------------------


def test_it_starts_neither_tensorflow_nor_scikit_learn(
    sample_run: SampleRun, cells: list[Path]
) -> None:
    code = (
        "import sys; sys.path.insert(0, sys.argv.pop(1)); import predict; "
        "status = predict.main(sys.argv[1:]); "
        "print(*sorted({m.split('.')[0] for m in sys.modules})); "
        "sys.exit(status)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, ROOT, *cells, "--model", sample_run.model],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    loaded = set(done.stdout.splitlines()[-1].split())
    assert {"predict", "numpy", "cv2"} <= loaded
    assert not loaded & {"tensorflow", "keras", "sklearn", "matplotlib", "scipy", "h5py"}


def test_as_a_command_there_is_no_chatter(sample_run: SampleRun, cells: list[Path]) -> None:
    done = subprocess.run(
        [sys.executable, SCRIPT, *cells, "--model", sample_run.model],
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert len(done.stdout.splitlines()) == len(cells)


@pytest.mark.skipif(os.name == "nt", reason="pipes end otherwise on Windows")
def test_a_reader_that_leaves_early_is_no_error(sample_run: SampleRun, cells: list[Path]) -> None:
    many = [str(path) for path in cells] * 300  # more output than a pipe holds
    with subprocess.Popen(
        [sys.executable, SCRIPT, *many, "--json", "--model", sample_run.model],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        first = json.loads(process.stdout.readline())
        process.stdout.close()
        err = process.stderr.read()
        process.wait(120)
    assert first["image"] == str(cells[0])
    assert err == ""


@pytest.mark.skipif(os.name == "nt", reason="no SIGINT to send on Windows")
def test_ctrl_c_ends_with_130(sample_run: SampleRun, cells: list[Path]) -> None:
    many = [str(path) for path in cells] * 3000
    with subprocess.Popen(
        [sys.executable, SCRIPT, *many, "--model", sample_run.model, "--workers", "1"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A test run in the background of a shell is started with Ctrl-C switched off.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.readline()  # it is at work
        sent = time.monotonic()
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=120)
    assert process.returncode == 130
    assert err.strip().splitlines() == ["interrupted"]
    assert time.monotonic() - sent < 20


@pytest.mark.parametrize(
    "args", [(), ("a.png", "--nonsense"), ("a.png", "--workers", "0"), ("--workers", "x", "a.png")]
)
def test_bad_options_are_refused(args: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    status = R.main(args)
    only_error(Outcome(status, *capsys.readouterr()))


def test_help_lists_every_option(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        R.main(["--help"])
    assert end.value.code == 0
    text = capsys.readouterr().out
    for name in ("IMAGE", "--model", "--json"):
        assert name in text
    assert "default: model/" in text
