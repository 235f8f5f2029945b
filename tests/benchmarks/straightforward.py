"""The straightforward way of each step, for tests/benchmarks/bench.py to compare with.

    python3 tests/benchmarks/straightforward.py preprocess DATASET ARCHIVE OUTPUT
    python3 tests/benchmarks/straightforward.py decode DATASET ARCHIVE
    python3 tests/benchmarks/straightforward.py predict MODEL IMAGE
    python3 tests/benchmarks/straightforward.py evaluate ARCHIVE MODEL OUTPUT

`preprocess` cuts the very crops that ARCHIVE lists, one after the other, into float32 and saves
them with `np.savez_compressed`; `decode` stops before scaling and saving, on one core: the least
that any way has to do. `predict` and `evaluate` load the Keras model, and `evaluate` then calls the
functions of evaluate_model.py, so that only the way to the probabilities differs.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import cv2
import numpy as np


def cut_crops(dataset: Path, archive_path: Path) -> dict[str, list[np.ndarray]]:
    """The archive's crops as uint8, each field decoded once, in one thread."""
    cv2.setNumThreads(1)
    with np.load(archive_path) as archive:
        listed = {
            s: (archive[f"source_{s}"], archive[f"box_{s}"]) for s in ("train", "val", "test")
        }
        size = json.loads(str(archive["metadata"]))["image_size"]
    crops: dict[str, list[np.ndarray]] = {s: [] for s in listed}
    for split, (sources, boxes) in listed.items():
        last, field = "", np.empty(0)
        for name, (xmin, ymin, xmax, ymax) in zip(sources, boxes, strict=True):
            if name != last:
                field = cv2.cvtColor(
                    cv2.imread(str(dataset / "JPEGImages" / name)), cv2.COLOR_BGR2RGB
                )
                last = name
            crops[split].append(cv2.resize(field[ymin:ymax, xmin:xmax], (size, size)))
    return crops


def preprocess(dataset: Path, archive: Path, output: Path) -> None:
    crops = cut_crops(dataset, archive)
    arrays = {f"X_{s}": np.array(c, np.float32) / 255 for s, c in crops.items()}
    np.savez_compressed(output, **arrays)


def decode(dataset: Path, archive: Path) -> None:
    cut_crops(dataset, archive)


def predict(model: Path, image: Path) -> None:
    import keras

    classifier = keras.models.load_model(model / "hematovision.keras", compile=False)
    crop = cv2.cvtColor(cv2.imread(str(image)), cv2.COLOR_BGR2RGB)
    size = classifier.input_shape[1]
    crop = cv2.resize(crop, (size, size)).astype(np.float32)[np.newaxis] / 255
    print(classifier.predict(crop, verbose=0))


def evaluate(archive: Path, model: Path, output: Path) -> None:
    import keras

    import evaluate_model
    from hematovision.networks.classifier import Classifier
    from hematovision.pictures.images import scale_pixels

    network = keras.models.load_model(model / "hematovision.keras", compile=False)

    def predict_proba(self: Classifier, crops: np.ndarray, workers: int = 1) -> tuple:
        answers = network.predict(scale_pixels(crops), batch_size=32, verbose=0)
        return answers["probabilities"], answers["novelty"]

    Classifier.predict_proba = predict_proba
    arguments = ["--data", str(archive), "--model", str(model), "--output-dir", str(output)]
    sys.exit(evaluate_model.main(arguments))


if __name__ == "__main__":
    steps = {f.__name__: f for f in (preprocess, decode, predict, evaluate)}
    steps[sys.argv[1]](*map(Path, sys.argv[2:]))
