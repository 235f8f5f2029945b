"""What the tests share: a tiny drawn dataset in VOC form, the real BCCD, models of the sample."""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import hypothesis
import numpy as np
import pytest
from drawing import BOXES, Box, draw_field, voc_xml
from driver import CHROMIUM, FLAGS, WIDTHS, Page
from filelock import FileLock

from hematovision.annotations.reading import read_annotations
from hematovision.archive.contents import Split
from hematovision.archive.loading import load_archive
from hematovision.datasets.field import Field
from hematovision.datasets.opening import open_datasets, unify
from hematovision.datasets.reading import read_fields
from hematovision.networks.card import PRETRAINED, read_card, warn_of_demonstration
from hematovision.networks.detector import NAME as FIELDS_NAME
from hematovision.pictures.images import read_image
from hematovision.training.backbone import start_tensorflow

# Few and the same in `make test`; many, and others each time, in `make fuzz`.
hypothesis.settings.register_profile("few", max_examples=60, derandomize=True, database=None)
hypothesis.settings.register_profile("many", max_examples=3000)
hypothesis.settings.load_profile("few")

ROOT = Path(__file__).resolve().parents[1]
# The files of tests that take longest, those first that train what others ask: begun last, one of
# them would be waited for by a process that has nothing left to do.
LONGEST = (
    "test_train_model.py", "page/test_page_use.py", "page/test_page_answers.py",
    "program/test_signals.py", "test_evaluate_model.py", "test_pipeline.py",
    "page/test_page_safety.py", "page/test_page_camera.py", "training/test_workers.py",
    "test_predict_field.py", "test_predict.py", "test_preprocess_data.py",
    "training/test_start.py", "networks/test_classifier.py", "test_fuzz.py",
)  # fmt: skip
SAMPLE = ROOT / "data" / "sample"
EXAMPLES = ROOT / "data" / "examples"
BCCD = ROOT.parent / "shared" / "bccd"
# What metrics.json holds at least, by the contract, and which of it are the headline figures.
CONTRACT_KEYS = {
    "accuracy", "balanced_accuracy", "precision", "recall", "f1", "roc_auc", "average_precision",
    "mcc", "brier", "ece", "threshold", "confusion_matrix", "classes", "support", "ci95",
}  # fmt: skip
HEADLINE = CONTRACT_KEYS - {"threshold", "confusion_matrix", "classes", "support", "ci95"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    place = {ROOT / "tests" / name: i for i, name in enumerate(LONGEST)}
    items.sort(key=lambda item: place.get(item.path, len(place)))


def write_png(path: Path, picture: np.ndarray) -> Path:
    """Write grey (h, w), RGB or RGBA (h, w, 3 or 4) of 8 or 16 bit; or as another suffix says."""
    if picture.ndim == 3:
        picture = picture[..., [2, 1, 0, 3][: picture.shape[2]]]
    path.write_bytes(cv2.imencode(path.suffix, picture)[1].tobytes())
    return path


def decode_rgb(path: Path) -> np.ndarray:
    """An image in RGB, read by another way than the scripts'."""
    return cv2.imread(str(path), cv2.IMREAD_COLOR)[..., ::-1]


def write_lists(root: Path, **stems: str) -> None:
    """Official lists: ``write_lists(root, train="a b", val="c", test="d")``."""
    folder = root / "ImageSets" / "Main"
    folder.mkdir(parents=True, exist_ok=True)
    for split, names in stems.items():
        (folder / f"{split}.txt").write_text("".join(f"{name}\n" for name in names.split()))


def files_below(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.fixture
def voc_dataset(tmp_path: Path) -> Callable[..., Path]:
    """Draw a dataset: ``voc_dataset(n)``, or ``voc_dataset({"name": boxes, ...})``, as PNG."""

    def make(
        fields: int | dict[str, list[Box]] = 8, name: str = "voc", suffix: str = ".png"
    ) -> Path:
        if isinstance(fields, int):
            fields = {f"field{i}": BOXES for i in range(fields)}
        root = tmp_path / name
        for folder in ("JPEGImages", "Annotations"):
            (root / folder).mkdir(parents=True, exist_ok=True)
        for seed, (stem, boxes) in enumerate(fields.items()):
            write_png(root / "JPEGImages" / f"{stem}{suffix}", draw_field(boxes, seed=seed))
            (root / "Annotations" / f"{stem}.xml").write_text(voc_xml(boxes))
        return root

    return make


@pytest.fixture(scope="session")
def bccd() -> Path:
    """The real BCCD dataset beside the repository; a test that wants it is skipped elsewhere."""
    if not (BCCD / "JPEGImages").is_dir():
        pytest.skip(f"the BCCD dataset isn't at {BCCD}")
    return BCCD


def read_dataset(root: Path, workers: int = 2) -> tuple[list[Field], dict[str, int]]:
    """The fields of one dataset, and what was left out of it by reason."""
    (dataset,) = open_datasets([root])
    (dataset,) = unify([dataset], {})
    return read_fields(dataset, workers), dataset.findings.of("left out")


@pytest.fixture(scope="session")
def bccd_fields(bccd: Path) -> tuple[list[Field], dict[str, int]]:
    return read_dataset(bccd, workers=2)


@pytest.fixture(scope="session")
def bccd_archive(bccd: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, np.ndarray]:
    path = tmp_path_factory.mktemp("bccd") / "a.npz"
    args = ("--data-dir", bccd, "--output", path, "--image-size", 32, "--task", "multiclass")
    assert run_once("preprocess_data.py", *args).status == 0
    return load(path)


# --- the scripts, run and trained once for all tests ----------------------------------------------


class Outcome(NamedTuple):
    """How a run of a script ended: exit status, stdout, stderr."""

    status: int
    out: str
    err: str


Run = Callable[..., Outcome]


def main_of(script: str) -> Callable[..., int]:
    return importlib.import_module(script.removesuffix(".py")).main


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str]) -> Run:
    """Run a script in this process: ``run("predict.py", path, "--json")``."""

    def call(script: str, *args: object) -> Outcome:
        capfd.readouterr()
        try:
            status = main_of(script)([str(a) for a in args])
        except SystemExit as left:  # --help
            status = int(left.code or 0)
        return Outcome(status, *capfd.readouterr())

    return call


