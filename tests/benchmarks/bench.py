"""Measure how long a user waits, each figure as a ratio against the straightforward way.

    make bench DATA=bccd
    python3 tests/benchmarks/bench.py --data-dir DATASET --only preprocess,cold

Whole processes, start included, timed in turn (A B A B ...), medians of the pairs; memory is the
process's peak. Writes bench.md, growth.md and growth.png into bench/, and ends with status 1 where
a goal is missed. On two cores `growth`, which trains on up to 16 times the dataset, takes three
quarters of an hour, and the rest fifteen minutes; `larger`, only where --only names it, hours.
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import time
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

import numpy as np

from hematovision.archive.loading import load_archive
from hematovision.datasets.opening import find_default
from hematovision.networks.card import PRETRAINED, read_card, write_card
from hematovision.networks.classifier import Classifier
from hematovision.networks.detector import NAME as FIELDS_NAME
from hematovision.networks.detector import Detector
from hematovision.pictures.images import read_image, write_image
from hematovision.program.console import UserError, command, say
from hematovision.program.figures import COLOURS, GREY, new_figure, save_figure
from hematovision.program.files import survey
from hematovision.program.options import option, parse_options

STRAIGHT = str(Path(__file__).with_name("straightforward.py"))
RECIPE = Path(__file__).with_name("recipe.py")
SECTIONS = (
    "preprocess", "cold", "warm", "runtimes", "exports", "evaluate", "threads", "fields", "looks",
    "crops", "growth",
)  # fmt: skip
HOURS = ("larger",)  # only where it is asked for
LOOKED = 12  # fields of each folder


@dataclass(frozen=True)
class Options:
    data_dir: Path | None = option(None, "Pascal VOC dataset (default: data/, else data/sample/)")
    others: tuple[Path, ...] = option((), "looks: folders of other laboratories' fields")
    only: str = option(",".join(SECTIONS), "sections to run, by comma")
    model: Path = option(Path("model"), "model to time; trained where there is none")
    output: Path = option(Path("bench"), "folder for results and scratch files")
    runs: int = option(5, "pairs of runs per comparison")
    most: int = option(16, "growth: most times the dataset that is trained on and evaluated")
    larger: int = option(64, "larger: times the dataset, against 4 times")


class Run(NamedTuple):
    seconds: float
    megabytes: float  # peak resident memory


class Goal(NamedTuple):
    """One line of the result: what was measured, and whether the goal holds."""

    what: str
    value: str
    goal: str
    holds: bool


# A child's peak memory starts at that of the process which started it: so a small one does.
MEASURE = """
import resource, subprocess, sys, time
start = time.perf_counter()
done = subprocess.run([sys.executable, *sys.argv[1:]], stdout=subprocess.DEVNULL,
                      stderr=subprocess.PIPE)
