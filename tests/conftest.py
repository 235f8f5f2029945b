"""What the tests share: a tiny drawn dataset in VOC form, the real BCCD, models of the sample."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[1]
SAMPLE = ROOT / "data" / "sample"
BCCD = ROOT.parent / "shared" / "bccd"
Box = tuple[str, int, int, int, int]
# What is drawn for a label, in RGB: a smear's colours, roughly.
COLOURS = {"RBC": (205, 120, 125), "WBC": (95, 60, 150), "Platelets": (150, 90, 170)}
GROUND = (228, 214, 222)
BOXES: list[Box] = [
    ("RBC", 10, 10, 50, 48),
    ("RBC", 60, 14, 98, 54),
    ("WBC", 20, 100, 74, 160),
    ("Platelets", 120, 20, 136, 38),
]


def voc_xml(boxes: Sequence[Box], size: tuple[int, int] = (240, 180)) -> str:
    """A Pascal VOC annotation of boxes (label, xmin, ymin, xmax, ymax), without a namespace."""
    objects = "".join(
        f"<object><name>{label}</name><bndbox><xmin>{x0}</xmin><ymin>{y0}</ymin>"
        f"<xmax>{x1}</xmax><ymax>{y1}</ymax></bndbox></object>"
        for label, x0, y0, x1, y1 in boxes
    )
    width, height = size
    return (
        f"<annotation><size><width>{width}</width><height>{height}</height><depth>3</depth></size>"
        f"{objects}</annotation>"
    )


def draw_field(boxes: Sequence[Box], size: tuple[int, int] = (240, 180), seed: int = 0):
    """A field (height, width, 3) uint8 RGB: a noisy pale ground with an ellipse in each box."""
    width, height = size
    image = np.full((height, width, 3), GROUND, np.uint8)
    for label, x0, y0, x1, y1 in boxes:
        centre, axes = ((x0 + x1) // 2, (y0 + y1) // 2), ((x1 - x0) // 2, (y1 - y0) // 2)
        cv2.ellipse(image, centre, axes, 0, 0, 360, COLOURS.get(label, (120, 100, 90)), -1)
    noise = np.random.default_rng(seed).integers(-4, 5, image.shape)
    return np.clip(image + noise, 0, 255).astype(np.uint8)


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
            image = cv2.cvtColor(draw_field(boxes, seed=seed), cv2.COLOR_RGB2BGR)
            data = cv2.imencode(suffix, image)[1].tobytes()
            (root / "JPEGImages" / f"{stem}{suffix}").write_bytes(data)
            (root / "Annotations" / f"{stem}.xml").write_text(voc_xml(boxes))
        return root

    return make


@pytest.fixture(scope="session")
def bccd() -> Path:
    """The real BCCD dataset beside the repository; a test that wants it is skipped elsewhere."""
    if not (BCCD / "JPEGImages").is_dir():
        pytest.skip(f"the BCCD dataset isn't at {BCCD}")
    return BCCD


# --- the scripts, run and trained once for all tests ----------------------------------------------


class Outcome(NamedTuple):
    """How a run of a script ended: exit status, stdout, stderr."""

    status: int
    out: str
    err: str


def run_script(name: str, *args: object, cwd: Path | None = None) -> Outcome:
    """Run a script as a user would, in a process of its own."""
    done = subprocess.run(
        [sys.executable, str(ROOT / name), *map(str, args)],
        cwd=cwd,
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


def load_arrays(path: Path) -> dict[str, np.ndarray]:
    with np.load(path, allow_pickle=False) as file:
        return {key: file[key] for key in file.files}


def write_png(path: Path, rgb: np.ndarray) -> Path:
    path.write_bytes(cv2.imencode(".png", rgb[..., ::-1])[1].tobytes())
    return path


def start_weights() -> str:
    """The best start for a training that isn't fetched from anywhere."""
    if (ROOT / "data" / "pretrained" / "backbone.weights.h5").is_file():
        return "bundled"
    file = BCCD.parent / "weights" / "mobilenet_v2_1.0_no_top.weights.h5"
    return str(file) if file.is_file() else "none"


class SampleRun(NamedTuple):
    """A folder in which preprocess_data.py and train_model.py ran on the bundled sample."""

    folder: Path  # holds preprocessed_data.npz and model/
    preprocessed: Outcome
    trained: Outcome

    @property
    def archive(self) -> Path:
        return self.folder / "preprocessed_data.npz"

    @property
    def model(self) -> Path:
        return self.folder / "model"


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
def sample_run(tmp_path_factory: pytest.TempPathFactory) -> SampleRun:
    """Archive and model of the sample, binary: 64 pixels, one epoch of crops, two of fields."""
    return run_sample(tmp_path_factory.mktemp("binary"), "binary", 2)


@pytest.fixture(scope="session")
def multiclass_run(tmp_path_factory: pytest.TempPathFactory) -> SampleRun:
    """The same with four classes, and without whole fields."""
    return run_sample(tmp_path_factory.mktemp("multiclass"), "multiclass", 0)
