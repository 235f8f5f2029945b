"""Number formats of both networks beside each other: what is lost, how large, how fast.

    python3 tests/benchmarks/arithmetic.py --calibration LAB1 LAB2 --fields VOC --archive A.npz

The networks of the bundled model are built anew in Keras and exported with weights in single and
half precision, as 8-bit integers that are multiplied as such and rescaled on the way (dynamic
range), and wholly in 8-bit integers, calibrated on fields and crops. Milliseconds are medians of
rounds in which every format is asked in turn. Writes arithmetic.md into --output.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

import numpy as np
from fields import read_boxed

from hematovision.archive.loading import load_archive
from hematovision.cells.labels import is_rbc
from hematovision.evaluation.field_scores import ask_fields, measure_fields
from hematovision.networks.classifier import ask_network
from hematovision.networks.detector import Detector
from hematovision.networks.litert import Network, ThreadedNetwork
from hematovision.networks.tiles import CELL
from hematovision.pictures.images import read_image, resize, scale_pixels
from hematovision.program.console import command, say
from hematovision.program.files import survey
from hematovision.program.options import option, parse_options

FORMATS = ("float32", "float16", "dynamic int8", "int8")
WINDOW = 384, 512  # pixels of what the network for fields is calibrated and timed on
A_LAB = 6  # fields of each laboratory to calibrate on


@dataclass(frozen=True)
class Options:
    calibration: tuple[Path, ...] = option((), "folders of pictures to calibrate integers on")
    fields: tuple[Path, ...] = option((), "Pascal VOC datasets to score fields of")
    notes: Path | None = option(None, "folder of annotations of the first instead of its own")
    most: int = option(20, "fields to score of each dataset")
    archive: Path | None = option(None, "archive whose test crops are named")
    crops: int = option(600, "crops to name")
    rounds: int = option(30, "rounds of timing")
    output: Path = option(Path("bench"), "folder for the exported networks and the table")


class Halves:
    """A network for fields whose outputs are what comes before its last functions: of numbers that
    lie as far apart as probabilities and distances, 8 bits would keep the distances alone."""

    def __init__(self, model: bytes, threads: int = 1) -> None:
        self._network = Network(model, threads)

    def __call__(self, inputs: np.ndarray) -> list[np.ndarray]:
        heat, reach = sorted(self._network(inputs), key=lambda o: o.shape[-1] == 4)
        heat = 1 / (1 + np.exp(-heat))
        return [np.concatenate([heat, np.exp(np.clip(reach, -4, 6))], axis=-1)]


def export(model: Any, kind: str, samples: Callable[[], Iterator[np.ndarray]]) -> bytes:
    """A Keras model as .tflite in one of FORMATS; `samples` (1, ...) float32 to calibrate on."""
    import tensorflow as tf

    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    if kind != "float32":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if kind == "float16":
        converter.target_spec.supported_types = [tf.float16]
    if kind == "int8":
        converter.representative_dataset = lambda: ([sample] for sample in samples())
    return converter.convert()


def build_networks(options: Options) -> tuple[Any, Any, Any]:
    """Of the bundled model: what is known of it, and its networks for fields and crops in Keras."""
    from hematovision.networks.card import PRETRAINED
    from hematovision.training.backbone import start_tensorflow
    from hematovision.training.crops.known import copy_heads
    from hematovision.training.crops.network import assemble, build_crop_network, merge_leaves
    from hematovision.training.fields.known import build_known
    from hematovision.training.start import Start, load_model, start_backbone

    start_tensorflow(0)
    known = load_model(PRETRAINED)
    size = known.card.image_size
    backbone, _ = start_backbone(Start("", known, []), np.zeros((1, size, size, 3), np.uint8))
    network = build_crop_network(backbone, len(known.leaves))
    copy_heads(network, known.leaves, known)
    merge = merge_leaves(known.leaves, known.card.classes, known.card.task)
    whole = assemble(network, known.temperature, merge)
    return known, build_known(known, known.labels), whole


def list_windows(options: Options, detector: Detector) -> list[np.ndarray]:
    """Windows (1, height, width, 3) float32 of fields of several laboratories, red cells as large
    as the network sees them."""
    windows = []
    for folder in options.calibration:
        for path in survey(folder)[0][:A_LAB]:
            image = read_image(path)
            scale = CELL / detector.search(image).scale.cell_px
            height, width = (max(round(side * scale), 64) for side in image.shape[:2])
            whole = resize(image, width, height)
            whole = np.pad(whole, [(0, max(0, WINDOW[0] - height)), (0, max(0, WINDOW[1] - width)),
                                   (0, 0)], "reflect")  # fmt: skip
            windows.append(whole[np.newaxis, : WINDOW[0], : WINDOW[1]].astype(np.float32))
    return windows


def time_networks(
    networks: dict[tuple[str, int], Any], picture: np.ndarray, rounds: int
) -> dict[tuple[str, int], float]:
    """Milliseconds that each network takes for a picture (1, ...), median of rounds in turn."""
    taken: dict[tuple[str, int], list[float]] = {key: [] for key in networks}
    for _ in range(rounds + 1):
        for key, network in networks.items():
            start = time.perf_counter()
            network(picture)
            taken[key].append(1000 * (time.perf_counter() - start))
    return {key: float(np.median(of[1:])) for key, of in taken.items()}


def compare_fields(options: Options, known: Any, model: Any, detector: Detector) -> list[str]:
    import keras

    ends = [model.get_layer(name).output for name in ("heat", "reach")]
    windows = list_windows(options, detector)
    halves = keras.Model(model.input, ends)
    splits = []
    for k, root in enumerate(options.fields):
        notes = options.notes if options.notes and k == 0 else root / "Annotations"
        stems = [path.stem for path in sorted(notes.glob("*.xml"))]
        stems = stems[:: max(1, len(stems) // options.most)][: options.most]
        splits.append(read_boxed(root / "JPEGImages", notes, stems))
    lines, networks = [], {}
    for kind in FORMATS:
        say(f"fields, {kind} ...")
        data = export(halves if "int8" in kind else model, kind, lambda: iter(windows))
        (options.output / f"fields_{kind.replace(' ', '_')}.tflite").write_bytes(data)
        opened = Halves if "int8" in kind else Network
        for threads in (1, 2):
            networks[kind, threads] = opened(data, threads)
        detector._network = networks[kind, 2]
        cells = []
        for split in splits:
            found = measure_fields(ask_fields(detector, split))["labels"]
            cells += [
                f"{found[k]['ap50']:.3f} ({found[k]['counting_accuracy'] or 0:.3f})"
                for k in ("RBC", "WBC")
            ]
        lines.append([f"fields, {kind}", f"{len(data) / 1e6:.2f}", *cells])
    times = time_networks(networks, windows[0], options.rounds)
    return [[*row, *(f"{times[kind, n]:.1f}" for n in (1, 2))]
            for row, kind in zip(lines, FORMATS, strict=True)]  # fmt: skip


def compare_crops(options: Options, known: Any, model: Any) -> list[str]:
    split = load_archive(options.archive, ["train", "test"]).splits
    some = split["train"].X[:: max(1, len(split["train"].X) // 200)]
    step = max(1, len(split["test"].y) // options.crops)
    asked = split["test"].pick(np.arange(0, len(split["test"].y), step))
    truth = np.array([is_rbc(label) for label in asked.label.tolist()])
    red = np.array([is_rbc(name) for name in known.card.classes])

    def samples() -> Iterator[np.ndarray]:
        return (scale_pixels(crop)[np.newaxis].astype(np.float32) for crop in some)

    lines, networks, whole = [], {}, None
    for kind in FORMATS:
        say(f"crops, {kind} ...")
        data = export(model, kind, samples)
        (options.output / f"crops_{kind.replace(' ', '_')}.tflite").write_bytes(data)
        proba, _ = ask_network(ThreadedNetwork(data), asked.X[:])
        whole = proba if whole is None else whole
        right = (red[proba.argmax(axis=1)] == truth).mean()
        same = (proba.argmax(axis=1) == whole.argmax(axis=1)).mean()
        networks |= {(kind, threads): Network(data, threads) for threads in (1, 2)}
        lines.append([f"crops, {kind}", f"{len(data) / 1e6:.2f}", f"{right:.4f}", f"{same:.4f}"])
    times = time_networks(networks, next(samples()), 10 * options.rounds)
    return [[*row, *(f"{times[kind, n]:.2f}" for n in (1, 2))]
            for row, kind in zip(lines, FORMATS, strict=True)]  # fmt: skip


@command
def main(argv: Sequence[str] | None = None) -> int:
    options: Options = parse_options(Options, __doc__, argv)
    options.output.mkdir(parents=True, exist_ok=True)
    known, fields, crops = build_networks(options)
    rows = []
    if options.fields:
        detector = Detector(known.exported_fields, known.of_fields)
        rows += compare_fields(options, known, fields, detector)
    if options.archive:
        rows += compare_crops(options, known, crops)
    text = "\n".join("| " + " | ".join(row) + " |" for row in rows)
    (options.output / "arithmetic.md").write_text(text + "\n")
    print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