print(time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
sys.stderr.buffer.write(done.stderr[-300:])
sys.exit(done.returncode)
"""


def time_process(*arguments: str | Path) -> Run:
    """Run a Python script to its end; UserError where it fails."""
    measured = [sys.executable, "-S", "-c", MEASURE, *map(str, arguments)]
    # Scripts compiled once, as Python does it where it isn't told otherwise.
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    done = subprocess.run(
        measured, env=environment, capture_output=True, encoding="utf-8", errors="replace"
    )
    if done.returncode:
        raise UserError(f"{arguments}: ended with {done.returncode}: {done.stderr}")
    seconds, peak = map(float, done.stdout.split())
    scale = 1 if sys.platform == "darwin" else 1024  # bytes there, kilobytes elsewhere
    return Run(seconds, peak * scale / 1e6)


def compare(ways: dict[str, Sequence[str | Path]], runs: int) -> dict[str, list[Run]]:
    """Time the ways in turn, so that a slow moment of the machine meets all; one warm-up each."""
    for arguments in ways.values():
        time_process(*arguments)
    times: dict[str, list[Run]] = {name: [] for name in ways}
    for _ in range(runs):
        for name, arguments in ways.items():
            times[name].append(time_process(*arguments))
    for name, found in times.items():
        seconds = sorted(run.seconds for run in found)
        middle = statistics.median(seconds)
        say(f"  {name}: {middle:.2f} s ({seconds[0]:.2f} to {seconds[-1]:.2f})")
    return times


def ratio(times: dict[str, list[Run]], above: str, below: str) -> float:
    """Median over the pairs of how many times as long one takes as the other."""
    pairs = zip(times[above], times[below], strict=True)
    return statistics.median(a.seconds / b.seconds for a, b in pairs)


def bench_preprocess(options: Options, dataset: Path, archive: Path) -> list[Goal]:
    slow, fast = options.output / "straightforward.npz", options.output / "fast.npz"
    ours = [ROOT / "preprocess_data.py", "--data-dir", dataset, "--output", fast]
    times = compare(
        {"ours": ours, "decode and crop": [STRAIGHT, "decode", dataset, archive]}, options.runs
    )
    times_slow = compare(
        {"ours": ours, "straightforward": [STRAIGHT, "preprocess", dataset, archive, slow]},
        max(1, options.runs // 3),
    )
    faster, floor = (
        ratio(times_slow, "straightforward", "ours"),
        ratio(times, "ours", "decode and crop"),
    )
    size = fast.stat().st_size / slow.stat().st_size
    return [
        Goal("preprocess: straightforward / ours", f"{faster:.1f}", "at least 10", faster >= 10),
        Goal("preprocess: ours / decode, crop, resize", f"{floor:.2f}", "at most 4", floor <= 4),
        Goal("archive: ours / straightforward, bytes", f"{size:.3f}", "at most 1", size <= 1),
    ]


def bench_cold(options: Options, dataset: Path, archive: Path) -> list[Goal]:
    image = write_crops(archive, options.output / "one", 1)
    ways = {
        "predict.py": [ROOT / "predict.py", image / "0000.png", "--model", options.model],
        "import cv2, numpy": ["-c", "import cv2, numpy"],
    }
    times = compare(ways, 2 * options.runs)
    start = ratio(times, "predict.py", "import cv2, numpy")
    ways["Keras"] = [STRAIGHT, "predict", options.model, image / "0000.png"]
    slow = compare(ways, options.runs)
    faster = ratio(slow, "Keras", "predict.py")
    return [
        Goal("predict, cold: Keras / predict.py", f"{faster:.1f}", "at least 20", faster >= 20),
        Goal(
            "predict, cold: predict.py / import cv2, numpy",
            f"{start:.2f}",
            "at most 2.5",
            start <= 2.5,
        ),
    ]


def write_crops(archive: Path, folder: Path, count: int) -> Path:
    """`count` test crops as PNG files, repeated where there are fewer; returns the folder."""
    crops = load_archive(archive, ["test"]).splits["test"].X
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for i in range(count):
        write_image(folder / f"{i:04}.png", crops[i % len(crops)])
    return folder


def bench_warm(options: Options, dataset: Path, archive: Path) -> list[Goal]:
    memory, rate = {}, 0.0
    for count in (1000, 5000):
        folder = write_crops(archive, options.output / "many", count)
        run = time_process(ROOT / "predict.py", folder, "--model", options.model, "--json")
        memory[count], rate = run.megabytes, count / run.seconds
        say(f"  {count} crops: {run.seconds:.1f} s, peak {run.megabytes:.0f} MB")
    growth = memory[5000] / memory[1000]
    return [
        Goal(
            "predict, warm: crops a second, 5,000 files", f"{rate:.0f}", "at least 300", rate >= 300
        ),
        Goal(
            "predict, warm: memory of 5,000 / of 1,000",
            f"{growth:.2f}",
            "at most 1.1",
            growth <= 1.1,
        ),
    ]


RUNTIME = """
import sys, time
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import files
import cv2, numpy as np
kind, model, crops = sys.argv[1], sys.argv[2], np.load(sys.argv[3])
zero = time.perf_counter()
if kind == "LiteRT":
    from ai_edge_litert.interpreter import Interpreter
    def load():
        net = Interpreter(model + ".tflite", num_threads=1)
        net.allocate_tensors()
        entry, out = net.get_input_details()[0]["index"], net.get_output_details()
        out = next(o["index"] for o in out if len(o["shape"]) == 2)
        def run(x):
            net.set_tensor(entry, x); net.invoke(); return net.get_tensor(out)
        return run
elif kind == "ONNX Runtime":
    import onnxruntime
    def load():
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        net = onnxruntime.InferenceSession(model + ".onnx", options)
        entry = net.get_inputs()[0].name
        return lambda x: next(o for o in net.run(None, {entry: x}) if o.ndim == 2)
else:
    cv2.setNumThreads(1)
    def load():
        net = cv2.dnn.readNetFromONNX(model + ".onnx")
        names = net.getUnconnectedOutLayersNames()
        def run(x):
            net.setInput(x); return next(o for o in net.forward(names) if o.ndim == 2)
        return run
def answer(run, some):
    return np.concatenate([run(some[i : i + 1]) for i in range(len(some))])
run = load()
run(crops[:1])
ready = time.perf_counter()
answers = answer(run, crops)
latency = (time.perf_counter() - ready) / len(crops)
with ThreadPoolExecutor(2) as pool:
    nets = [load(), load()]
    list(pool.map(answer, nets, [crops[:1]] * 2))
    begun = time.perf_counter()
    list(pool.map(answer, nets, [crops, crops]))
    throughput = 2 * len(crops) / (time.perf_counter() - begun)
size = sum(f.locate().stat().st_size for f in files(sys.argv[5]) if f.locate().is_file())
print(ready - zero, latency, throughput, size / 1e6)
np.save(sys.argv[4], answers)
"""


def bench_runtimes(options: Options, dataset: Path, archive: Path) -> list[Goal]:
    """Start, latency, throughput and installed size of three runtimes; no goal, but a choice.

    One crop at a time: latency with one thread, throughput with two. OpenCV can't read the .tflite
    with its second output, and gets the ONNX form of it.
    """
    name = options.output / "hematovision"
    shutil.copy(options.model / "hematovision.tflite", f"{name}.tflite")
    convert = ["-m", "tf2onnx.convert", "--tflite", f"{name}.tflite", "--output", f"{name}.onnx"]
    time_process(*convert)
    crops = load_archive(archive, ["test"]).splits["test"].X[:300] / np.float32(255)
    np.save(options.output / "crops.npy", crops)
    packages = {
        "LiteRT": "ai-edge-litert",
        "ONNX Runtime": "onnxruntime",
        "OpenCV": "opencv-python-headless",
    }
    goals, reference = [], None
    for kind, package in packages.items():
        answers = options.output / "answers.npy"
        arguments = [kind, str(name), str(options.output / "crops.npy"), str(answers), package]
        command = [sys.executable, "-c", RUNTIME, *arguments]
        printed = subprocess.run(command, capture_output=True, check=True)
        start, latency, throughput, size = map(float, printed.stdout.split())
        found = np.load(answers)
        reference = found if reference is None else reference
        difference = np.abs(found - reference).max()
        value = (
            f"{1000 * start:.0f} ms to the first answer, {1000 * latency:.2f} ms a crop, "
            f"{throughput:.0f} a second in two threads, {size:.0f} MB installed"
        )
        goals.append(
            Goal(f"runtime: {kind}", value, f"differs by {difference:.0e}", difference < 1e-3)
        )
    return goals


EXPORTS = """
import sys
import numpy as np
from hematovision.training.backbone import convert
from hematovision.archive.loading import load_archive
from hematovision.training.backbone import start_tensorflow
from hematovision.pictures.images import scale_pixels
start_tensorflow(0)
import keras, tensorflow as tf
model = keras.models.load_model(sys.argv[1] + "/hematovision.keras", compile=False)
train = load_archive(sys.argv[2], ["train"]).splits["train"].X[::20][:200]
out = sys.argv[3]
open(out + "/float32.tflite", "wb").write(convert(model, half=False))
open(out + "/float16.tflite", "wb").write(convert(model))
converter = tf.lite.TFLiteConverter.from_keras_model(model)
converter.optimizations = [tf.lite.Optimize.DEFAULT]
converter.representative_dataset = lambda: (
    [scale_pixels(crop[None]).astype(np.float32)] for crop in train
)
open(out + "/int8.tflite", "wb").write(converter.convert())
"""


def bench_exports(options: Options, dataset: Path, archive: Path) -> list[Goal]:
    """Size, speed and accuracy on the test split of the model in three number formats."""
    arguments = [str(p) for p in (options.model, archive, options.output)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    subprocess.run(
        [sys.executable, "-c", EXPORTS, *arguments], env=environment, check=True,
        capture_output=True,
    )  # fmt: skip
    card, split = read_card(options.model), load_archive(archive, ["test"]).splits["test"]
    goals, whole = [], 0.0
    for name in ("float32", "float16", "int8"):
        model = (options.output / f"{name}.tflite").read_bytes()
        classifier = Classifier(model, card)
        start = time.perf_counter()
        proba, _ = classifier.predict_proba(split.X, 1)
        latency = 1000 * (time.perf_counter() - start) / len(split.y)
        accuracy = float((classifier.predict(proba) == split.y).mean())
        whole = whole or accuracy
        value = f"accuracy {accuracy:.4f}, {latency:.1f} ms a crop, {len(model) / 1e6:.1f} MB"
        used = name != "int8"  # what isn't used needn't be as good
        within = abs(accuracy - whole) <= 0.001
        goal = "within 0.001 of float32" if used else "not used"
        goals.append(Goal(f"export: {name}", value, goal, within or not used))
    return goals


def bench_fields(options: Options, dataset: Path, archive: Path) -> list[Goal]:
    """The bundled model counting whole fields: one, start included, and many in a row."""
    fields = sorted((dataset / "JPEGImages").iterdir())[:300]
    script = [ROOT / "predict.py", "--field", "--model", PRETRAINED]
    ways = {"one": fields[:1], "some": fields[:100], "many": fields}
    times = compare({name: [*script, *some] for name, some in ways.items()}, options.runs)
    one = statistics.median(run.seconds for run in times["one"])
    each = statistics.median(
        (many.seconds - first.seconds) / (len(fields) - 1)
        for first, many in zip(times["one"], times["many"], strict=True)
    )
    memory = times["many"][0].megabytes / times["some"][0].megabytes
    return [
        Goal("field: one, from the start, seconds", f"{one:.2f}", "at most 0.25", one <= 0.25),
        Goal("field: each further one, seconds", f"{each:.3f}", "at most 0.1", each <= 0.1),
        Goal("field: memory of 300 / of 100", f"{memory:.2f}", "at most 1.1", memory <= 1.1),
    ]


def bench_evaluate(options: Options, dataset: Path, archive: Path) -> list[Goal]:
    report = options.output / "report"
    ours = ["--data", archive, "--model", options.model, "--output-dir", report]
    times = compare(
        {
            "evaluate_model.py": [ROOT / "evaluate_model.py", *ours],
            "with the Keras model": [STRAIGHT, "evaluate", archive, options.model, report],
        },
        max(1, options.runs // 2),
    )
    share = ratio(times, "evaluate_model.py", "with the Keras model")
    return [
        Goal("evaluate: ours / with the Keras model", f"{share:.2f}", "at most 0.5", share <= 0.5)
    ]


def bench_threads(options: Options, dataset: Path, archive: Path) -> list[Goal]:
    """One worker against two: the same bytes, and how much faster."""
    paths = {n: options.output / f"workers{n}.npz" for n in (1, 2)}
    script = [ROOT / "preprocess_data.py", "--data-dir", dataset]
    ways = {f"{n}": [*script, "--output", path, "--workers", n] for n, path in paths.items()}
    times = compare({k: list(map(str, v)) for k, v in ways.items()}, max(1, options.runs // 2))
    same = paths[1].read_bytes() == paths[2].read_bytes()
    classifier = Classifier.load(options.model)
    crops = load_archive(archive, ["test"]).splits["test"].X
    seconds, answers = {}, {}
    for workers in (1, 2):
        start = time.perf_counter()
        answers[workers], _ = classifier.predict_proba(crops, workers)
        seconds[workers] = time.perf_counter() - start
    equal = bool((answers[1] == answers[2]).all())
    gains = ratio(times, "1", "2"), seconds[1] / seconds[2]
    return [
        Goal("preprocess: 1 worker / 2", f"{gains[0]:.2f}", "the same bytes", same),
        Goal("classify: 1 worker / 2", f"{gains[1]:.2f}", "the same bits", equal),
    ]


def bench_looks(options: Options, dataset: Path, archive: Path) -> list[Goal]:
    """Pixels that the bundled network is given for a field, against those of one look at the scale
    that it finds: of each folder the median of LOOKED fields."""
    detector = Detector.load(PRETRAINED, read_card(PRETRAINED))
    given: list[int] = []

    def count(picture: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        given.append(picture.shape[0] * picture.shape[1])
        return run(picture)

    run, goals = detector.run, []
    detector.run = count  # type: ignore[method-assign]
    for folder in (dataset, *options.others):
        paths = survey(folder / "JPEGImages" if (folder / "JPEGImages").is_dir() else folder)[0]
        ratios = []
        for path in paths[:: max(1, len(paths) // LOOKED)][:LOOKED]:
            image = read_image(path)
            given.clear()
            cell_px = detector.search(image).scale.cell_px
            searched = sum(given)
            given.clear()
            detector.search(image, cell_px=cell_px)
            ratios.append(searched / max(sum(given), 1))
        ratio = statistics.median(ratios)
        what = f"field: pixels looked at / of one look, {folder.name}"
        goals.append(Goal(what, f"{ratio:.2f}", "at most 1.3", ratio <= 1.3))
    return goals


def bench_crops(options: Options, dataset: Path, archive: Path) -> list[Goal]:
    """Training the network for crops from ImageNet's weights against the recipe that public
    projects share (recipe.py, which compares what both answer too)."""
    weights, ours = PRETRAINED / "backbone.weights.h5", options.output / "crops_model"
    train = ["--data", archive, "--weights", weights, "--field-epochs", "0", "--output-dir", ours]
    recipe = ["--data", archive, "--weights", weights, "--only-recipe", "--output", options.output]
    ways = {"ours": [ROOT / "train_model.py", *train], "recipe": [RECIPE, *recipe]}
    times = compare(ways, max(1, options.runs // 3))
    took = ratio(times, "ours", "recipe")
    return [Goal("train, crops: ours / the recipe", f"{took:.2f}", "at most 0.6", took <= 0.6)]


def multiply_dataset(dataset: Path, times: int, folder: Path) -> Path:
    """The dataset `times` over, as links under new names, its official lists included."""
    shutil.rmtree(folder, ignore_errors=True)
    lists = folder / "ImageSets" / "Main"
    lists.mkdir(parents=True)
    for kind in ("JPEGImages", "Annotations"):
        (folder / kind).mkdir()
        for path in (dataset / kind).iterdir():
            for copy in range(times):
                (folder / kind / f"c{copy}_{path.name}").symlink_to(path.resolve())
    for path in (dataset / "ImageSets" / "Main").glob("*.txt"):
        stems = path.read_text().split()
        (lists / path.name).write_text("".join(f"c{c}_{s}\n" for c in range(times) for s in stems))
    return folder


def bench_growth(options: Options, dataset: Path, archive: Path) -> list[Goal]:
    """Seconds and peak memory of each script against the number of fields, up to 16 times.

    Training is timed with one epoch of crops and one of fields: more add time in proportion, and no
    memory. What is evaluated is the model given, with the bundled one's part that finds cells in
    fields, so that its time is in the figure.
    """
    whole = add_detector(options.model, options.output / "whole_model")
    factors = (1, 2, 4, 8, 16)
    last = {"train": options.most, "evaluate": options.most}
    runs: dict[str, list[Run]] = {s: [] for s in ("preprocess", "train", "evaluate", "predict")}
    crops = []
    for factor in factors:
        many = multiply_dataset(dataset, factor, options.output / "grown")
        grown, model = options.output / "grown.npz", options.output / "grown_model"
        found = {
            "preprocess": [ROOT / "preprocess_data.py", "--data-dir", many, "--output", grown],
            "train": [ROOT / "train_model.py", "--data", grown, "--output-dir", model,
                      "--epochs", "1", "--field-epochs", "1"],
            "evaluate": [ROOT / "evaluate_model.py", "--data", grown, "--model", whole,
                         "--output-dir", options.output / "report", "--resamples", "200"],
        }  # fmt: skip
        for name, arguments in found.items():
            if factor > last.get(name, factor):
                continue
            runs[name].append(time_process(*arguments))
            say(f"  x{factor} {name}: {runs[name][-1]}")
        crops.append(measure_crops(grown))
        folder = write_crops(archive, options.output / "many", 1000 * factor)
        runs["predict"].append(time_process(ROOT / "predict.py", folder, "--model", options.model))
        say(f"  x{factor} predict, {1000 * factor} crops: {runs['predict'][-1]}")
    draw_growth(factors, runs, crops, options.output / "growth.png")
    table = format_growth(factors, runs, crops)
    (options.output / "growth.md").write_text(table + "\n")
    print(table + "\n")
    goals = []
    for name, found in runs.items():
        seconds = [r.seconds for r in found[1:]]
        exponent = np.polyfit(np.log(factors[1 : len(found)]), np.log(seconds), 1)[0]
        goals.append(
            Goal(
                f"growth: {name}, exponent of time",
                f"{exponent:.2f}",
                "at most 1.1",
                exponent <= 1.1,
            )
        )
    for name in ("preprocess", "train"):
        slope = np.polyfit(crops[: len(runs[name])], [r.megabytes for r in runs[name]], 1)[0]
        goals.append(
            Goal(
                f"growth: {name}, memory per byte of crops",
                f"{slope:.2f}",
                "at most 1.5",
                slope <= 1.5,
            )
        )
    return goals


def bench_larger(options: Options, dataset: Path, archive: Path) -> list[Goal]:
    """Seconds and peak memory of preprocessing into parts, of some 90 fields each, and of training
    on them, one epoch of crops: at 4 times the dataset and at `larger` times."""
    goals = []
    runs: dict[str, list[Run]] = {"preprocess": [], "train": []}
    for factor in (4, options.larger):
        many = multiply_dataset(dataset, factor, options.output / "grown")
        grown, model = options.output / "parts" / "grown.npz", options.output / "grown_model"
        shutil.rmtree(grown.parent, ignore_errors=True)
        found = {
            "preprocess": [ROOT / "preprocess_data.py", "--data-dir", many, "--output", grown,
                           "--shards", str(4 * factor)],
            "train": [ROOT / "train_model.py", "--data", grown, "--output-dir", model,
                      "--epochs", "1", "--field-epochs", "0"],
        }  # fmt: skip
        for name, arguments in found.items():
            runs[name].append(time_process(*arguments))
            say(f"  x{factor} {name}: {runs[name][-1]}")
        shutil.rmtree(grown.parent)
    for name, (few, many) in runs.items():
        for what, ratio, most in (
            ("memory", many.megabytes / few.megabytes, 1.3),
            ("seconds a field", many.seconds / few.seconds * 4 / options.larger, 1.1),
        ):
            goals.append(
                Goal(
                    f"larger: {name}, {what} of x{options.larger} / x4",
                    f"{ratio:.2f}",
                    f"at most {most}",
                    ratio <= most,
                )
            )
    return goals


def add_detector(model: Path, target: Path) -> Path:
    """A copy of a model with the bundled one's detector of cells in fields; returns `target`."""
    shutil.copytree(model, target, dirs_exist_ok=True)
    shutil.copy(PRETRAINED / f"{FIELDS_NAME}.tflite", target)
    write_card(target, replace(read_card(model), fields=read_card(PRETRAINED).fields))
    return target


def measure_crops(archive: Path) -> float:
    """Megabytes that the crops of an archive take in memory as it holds them, in half precision."""
    with zipfile.ZipFile(archive) as file:
        return sum(m.file_size for m in file.infolist() if m.filename.startswith("X_")) / 1e6


def format_growth(
    factors: Sequence[int], runs: dict[str, list[Run]], crops: Sequence[float]
) -> str:
    lines = [
        "| times BCCD | crops | " + " | ".join(runs) + " |",
        "|---|---|" + "---|" * len(runs),
    ]
    for i, factor in enumerate(factors):
        cells = [
            f"{found[i].seconds:.1f} s, {found[i].megabytes:.0f} MB" if i < len(found) else ""
            for found in runs.values()
        ]
        lines.append(f"| {factor} | {crops[i]:.0f} MB | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def draw_growth(
    factors: Sequence[int], runs: dict[str, list[Run]], crops: Sequence[float], path: Path
) -> None:
    figure = new_figure(11, 4.5)
    left, right = figure.subplots(1, 2)
    for colour, (name, found) in zip(COLOURS, runs.items(), strict=False):
        left.loglog(
            factors[: len(found)], [r.seconds for r in found], "o-", color=colour, label=name
        )
        right.plot(
            crops[: len(found)], [r.megabytes for r in found], "o-", color=colour, label=name
        )
    left.set(
        xlabel="dataset, times BCCD (364 fields)",
        ylabel="seconds",
        xticks=factors,
        xticklabels=factors,
    )
    right.plot(crops, 1.5 * np.array(crops), "--", color=GREY, label="1.5 x the crops")
    right.set(xlabel="crops in the archive (MB as float16)", ylabel="peak memory (MB)")
    left.legend(frameon=False)
    right.legend(frameon=False)
    save_figure(figure, path)


def format_goals(goals: Sequence[Goal]) -> str:
    lines = ["| measured | value | goal | holds |", "|---|---|---|---|"]
    lines += [
        f"| {g.what} | {g.value} | {g.goal} | {'yes' if g.holds else '**no**'} |" for g in goals
    ]
    return "\n".join(lines)


@command
def main(argv: Sequence[str] | None = None) -> int:
    options: Options = parse_options(Options, __doc__, argv)
    sections = {s: globals()[f"bench_{s}"] for s in (*SECTIONS, *HOURS)}
    unknown = set(options.only.split(",")) - sections.keys()
    if unknown:
        raise UserError(f"--only {', '.join(unknown)}: not among {', '.join(sections)}")
    options.output.mkdir(parents=True, exist_ok=True)
    dataset, archive = options.data_dir or find_default(), options.output / "archive.npz"
    time_process(ROOT / "preprocess_data.py", "--data-dir", dataset, "--output", archive)
    if not (options.model / "hematovision.keras").is_file():
        if (options.model / "hematovision.json").exists():
            raise UserError(f"--model {options.model}: holds no Keras model to compare with")
        say(f"no trained model in {options.model}: training one first")
        train = ("--data", archive, "--output-dir", options.model, "--field-epochs", "0")
        time_process(ROOT / "train_model.py", *train)
    goals = []
    for name in options.only.split(","):
        say(f"{name} ...")
        goals += sections[name](options, dataset, archive)
    text = format_goals(goals)
    (options.output / "bench.md").write_text(text + "\n")
    print(text)
    return 0 if all(goal.holds for goal in goals) else 1


if __name__ == "__main__":
    sys.exit(main())