def run_once(script: str, *args: object) -> Outcome:
    """The same for a fixture that serves many tests, where pytest lets nothing be captured."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        status = main_of(script)([str(a) for a in args])
    return Outcome(status, out.getvalue(), err.getvalue())


def run_script(name: str, *args: object, cwd: Path | None = None) -> Outcome:
    """Run a script as a user would, in a process of its own; "a.b" is a module of the package."""
    named = [str(ROOT / name)] if name.endswith(".py") else ["-m", name]
    done = subprocess.run(
        [sys.executable, *named, *map(str, args)],
        cwd=cwd or (None if name.endswith(".py") else ROOT),
        capture_output=True,
        text=True,
        timeout=570,
    )
    return Outcome(done.returncode, done.stdout, done.stderr)


def only_error(result: Outcome) -> str:
    """The one line of a refused run, checked for the form that every script promises."""
    assert result.status == 2, result
    assert result.out == ""
    assert re.fullmatch(r"error: \S.*\n", result.err), result.err
    return result.err


def load(path: Path) -> dict[str, np.ndarray]:
    """The arrays of an archive."""
    with np.load(path, allow_pickle=False) as file:
        return {key: file[key] for key in file.files}


def metadata(arrays: dict[str, np.ndarray]) -> dict[str, Any]:
    """What an archive says of itself."""
    return json.loads(str(arrays["metadata"]))


def read_model_card(model: Path) -> dict[str, Any]:
    return json.loads((model / "hematovision.json").read_text())


def start_weights() -> str:
    """ImageNet's weights that lie in the box: the classical start, fetched from nowhere."""
    return str(ROOT / "data" / "pretrained" / "backbone.weights.h5")


class SampleRun(NamedTuple):
    """A folder in which preprocess_data.py and train_model.py ran on the bundled sample."""

    folder: Path  # holds demo/preprocessed_data.npz and demo/model/
    preprocessed: Outcome
    trained: Outcome

    @property
    def archive(self) -> Path:
        return self.folder / "demo" / "preprocessed_data.npz"

    @property
    def model(self) -> Path:
        return self.folder / "demo" / "model"

    @property
    def judged(self) -> Path:
        """The model with the bundled network for fields in place of its own, which has seen the
        sample once and takes seconds to find out that it can't tell how large cells are."""
        folder = self.folder.with_name(f"{self.folder.name}_judged")
        with FileLock(folder.with_suffix(".lock")):
            if not folder.exists():
                shutil.copytree(self.model, folder)
                shutil.copy(PRETRAINED / f"{FIELDS_NAME}.tflite", folder)
                card = read_model_card(folder) | {"fields": read_model_card(PRETRAINED)["fields"]}
                (folder / "hematovision.json").write_text(json.dumps(card))
        return folder

    @property
    def of_crops(self) -> Path:
        """The model without its network for fields: what is asked of crops alone is soon told."""
        folder = self.folder.with_name(f"{self.folder.name}_of_crops")
        with FileLock(folder.with_suffix(".lock")):
            if not folder.exists():
                no_fields = shutil.ignore_patterns(f"{FIELDS_NAME}.*")
                shutil.copytree(self.model, folder, ignore=no_fields)
                card = {k: v for k, v in read_model_card(folder).items() if k != "fields"}
                (folder / "hematovision.json").write_text(json.dumps(card))
        return folder


