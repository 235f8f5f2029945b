"""predict.py: what it answers, in which form, with which model, and what is no image."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from conftest import (
    DEMONSTRATION,
    ROOT,
    SAMPLE,
    Run,
    SampleRun,
    answers,
    load,
    only_error,
    write_png,
)

from hematovision.archive.loading import load_archive
from hematovision.networks.classifier import Classifier

ANSWER_KEYS = {"image", "label", "probability", "rbc_probability", "probabilities", "uncertain"}
DAMAGE: dict[str, tuple[str, bytes | None]] = {
    "empty": ("empty.png", b""),
    "text": ("text.png", b"no picture, just words\n" * 20),
    "cut JPEG": ("cut.jpg", None),  # filled in from a whole one
    "cut PNG": ("cut.png", None),
}


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


def test_json_is_what_the_contract_says(ask: Run, cells: list[Path]) -> None:
    result = ask(*cells, "--json")
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


def test_text_is_a_line_per_image_and_says_the_same(ask: Run, cells: list[Path]) -> None:
    text, found = ask(*cells), answers(ask(*cells, "--json"))
    assert (text.status, text.err) == (0, "")
    lines = text.out.splitlines()
    assert len(lines) == len(cells)
    for line, answer in zip(lines, found, strict=True):
        assert line.startswith(f"{answer['image']}: {answer['label']}")
        assert f"{answer['probability']:.3f}" in line
        assert ("uncertain" in line) == answer["uncertain"]


def test_answers_come_in_the_order_given(ask: Run, cells: list[Path]) -> None:
    order = [cells[i] for i in (3, 0, 4, 0, 2, 1)] * 4  # more than the workers hold at a time
    many = answers(ask(*order, "--json", "--workers", 4))
    assert [a["image"] for a in many] == [str(path) for path in order]
    alone = {str(path): answers(ask(path, "--json"))[0] for path in cells}
    assert many == [alone[str(path)] for path in order]


def test_a_folder_stands_for_its_images_by_name(
    ask: Run, cells: list[Path], tmp_path: Path
) -> None:
    folder = tmp_path / "mixed"
    folder.mkdir()
    for name in ("c.png", "a.PNG", "b.png"):
        shutil.copy(cells[0], folder / name)
    (folder / "notes.txt").write_text("no image")
    result = ask(cells[1], folder, "--json")
    assert result.status == 0
    names = [Path(a["image"]).name for a in answers(result)]
    assert names == [cells[1].name, "a.PNG", "b.png", "c.png"]


def test_folders_are_looked_into_to_any_depth_and_other_files_are_told(
    ask: Run, cells: list[Path], tmp_path: Path
) -> None:
    folder = tmp_path / "TEST"
    for name in ("EOSINOPHIL/a.png", "deep/er/b.png", "__MACOSX/._a.png", ".hidden/c.png"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(cells[0], folder / name)
    for name in ("phone.heic", "deep/slide.svs", "deep/more.heic"):
        (folder / name).write_bytes(b"\0\0\0\x18ftypheic" + bytes(99))
    result = ask(folder, "--json")
    assert result.status == 0
    names = [str(Path(a["image"]).relative_to(folder)) for a in answers(result)]
    assert names == [os.path.join("EOSINOPHIL", "a.png"), os.path.join("deep", "er", "b.png")]
    assert f"notice: {folder}: 3 files passed over (2 .heic, 1 .svs)" in result.err
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    (foreign / "a.heic").write_bytes(b"x")
    assert "1 .heic" in only_error(ask(foreign))


def test_a_named_pipe_is_an_error_line_alone_and_passed_over_in_a_folder(
    ask: Run, cells: list[Path], tmp_path: Path
) -> None:
    if not hasattr(os, "mkfifo"):
        pytest.skip("no named pipes here")
    os.mkfifo(tmp_path / "pipe.png")
    assert "not a regular file" in only_error(ask(tmp_path / "pipe.png"))
    result = ask(cells[0].parent)
    os.mkfifo(cells[0].parent / "pipe.png")
    with_pipe = ask(cells[0].parent)
    assert (with_pipe.status, with_pipe.out) == (0, result.out)
    assert "passed over (1 .png)" in with_pipe.err


def test_multiclass_names_the_likeliest_class(
    ask: Run, cells: list[Path], multiclass_run: SampleRun
) -> None:
    result = ask(*cells, "--json", model=multiclass_run.model)
    assert result.status == 0
    for answer in answers(result):
        found = answer["probabilities"]
        assert list(found) == ["Background", "Platelets", "RBC", "WBC"]
        assert answer["label"] == max(found, key=found.__getitem__)
        assert answer["rbc_probability"] == found["RBC"]


def test_answers_for_cut_out_segments_equal_those_for_the_archive_to_the_bit(
    ask: Run, sample_run: SampleRun, tmp_path: Path
) -> None:
    """And so what evaluate_model.py scores is what a user gets."""
    arrays = load(sample_run.archive)
    test = load_archive(sample_run.archive, ["test"]).splits["test"]
    classifier = Classifier.load(sample_run.model)
    proba, novelty = classifier.predict_proba(test.X)
    predicted = classifier.predict(proba)
    folder = tmp_path / "cut"
    folder.mkdir()
    for i, (name, box) in enumerate(zip(arrays["source_test"], arrays["box_test"], strict=True)):
        field = cv2.imread(str(SAMPLE / "JPEGImages" / name), cv2.IMREAD_COLOR)
        x0, y0, x1, y1 = box
        cv2.imwrite(str(folder / f"{i:04d}.png"), field[y0:y1, x0:x1])
    result = ask(folder, "--json")
    assert (result.status, result.err) == (0, "")
    found = answers(result)
    assert len(found) == len(test.y) > 100
    for i, answer in enumerate(found):
        assert list(answer["probabilities"].values()) == list(map(float, proba[i])), i
        assert answer["label"] == classifier.classes[predicted[i]]
        assert answer["uncertain"] == bool(classifier.is_uncertain(novelty[i : i + 1])[0])


def test_every_kind_of_image_is_accepted(ask: Run, cells: list[Path], tmp_path: Path) -> None:
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
    result = ask(*paths, "--json")
    assert (result.status, result.err) == (0, "")
    by_name = {Path(a["image"]).name: a["probabilities"] for a in answers(result)}
    for name in ("rgba.png", "deep.png", "plain.bmp", "plain.tif"):
        assert by_name[name] == by_name["plain.png"], name
    assert by_name["grey.png"] == by_name["grey3.png"]


@pytest.mark.parametrize("shape", [(1, 1), (1, 300), (400, 3), (900, 1200)])
def test_a_segment_of_any_shape_is_accepted(
    ask: Run, tmp_path: Path, shape: tuple[int, int]
) -> None:
    path = write_png(tmp_path / "odd.png", np.full((*shape, 3), (205, 120, 125), np.uint8))
    result = ask(path, "--json")
    assert (result.status, result.err) == (0, "")
    (answer,) = answers(result)
    assert np.isfinite(list(answer["probabilities"].values())).all()


# --- what is no image -----------------------------------------------------------------------------


@pytest.mark.parametrize("kind", DAMAGE)
def test_a_single_bad_image_is_an_error_line(ask: Run, tmp_path: Path, kind: str) -> None:
    path = damaged(tmp_path, kind)
    assert str(path) in only_error(ask(path))


@pytest.mark.parametrize("kind", [*DAMAGE, "missing"])
def test_one_bad_image_among_many_is_skipped_with_a_warning(
    ask: Run, cells: list[Path], tmp_path: Path, kind: str
) -> None:
    bad = tmp_path / "nothing.png" if kind == "missing" else damaged(tmp_path, kind)
    result = ask(cells[0], bad, cells[1], "--json")
    assert result.status == 1
    assert [a["image"] for a in answers(result)] == [str(cells[0]), str(cells[1])]
    lines = result.err.splitlines()
    assert all(line.startswith("warning: ") for line in lines)
    assert str(bad) in lines[0]
    assert any("1 of 3" in line for line in lines)  # counted


def test_an_empty_folder_is_an_error_line(ask: Run, tmp_path: Path) -> None:
    (tmp_path / "bare").mkdir()
    assert "bare" in only_error(ask(tmp_path / "bare"))


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
        [sys.executable, ROOT / "predict.py", *cells, "--model", sample_run.model],
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, DEMONSTRATION)
    assert len(done.stdout.splitlines()) == len(cells)


@pytest.mark.skipif(os.name == "nt", reason="pipes end otherwise on Windows")
def test_a_reader_that_leaves_early_is_no_error(sample_run: SampleRun, cells: list[Path]) -> None:
    many = [str(path) for path in cells] * 300  # more output than a pipe holds
    with subprocess.Popen(
        [sys.executable, ROOT / "predict.py", *many, "--json", "--model", sample_run.model],
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
    assert err == DEMONSTRATION


@pytest.mark.skipif(os.name == "nt", reason="no SIGINT to send on Windows")
def test_ctrl_c_ends_with_130(sample_run: SampleRun, cells: list[Path]) -> None:
    many = [str(path) for path in cells] * 3000
    with subprocess.Popen(
        [sys.executable, ROOT / "predict.py", *many, "--model", sample_run.model, "--workers", "1"],
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
    assert err == f"{DEMONSTRATION}interrupted\n"
    assert time.monotonic() - sent < 20