def run_sample(folder: Path, task: str, field_epochs: int) -> SampleRun:
    first = run_script(
        "preprocess_data.py", "--data-dir", SAMPLE, "--image-size", 64, "--task", task, cwd=folder
    )
    assert first.status == 0, first.err
    epochs = ("--epochs", 1, "--field-epochs", field_epochs)
    second = run_script("train_model.py", "--weights", start_weights(), *epochs, cwd=folder)
    assert second.status == 0, second.err
    return SampleRun(folder, first, second)


@pytest.fixture(scope="session")
def shared_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that all processes of this run of pytest have in common."""
    base = tmp_path_factory.getbasetemp()
    return base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base


def run_sample_once(folder: Path, task: str, field_epochs: int) -> SampleRun:
    """`run_sample` by the process that comes first; the others wait for it."""
    with FileLock(folder.with_suffix(".lock")):
        if not folder.exists():
            folder.mkdir()
            outcomes = run_sample(folder, task, field_epochs)[1:]
            folder.with_suffix(".json").write_text(json.dumps(outcomes))
        outcomes = json.loads(folder.with_suffix(".json").read_text())
    return SampleRun(folder, *(Outcome(*outcome) for outcome in outcomes))


@pytest.fixture(scope="session")
def sample_run(shared_folder: Path) -> SampleRun:
    """Archive and model of the sample, binary: 64 pixels, one epoch of crops, one of fields."""
    return run_sample_once(shared_folder / "binary", "binary", 1)


@pytest.fixture(scope="session")
def multiclass_run(shared_folder: Path) -> SampleRun:
    """The same with four classes, and without whole fields."""
    return run_sample_once(shared_folder / "multiclass", "multiclass", 0)


@pytest.fixture
def archive(run: Run, tmp_path: Path) -> Callable[..., dict[str, np.ndarray]]:
    """Run preprocess_data.py on a dataset; give the archive it wrote."""

    def make(data: Path, *args: object) -> dict[str, np.ndarray]:
        path = tmp_path / "out" / "archive.npz"
        given = ("--data-dir", data, "--output", path, "--image-size", 32)
        result = run("preprocess_data.py", *given, *args)
        assert result.status == 0, result.err
        return load(path)

    return make


@pytest.fixture
def cells(tmp_path: Path) -> list[Path]:
    """Five segments of the sample as PNG, red cells and others."""
    (annotation,) = read_annotations(SAMPLE / "Annotations" / "drawn_000.xml")
    field = read_image(SAMPLE / "JPEGImages" / "drawn_000.jpg")
    boxes = [[round(v) for v in box.corners] for box in annotation.boxes[:5]]
    folder = tmp_path / "cells"
    folder.mkdir()
    return [
        write_png(folder / f"cell{i}.png", field[ymin:ymax, xmin:xmax])
        for i, (xmin, ymin, xmax, ymax) in enumerate(boxes)
    ]


DEMONSTRATION = warn_of_demonstration(replace(read_card(PRETRAINED), demonstration=True)) + "\n"


@pytest.fixture
def ask(run: Run, sample_run: SampleRun) -> Run:
    """Run predict.py on the model of the sample, or another (None: that which it chooses); that
    the former is a demonstration has to be said, and is left out of what is returned."""

    def call(*args: object, model: Path | None = sample_run.model) -> Outcome:
        result = run("predict.py", *args, *(() if model is None else ("--model", model)))
        if model != sample_run.model or result.status == 2:
            return result
        assert DEMONSTRATION in result.err
        return result._replace(err=result.err.replace(DEMONSTRATION, "", 1))

    return call


@pytest.fixture
def count(run: Run) -> Run:
    """Run predict.py --field with the bundled model, or another."""

    def call(*args: object, model: Path = PRETRAINED) -> Outcome:
        return run("predict.py", "--field", *args, "--model", model)

    return call


def answers(result: Outcome) -> list[dict[str, Any]]:
    """What predict.py printed with --json."""
    return [json.loads(line) for line in result.out.splitlines()]


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A quarter of the sample's crops at 32 pixels: enough to run through, not to learn much."""
    folder = tmp_path_factory.mktemp("tiny")
    args = ("--output", folder / "all.npz", "--image-size", 32)
    assert run_once("preprocess_data.py", "--data-dir", SAMPLE, *args).status == 0
    arrays = load(folder / "all.npz")
    for key in arrays:
        if key not in ("classes", "metadata") and not key.startswith("field"):
            arrays[key] = arrays[key][::4]
    np.savez(folder / "tiny.npz", **arrays)
    return folder / "tiny.npz"


@pytest.fixture(scope="session")
def card(sample_run: SampleRun) -> dict[str, Any]:
    return read_model_card(sample_run.model)


@pytest.fixture(scope="session")
def val(sample_run: SampleRun) -> Split:
    return load_archive(sample_run.archive, ["val"]).splits["val"]


@pytest.fixture(scope="session")
def report(sample_run: SampleRun, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report on the sample, with the model compared with itself."""
    folder = tmp_path_factory.mktemp("report")
    args = ("--data", sample_run.archive, "--model", sample_run.judged, "--output-dir", folder)
    both = ("--compare", sample_run.judged, "--resamples", 200)
    assert run_once("evaluate_model.py", *args, *both).status == 0
    return folder


@pytest.fixture(scope="session")
def metrics(report: Path) -> dict[str, Any]:
    return json.loads((report / "metrics.json").read_text())


# --- networks to start from -----------------------------------------------------------------------


@pytest.fixture(scope="session")
def mobilenet() -> Any:
    """MobileNetV2 at 64 pixels whose normalizations all do something, as trained ones do."""
    start_tensorflow(0)
    import keras

    model = keras.applications.MobileNetV2((64, 64, 3), include_top=False, weights=None)
    rng = np.random.default_rng(0)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            n = len(layer.get_weights()[0])
            gamma, variance = rng.uniform(0.6, 1.4, n), rng.uniform(0.01, 0.2, n)
            layer.set_weights([gamma, rng.normal(0, 0.3, n), rng.normal(0, 0.1, n), variance])
    return model


@pytest.fixture(scope="session")
def weights_file(mobilenet: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "backbone.weights.h5"
    mobilenet.save_weights(path)
    return path


@pytest.fixture(scope="session")
def noise() -> np.ndarray:
    return np.random.default_rng(1).random((4, 64, 64, 3), np.float32)


def apart(found: np.ndarray, expected: np.ndarray) -> float:
    """Largest difference, as a share of how much the expected values vary."""
    assert found.shape == expected.shape
    assert expected.std() > 1e-3  # or there would be nothing to tell apart
    return float(np.abs(found - expected).max() / expected.std())


# --- in a browser ---------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def launch() -> Iterator[Callable[..., Any]]:
    """Start a browser, with flags beside the usual ones; a process can hold one Playwright only."""
    if CHROMIUM is None:
        pytest.skip("no Chromium here: `apt-get install chromium` to test the pages in a browser")
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright isn't installed")
    with sync_api.sync_playwright() as playwright:

        def launch_(*flags: str) -> Any:
            return playwright.chromium.launch(executable_path=CHROMIUM, args=[*FLAGS, *flags])

        yield launch_


@pytest.fixture(scope="session")
def browser(launch: Callable[..., Any]) -> Iterator:
    chromium = launch()
    yield chromium
    chromium.close()


@pytest.fixture(scope="session")
def page_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page that counts, of the bundled model, built as a user would, where it is awkward."""
    path = tmp_path_factory.mktemp("page") / "a page's #1 folder" / "hematovision.html"
    done = run_script("hematovision.page.build", "--model", PRETRAINED, "--output", path)
    assert done.status == 0, done.err
    return path


def open_apps(browser, file: Path) -> Iterator[Callable[..., Page]]:
    """Open the page that counts at a width, offline; nothing is fetched, and nothing complains."""
    opened = []

    def open_(width: str = "desk", **options: Any) -> Page:
        viewport = {"width": WIDTHS[width], "height": 800}
        context = browser.new_context(viewport=viewport, offline=True, **options)
        page = Page(context.new_page())
        opened.append((context, page))
        return page.start(file)

    yield open_
    for context, page in opened:
        context.close()
        assert page.problems == []
        assert page.fetched() == []


@pytest.fixture
def app(browser, page_file: Path) -> Iterator[Callable[..., Page]]:
    yield from open_apps(browser, page_file)


@pytest.fixture(scope="module")
def app_of_module(browser, page_file: Path) -> Iterator[Callable[..., Page]]:
    yield from open_apps(browser, page_file)


@pytest.fixture
def listener() -> Iterator[tuple[int, list[bytes]]]:
    """A port of the loopback, and what is said there."""
    server = socket.create_server(("127.0.0.1", 0))
    heard: list[bytes] = []

    def listen() -> None:
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            # Ahead of an iframe or a form Chromium opens a socket, before it asks the policy;
            # nothing goes over it.
            connection.settimeout(0.2)
            with contextlib.suppress(OSError):
                if data := connection.recv(200):
                    heard.append(data)
                    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
            connection.close()

    threading.Thread(target=listen, daemon=True).start()
    yield server.getsockname()[1], heard
    server.close()
