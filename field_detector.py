"""Find, classify and count every cell of a whole field: the network, its training, its use.

No script of its own: train_model.py fits it, evaluate_model.py and predict.py --field use it.

    Detector.load(folder, card).find(image)     # field -> boxes, labels, probabilities
    fit_detector(backbone, train, val, ...)     # fields of an archive -> network and its card

A field is brought to the scale at which its red cells are CELL pixels across, which the network
itself finds out in a first look; so neither a field's size nor its magnification matters. Then
MobileNetV2 with a feature pyramid (Lin et al., 2017) says, for every fourth pixel, how likely it is
the centre of a cell of each label, and how far away the sides of its box are (CenterNet, Zhou et
al., 2019; targets after TTFNet, Liu et al., 2020).

Many datasets leave cells without a box (BCCD over half of its red ones), so "no box" is not taken
for "no cell": ground that may show an unboxed red cell doesn't enter the loss, what the network
itself comes to find there is added to its labels, and cells cut out of other fields are laid over
each field, so that it also sees crowds in which every cell is known.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import cv2
import numpy as np

from preprocess_data import (
    Segment,
    UserError,
    find_free_area,
    is_rbc,
    progress,
    quiet_stderr,
    read_image,
    run_ahead,
    say,
)

if TYPE_CHECKING:
    import keras

NAME = "hematovision_fields"
CELL = 80  # pixels across a red cell, as the network sees it
STRIDE = 4  # pixels of the network's input for each place of its answer
GROUND = 215  # brightness that empty ground is brought to
FIRST_LOOK = 352  # longer side in pixels at which a field of unknown scale is first looked at
MOST_LOOKS = 6
EVEN = 1.5  # grey levels of spread up to which a picture is blank, whatever a network sees in it
LEAST_CELL = 10  # pixels of a field across which a red cell can't be told from noise
LEAST_SHOWN = 0.25  # of a cell cut by the border; less isn't annotated, and not counted
TILE, OVERLAP = 768, 288  # pixels of the network's input: larger fields are looked at in tiles
OVERLAPPING = 0.6  # intersection over union from which two boxes of a label are one cell
MOST_PIXELS = 100_000_000
MOST_SIZES = 4  # of pictures, for which an interpreter is kept
FIRST_BLOCK = 4  # blocks of MobileNetV2 below this one keep their weights
CHANNELS, BATCH, RATE = 64, 8, 1e-3
# Height and width of training windows, the scales they are drawn at, and how often.
WINDOWS = (
    ((192, 256), (0.5, 0.8), 0.15),
    ((288, 352), (0.75, 1.3), 0.5),
    ((352, 480), (1.0, 1.4), 0.35),
)


class Cells(NamedTuple):
    """What was found in a field, or annotated there."""

    box: np.ndarray  # (n, 4) xmin, ymin, xmax, ymax in pixels of the field
    label: np.ndarray  # (n,) index into the labels
    probability: np.ndarray  # (n,)

    def pick(self, chosen: np.ndarray) -> Cells:
        return Cells(*(column[chosen] for column in self))


# --- geometry and light ---------------------------------------------------------------------------


def sides(box: np.ndarray) -> np.ndarray:
    """Geometric mean of width and height (n,) of boxes (n, 4)."""
    return np.sqrt(np.prod(np.maximum(box[:, 2:] - box[:, :2], 0), axis=1, dtype=float))


def overlap(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Intersection over union (n, m) of boxes (n, 4) and (m, 4)."""
    low = np.maximum(first[:, None, :2], second[None, :, :2])
    high = np.minimum(first[:, None, 2:], second[None, :, 2:])
    shared = np.prod(np.maximum(high - low, 0), axis=2)
    return shared / (sides(first)[:, None] ** 2 + sides(second)[None] ** 2 - shared + 1e-9)


def touches(box: np.ndarray, width: float, height: float, margin: float = 2) -> np.ndarray:
    """Whether boxes (n, 4) reach the left or right, and the top or bottom border: (n, 2) bool."""
    return (box[:, :2] <= margin) | (box[:, 2:] >= np.array([width, height]) - margin)


def is_sliver(box: np.ndarray, width: float, height: float, least: float) -> np.ndarray:
    """Whether boxes (n, 4) are cut by the border to less than `least` pixels across: (n,) bool."""
    thin = box[:, 2:] - box[:, :2] < least
    return (touches(box, width, height) & thin).any(axis=1)


def level_light(image: np.ndarray) -> np.ndarray:
    """Bring the empty ground of a field, its brightest twentieth, to one colour (Land, 1977)."""
    size = max(1, image.shape[1] // 8), max(1, image.shape[0] // 8)
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA).reshape(-1, 3)
    white = np.maximum(np.percentile(small, 95, axis=0), 48)
    table = np.clip(np.arange(256)[:, np.newaxis] * (GROUND / white), 0, 255).astype(np.uint8)
    return cv2.LUT(image, table[:, np.newaxis])


def resize(image: np.ndarray, width: int, height: int) -> np.ndarray:
    shrinks = width < image.shape[1]
    return cv2.resize(
        image, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    )


def network_size(length: float) -> int:
    """The multiple of 32, the network's coarsest step, nearest to a length in pixels."""
    return max(64, round(length / 32) * 32)


# --- use ------------------------------------------------------------------------------------------


def decode(heat: np.ndarray, reach: np.ndarray, size: tuple[int, int], least: float) -> Cells:
    """Cells from the network's answer: heat (h, w, k) in [0, 1] and distances (h, w, 4) in strides.

    A cell's centre is a place more likely than its neighbours; of boxes of one label that overlap
    by more than OVERLAPPING the most likely stays. `size`: width and height of what was looked at.
    """
    peak = np.stack([cv2.dilate(np.ascontiguousarray(h), np.ones((3, 3))) for h in heat.T], axis=-1)
    y, x, label = np.nonzero((heat >= peak.transpose(1, 0, 2)) & (heat >= least))
    probability = heat[y, x, label]
    centre = np.stack([x, y, x, y], axis=1) + 0.5
    box = (centre + reach[y, x] * (-1, -1, 1, 1)) * STRIDE
    box = np.clip(box, 0, [*size, *size])
    if len(box) == 0:
        return Cells(box.reshape(-1, 4), label, probability)
    corners = np.concatenate([box[:, :2], box[:, 2:] - box[:, :2]], axis=1)
    kept = cv2.dnn.NMSBoxesBatched(
        corners.astype(np.float64), probability.tolist(), label.tolist(), 0.0, OVERLAPPING
    )
    return Cells(box, label, probability).pick(np.asarray(kept, int).ravel())


def find_cells(
    run: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]],
    image: np.ndarray,
    cell: float,
    least: float,
) -> Cells:
    """Every cell of a field whose red cells are `cell` pixels across, from probability `least` up.

    `run` maps a picture (height, width, 3) uint8, multiples of 32, to heat and reach. A field that
    is large in cells is looked at in overlapping tiles, a cell being the tile's that its centre is
    nearest to the middle of; so memory doesn't grow with the field.
    """
    height, width = image.shape[:2]
    scale = CELL / cell
    found = []
    columns, rows = (spread_tiles(length, scale) for length in (width, height))
    for (left, right), (x0, x1) in columns:
        for (top, bottom), (y0, y1) in rows:
            tile = image[top:bottom, left:right]
            size = tuple(network_size(n * scale) for n in (right - left, bottom - top))
            cells = decode(*run(resize(tile, *size)), size, least)
            stretch = np.tile([(right - left) / size[0], (bottom - top) / size[1]], 2)
            box = cells.box * stretch + (left, top, left, top)
            centre = (box[:, :2] + box[:, 2:]) / 2
            own = ((centre >= (x0, y0)) & (centre < (x1, y1))).all(axis=1)
            found.append(cells._replace(box=box).pick(own))
    cells = Cells(*map(np.concatenate, zip(*found, strict=True)))
    return cells.pick(np.argsort(-cells.probability, kind="stable"))


def spread_tiles(length: int, scale: float) -> list[tuple[tuple[int, int], tuple[float, float]]]:
    """Tiles along one side of a field: where each begins and ends, and what it answers for."""
    count = 1
    if length * scale > TILE:
        count = int(np.ceil((length * scale - OVERLAP) / (TILE - OVERLAP)))
    span = min(length, int(np.ceil(TILE / scale))) if count > 1 else length
    starts = np.linspace(0, length - span, count).round().astype(int)
    seams = [-np.inf, *((starts[1:] + starts[:-1] + span) / 2), np.inf]
    return [((int(s), int(s) + span), (seams[i], seams[i + 1])) for i, s in enumerate(starts)]


def estimate_cell(
    run: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]],
    image: np.ndarray,
    typical: np.ndarray,
) -> float:
    """How many pixels of the field a red cell is across, from a few looks at low resolution.

    The first look takes in the whole field; each further one, a part from its middle in which cells
    of the size last seen would be as large as the network knows them. That goes on until they are.
    `typical` (k,): side of a cell of each label in parts of a red cell's.
    """
    height, width = image.shape[:2]
    cell = guess = CELL * max(height, width) / FIRST_LOOK
    for _ in range(MOST_LOOKS):
        h, w = (min(n, max(1, round(FIRST_LOOK * guess / CELL))) for n in (height, width))
        top, left = (height - h) // 2, (width - w) // 2
        cells = find_cells(run, image[top : top + h, left : left + w], guess, least=0.3)
        cut = touches(cells.box, w, h).any(axis=1)
        whole = cells.pick(~cut) if (~cut).sum() >= 3 else cells
        if len(whole.label) == 0:
            guess /= 2.5
            if guess < LEAST_CELL:
                break
            continue
        cell = float(np.median(sides(whole.box) / typical[whole.label]))
        change = abs(np.log(cell / guess))
        # What is seen at a wrong scale, a clump for a cell, is seen without conviction.
        if change < 0.1 or (change < 0.45 and np.median(whole.probability) >= 0.45):
            break
        guess = cell
    return cell


class Detector:
    """The exported network and its card: a field in, its cells out, without TensorFlow."""

    def __init__(self, model: bytes, card: dict[str, Any], threads: int = 1) -> None:
        self.labels: list[str] = card["labels"]
        self.thresholds = np.array([card["thresholds"][label] for label in self.labels])
        self.typical = np.array([card["typical_side"][label] for label in self.labels])
        self._model, self._threads = model, threads
        self._lite: dict[tuple[int, ...], Any] = {}
        with quiet_stderr():
            self._fresh = self._open()
        if self._fresh.get_output_details()[0]["shape"][-1] != len(self.labels) + 4:
            raise ValueError("network and card belong to different models")

    @classmethod
    def load(cls, folder: Path, card: dict[str, Any], threads: int = 1) -> Detector:
        """Read the network from `folder`; UserError where it is missing or damaged."""
        path = folder / f"{NAME}.tflite"
        hint = "train with train_model.py and --field-epochs above 0, or use the bundled model"
        if "fields" not in card or not path.is_file():
            raise UserError(f"{folder}: this model can't find cells in whole fields; {hint}")
        try:
            return cls(path.read_bytes(), card["fields"], threads)
        except (ValueError, LookupError, TypeError, RuntimeError) as error:
            raise UserError(f"{path}: not a network for fields ({error}); {hint}") from None

    def find(
        self, image: np.ndarray, least: float | None = None, cell: float | None = None
    ) -> Cells:
        """The cells of a field (height, width, 3) uint8 RGB, the most probable first.

        Those from their label's threshold up, and the less certain ones from probability `least`
        up. `cell`: how many pixels a red cell is across, where that is known.
        """
        if cv2.meanStdDev(image)[1].max() < EVEN:
            return Cells(np.empty((0, 4)), np.empty(0, int), np.empty(0))
        levelled = level_light(image)
        cell = cell or estimate_cell(self.run, levelled, self.typical)
        lowest = self.thresholds if least is None else np.minimum(self.thresholds, least)
        cells = find_cells(self.run, levelled, cell, float(lowest.min()))
        sliver = is_sliver(cells.box, image.shape[1], image.shape[0], 0.9 * LEAST_SHOWN * cell)
        small = self.typical[cells.label] < 2 * LEAST_SHOWN  # a platelet is no sliver
        wanted = cells.probability >= lowest[cells.label]
        return cells.pick(wanted & (small | ~sliver))

    def is_counted(self, cells: Cells) -> np.ndarray:
        """Whether each cell is certain enough to be counted: (n,) bool."""
        return cells.probability >= self.thresholds[cells.label]

    def run(self, picture: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Heat (h / 4, w / 4, k) and reach (h / 4, w / 4, 4) of a picture (h, w, 3) uint8."""
        lite = self._interpreter(picture.shape)
        lite.set_tensor(
            lite.get_input_details()[0]["index"], picture[np.newaxis].astype(np.float32)
        )
        lite.invoke()
        joined = lite.get_tensor(lite.get_output_details()[0]["index"])[0]
        return joined[..., :-4], joined[..., -4:]

    def _open(self) -> Any:
        from ai_edge_litert.interpreter import Interpreter

        return Interpreter(model_content=self._model, num_threads=self._threads)

    def _interpreter(self, shape: tuple[int, ...]) -> Any:
        """One for each size of picture: to change an interpreter's takes as long as to use it."""
        if shape not in self._lite:
            if len(self._lite) >= MOST_SIZES:
                self._lite.pop(next(iter(self._lite)))
            with quiet_stderr():
                lite, self._fresh = self._fresh or self._open(), None
                lite.resize_tensor_input(lite.get_input_details()[0]["index"], [1, *shape])
                lite.allocate_tensors()
            self._lite[shape] = lite
        return self._lite[shape]


# --- show -----------------------------------------------------------------------------------------


def choose_colours(labels: Sequence[str]) -> dict[str, tuple[int, int, int]]:
    """An RGB colour for each label, of those that colour-blind readers can tell apart."""
    known = {"RBC": (0, 114, 178), "WBC": (230, 159, 0), "Platelets": (0, 158, 115)}
    others = [(204, 121, 167), (86, 180, 233), (213, 94, 0), (240, 228, 66)]
    rest = [label for label in labels if label not in known]
    return known | {label: others[i % len(others)] for i, label in enumerate(rest)}


def draw_cells(
    image: np.ndarray, cells: Cells, labels: Sequence[str], with_probability: bool = False
) -> np.ndarray:
    """The field with a box around each cell, labelled, and a line beneath that counts them.

    Small fields are enlarged so that the labels stay legible. Tells colours by lightness too: a
    label is written in black or white, whichever stands out.
    """
    colours = choose_colours(labels)
    scale = max(1, round(1280 / max(image.shape[:2])))
    canvas = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
    width = canvas.shape[1]
    unit = max(width, canvas.shape[0]) / 1280
    line, size, font = max(2, round(2 * unit)), 0.45 * unit, cv2.FONT_HERSHEY_SIMPLEX
    ink = max(1, round(unit))

    def write(text: str, x: int, y: int, colour: tuple[int, int, int]) -> int:
        (w, h), base = cv2.getTextSize(text, font, size, ink)
        x, y = min(x, width - w - 4), max(y, h + base + 2)
        cv2.rectangle(canvas, (x, y - h - base), (x + w + 4, y + 2), colour, -1)
        paper = (0, 0, 0) if np.dot(colour, (0.3, 0.6, 0.1)) > 110 else (255, 255, 255)
        cv2.putText(canvas, text, (x + 2, y - base // 2), font, size, paper, ink, cv2.LINE_AA)
        return x + w + 4

    boxes = np.rint(cells.box * scale).astype(int)
    for (x0, y0, x1, y1), k in zip(boxes.tolist(), cells.label, strict=True):
        cv2.rectangle(canvas, (x0, y0), (x1, y1), colours[labels[k]], line)
    for (x0, y0, _, _), k, p in zip(
        boxes.tolist(), cells.label, cells.probability, strict=True
    ):  # after all boxes, so that none crosses a label
        write(f"{labels[k]} {p:.2f}" if with_probability else labels[k], x0, y0, colours[labels[k]])
    strip = np.full((round(34 * unit), width, 3), 255, np.uint8)
    canvas, x = np.vstack([canvas, strip]), round(8 * unit)
    for k, label in enumerate(labels):
        text = f"{label}: {int((cells.label == k).sum())}"
        x = write(text, x, canvas.shape[0] - round(8 * unit), colours[label]) + round(10 * unit)
    return canvas


# --- the fields of an archive ---------------------------------------------------------------------


class FieldSplit(NamedTuple):
    """The fields of one split, as `preprocess_data.pack_fields` put them into the archive."""

    name: np.ndarray  # (f,) file names
    file: np.ndarray  # (bytes,) uint8, the image files end to end
    end: np.ndarray  # (f,) where each ends
    box: np.ndarray  # (m, 4) all boxes, in pixels
    label: np.ndarray  # (m,) text
    index: np.ndarray  # (m,) the field that each is in

    KEYS = ("field", "field_file", "field_end", "field_box", "field_label", "field_index")

    def fits(self) -> bool:
        """Whether the arrays belong together."""
        last = self.end[-1] if len(self.end) else 0
        return (
            len(self.name) == len(self.end)
            and last == len(self.file)
            and bool((np.diff(self.end) > 0).all())
            and len(self.box) == len(self.label) == len(self.index)
            and bool((self.index < len(self.name)).all())
        )

    def files(self) -> Iterator[tuple[str, bytes]]:
        """Name and image file of each field."""
        for name, start, end in zip(self.name, [0, *self.end], self.end, strict=False):
            yield str(name), self.file[start:end].tobytes()


@dataclass(frozen=True)
class TrainingField:
    """A field as it is learnt from. Images stay in their files' form, a twentieth of their size."""

    name: str
    data: bytes  # the image file
    box: np.ndarray  # (n, 4) float, annotated or, after that, found by the network itself
    label: np.ndarray  # (n,) index into the labels
    annotated: int  # how many of the boxes are
    cell: float  # pixels across a red cell
    free: np.ndarray  # (ceil(h / 4), ceil(w / 4)) bool, certainly no cell
    dismissed: np.ndarray  # (d, 4) found by the network, but with too little of a cell shown

    def image(self) -> np.ndarray:
        return level_light(self.raw())

    def raw(self) -> np.ndarray:
        return read_image(Path(self.name), self.data)

    def unsure(self) -> np.ndarray:
        """Where an unboxed cell may be, at a quarter of the resolution: (h, w) uint8."""
        unsure = (~self.free).astype(np.uint8)
        for x0, y0, x1, y1 in self.dismissed / 4:
            unsure[int(y0) : int(np.ceil(y1)), int(x0) : int(np.ceil(x1))] = 0
        for x0, y0, x1, y1 in self.box / 4:
            # The corners of a box are not the cell's, and often a neighbour's.
            axes = 0.95 * float(x1 - x0), 0.95 * float(y1 - y0)
            cv2.ellipse(unsure, ((float(x0 + x1) / 2, float(y0 + y1) / 2), axes, 0.0), 0, -1)
        return unsure


def measure_red(
    box: np.ndarray, label: np.ndarray, size: Sequence[int], red: np.ndarray
) -> np.ndarray:
    """Sides of the whole red cells of a field, `size` (width, height)."""
    whole = ~touches(box, *size).any(axis=1)
    return sides(box[whole & red[label]])


def prepare_fields(fields: FieldSplit, labels: Sequence[str]) -> list[TrainingField]:
    """Turn one split of an archive into fields to learn from.

    Boxes of labels that aren't among `labels` are left out. The scale is that of the split's whole
    red cells (of all cells, where none is red), or of the field's own where these clearly differ.
    """
    red = np.array([is_rbc(name) for name in labels])
    red = red if red.any() else ~red
    index = {name: i for i, name in enumerate(labels)}
    code = np.array([index.get(name, -1) for name in fields.label.tolist()], int)
    raw, measured = [], []
    for i, (name, data) in enumerate(fields.files()):
        mine = (fields.index == i) & (code >= 0)
        box, label = fields.box[mine].astype(float), code[mine]
        height, width = read_image(Path(name), data).shape[:2]
        raw.append((name, data, box, label))
        measured.append(measure_red(box, label, (width, height), red))
    together = np.concatenate(measured)
    typical = float(np.median(together if len(together) else sides(fields.box)))
    prepared = []
    for (name, data, box, label), found in zip(raw, measured, strict=True):
        own = float(np.median(found)) if len(found) >= 4 else typical
        cell = own if abs(np.log(own / typical)) > 0.3 else typical
        segments = [Segment(labels[k], tuple(map(int, b))) for b, k in zip(box, label, strict=True)]
        # Read a second time: all pictures at once would take more memory than all crops.
        free = find_free_area(read_image(Path(name), data), segments, cell)
        prepared.append(TrainingField(name, data, box, label, len(box), cell, free, box[:0]))
    return prepared


# --- what the network is shown --------------------------------------------------------------------


def restain(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Another laboratory's stain, light, focus and noise for a uint8 picture.

    In optical density, as `train_model.recolour`, and wider: a cell's shape says much of what it
    is, so a detector can do with less certainty of its colour. From pink to blue as there; and to
    magenta, by letting less red be absorbed and more blue, as the nuclei of other laboratories
    are. Most views go all the way, the others less.
    """
    extent = 1.0 if rng.random() < 0.6 else rng.random()
    density = -np.log(np.maximum(np.arange(256) / 255, 0.02))[:, np.newaxis]
    gain = np.exp(extent * (rng.uniform(-0.4, 0.5) + rng.normal(0, 0.2, 3)))
    table = density * gain + extent * rng.uniform(-0.08, 0.12, 3)
    mix = np.eye(3)
    if rng.random() < 0.5:
        mix += rng.normal(0, 0.1 * extent, (3, 3))
    kind = rng.random()
    if kind < 0.4:
        mix[0] += extent * rng.uniform(0, 1) * mix[1]
        mix[2] *= 1 - extent * rng.uniform(0, 0.6)
    elif kind < 0.75:
        mix[0] *= 1 - extent * rng.uniform(0, 0.75)
        mix[2] *= 1 + extent * rng.uniform(-0.2, 0.6)
        mix[2] += extent * rng.uniform(0, 0.35) * mix[1]
    return expose(cv2.transform(cv2.LUT(image, table[:, np.newaxis].astype(np.float32)), mix), rng)


def expose(density: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The uint8 picture of an optical density, in and out of focus, with and without noise."""
    light = cv2.exp(-np.maximum(density, 0))
    if rng.random() < 0.35:
        light = cv2.GaussianBlur(light, (0, 0), rng.uniform(0.4, 2.5))
    if rng.random() < 0.25:
        spread = np.float32(rng.uniform(0.005, 0.025))
        light = light + spread * rng.standard_normal(light.shape, np.float32)
    return cv2.convertScaleAbs(np.maximum(light, 0), alpha=255)  # rounds and saturates


class View(NamedTuple):
    """A window of a field as the network is shown it, (height, width) pixels."""

    image: np.ndarray  # (height, width, 3) uint8
    box: np.ndarray  # (n, 4)
    label: np.ndarray  # (n,)
    unsure: np.ndarray  # (height / 4, width / 4) uint8


def cut_window(
    source: TrainingField,
    size: tuple[int, int],
    scales: tuple[float, float],
    rng: np.random.Generator,
) -> tuple[View, float]:
    """A window of `size` (height, width) at a random scale, and that scale in parts of CELL."""
    image, (h, w) = source.image(), size
    height, width = image.shape[:2]
    scale = CELL / source.cell
    least = max(scales[0], h / (height * scale), w / (width * scale))
    zoom = np.exp(rng.uniform(np.log(least), np.log(max(scales[1], least))))
    stretch = np.exp(rng.uniform(-0.08, 0.08))
    wide, high = min(w / (zoom * scale * stretch), width), min(h * stretch / (zoom * scale), height)
    left, top = rng.uniform(0, width - wide + 1e-6), rng.uniform(0, height - high + 1e-6)
    sx, sy = w / wide, h / high

    def warp(picture: np.ndarray, shrunk: int, method: int) -> np.ndarray:
        matrix = np.array([[sx, 0, -left * sx / shrunk], [0, sy, -top * sy / shrunk]])
        return cv2.warpAffine(
            picture,
            matrix,
            (w // shrunk, h // shrunk),
            flags=method,
            borderMode=cv2.BORDER_REPLICATE,
        )

    full = (source.box - (left, top, left, top)) * (sx, sy, sx, sy)
    box = np.clip(full, 0, [w, h, w, h])
    shown = (sides(box) / np.maximum(sides(full), 1)) ** 2
    kept = (shown >= LEAST_SHOWN) & (box[:, 2:] - box[:, :2] > 4).all(axis=1)
    kept &= ~is_sliver(box, w, h, LEAST_SHOWN * CELL * zoom) | (sides(full) < CELL * zoom / 2)
    unsure = warp(source.unsure(), STRIDE, cv2.INTER_NEAREST)
    view = View(warp(image, 1, cv2.INTER_LINEAR), box[kept], source.label[kept], unsure)
    return view, float(zoom)


def cut_cells(fields: Sequence[TrainingField], labels: int) -> list[list[np.ndarray]]:
    """The annotated cells that no border cuts, CELL-scaled uint8, by label: to lay over fields."""
    cells: list[list[np.ndarray]] = [[] for _ in range(labels)]
    for source in fields:
        image = source.image()
        cut = touches(source.box, image.shape[1], image.shape[0]).any(axis=1)
        for (x0, y0, x1, y1), label in zip(
            source.box[~cut].astype(int), source.label[~cut], strict=True
        ):
            scale = CELL / source.cell
            size = max(4, round((x1 - x0) * scale)), max(4, round((y1 - y0) * scale))
            cells[label].append(resize(image[y0:y1, x0:x1], *size))
    return cells


def lay_over(
    view: View,
    zoom: float,
    cells: Sequence[Sequence[np.ndarray]],
    typical: np.ndarray,
    red: np.ndarray,
    rng: np.random.Generator,
) -> View:
    """The view with some cells more, up to half of each outside or over another.

    Red cells multiply what lies under them by what they let through, as in the microscope; small
    cells show where they are darker; large ones hide what is under them.
    """
    picture, box, label = view.image.astype(np.float32), view.box, view.label
    unsure, (h, w) = view.unsure, view.image.shape[:2]
    kinds: list[int] = []
    for k in range(len(cells)):
        small, large = typical[k] < 0.6, typical[k] > 1.4
        count = int(rng.random() < 0.4) if large and not red[k] else rng.integers(0, 6 - small)
        kinds += [k] * count
    for k in sorted(kinds, key=lambda k: not red[k]):
        if not cells[k]:
            continue
        patch, mask = turn_cell(cells[k][rng.integers(len(cells[k]))], zoom, rng)
        high, wide = mask.shape[:2]
        for _ in range(8):
            x = int(rng.integers(-int(wide * 0.65), max(w - int(wide * 0.35), 1)))
            y = int(rng.integers(-int(high * 0.65), max(h - int(high * 0.35), 1)))
            new = np.clip([[x, y, x + wide, y + high]], 0, [w, h, w, h]).astype(float)
            if not fits(new[0], wide * high, box, red[label], red[k], typical[label]):
                continue
            x0, y0, x1, y1 = new[0].astype(int)
            part, cover = (a[y0 - y : y1 - y, x0 - x : x1 - x] for a in (patch, mask))
            under = picture[y0:y1, x0:x1]
            if red[k]:
                under *= 1 - cover + cover * np.minimum(part / GROUND, 1.03)
            else:
                over = np.minimum(part, under) if typical[k] < 0.6 else part
                under += cover * (over - under)
            if not red[k] and typical[k] > 1.4:
                middle = (x0 + x1) / 2 / STRIDE, (y0 + y1) / 2 / STRIDE
                axes = (x1 - x0) / STRIDE, (y1 - y0) / STRIDE
                cv2.ellipse(unsure, (middle, axes, 0.0), 0, -1)
            box, label = np.concatenate([box, new]), np.append(label, k)
            break
    return View(np.clip(picture, 0, 255).astype(np.uint8), box, label, unsure)


def turn_cell(
    cell: np.ndarray, zoom: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """A cut-out cell resized and turned, and its soft elliptic mask (h, w, 1) in [0, 1]."""
    zoom *= np.exp(rng.uniform(-0.15, 0.15))
    patch = resize(cell, *(max(4, round(n * zoom)) for n in cell.shape[1::-1]))
    patch = np.rot90(patch, rng.integers(4))[:, :: rng.choice((1, -1))]
    h, w = patch.shape[:2]
    y, x = np.mgrid[-1 : 1 : h * 1j, -1 : 1 : w * 1j]
    mask = np.clip((1.04 - np.hypot(x, y)) / 0.12, 0, 1).astype(np.float32)
    return patch.astype(np.float32), mask[..., np.newaxis]


def fits(
    new: np.ndarray,
    area: float,
    box: np.ndarray,
    is_red: np.ndarray,
    new_red: bool,
    typical: np.ndarray,
) -> bool:
    """Whether a cell may be laid there: enough of it shows, and enough of the others."""
    x0, y0, x1, y1 = new
    if (x1 - x0) * (y1 - y0) < LEAST_SHOWN * area:
        return False
    if len(box) == 0:
        return True
    if (overlap(new[np.newaxis], box) > (0.35 if new_red else 0.15)).any():
        return False
    if new_red:  # a red cell lies beside a white one, not within
        x, y = (x0 + x1) / 2, (y0 + y1) / 2
        large = box[~is_red & (typical > 1.4)]
        inside = (large[:, 0] < x) & (x < large[:, 2]) & (large[:, 1] < y) & (y < large[:, 3])
        return not inside.any()
    low, high = np.maximum(new[:2], box[:, :2]), np.minimum(new[2:], box[:, 2:])
    hidden = np.prod(np.maximum(high - low, 0), axis=1) / np.maximum(sides(box) ** 2, 1)
    return not (hidden > 0.35).any() or (x1 - x0) * (y1 - y0) < 0.35 * np.median(sides(box) ** 2)


def flip(view: View, rng: np.random.Generator) -> View:
    image, box, label, unsure = view
    h, w = image.shape[:2]
    if rng.random() < 0.5:
        image, unsure = image[:, ::-1], unsure[:, ::-1]
        box = np.stack([w - box[:, 2], box[:, 1], w - box[:, 0], box[:, 3]], axis=1)
    if rng.random() < 0.5:
        image, unsure = image[::-1], unsure[::-1]
        box = np.stack([box[:, 0], h - box[:, 3], box[:, 2], h - box[:, 1]], axis=1)
    return View(np.ascontiguousarray(image), box, label, np.ascontiguousarray(unsure))


class Target(NamedTuple):
    """What the network should answer to a view; (h, w) is a quarter of the view's size."""

    heat: np.ndarray  # (h, w, k) 1 at a cell's centre, falling off around it
    known: np.ndarray  # (h, w, k) 1 where that is known, else 0
    corner: np.ndarray  # (h, w, 4) the box of the cell here, in strides
    weight: np.ndarray  # (h, w) how much its box counts here


def draw_target(view: View, doubtful: np.ndarray) -> Target:
    """The answer wanted for a view; `doubtful` (k,): labels of which cells may lack a box."""
    h, w = view.unsure.shape
    heat = np.zeros((h, w, len(doubtful)), np.float32)
    corner, weight, nearest = (np.zeros((h, w, *n), np.float32) for n in ((4,), (), ()))
    for i in np.argsort(-sides(view.box), kind="stable"):  # small cells lie over large ones
        x0, y0, x1, y1 = view.box[i] / STRIDE
        x, y = (
            int(np.clip(round((a + b - 1) / 2), 0, n - 1)) for a, b, n in ((x0, x1, w), (y0, y1, h))
        )
        sx, sy = max((x1 - x0) * 0.09, 0.5), max((y1 - y0) * 0.09, 0.5)
        columns = np.arange(max(0, int(x - 3 * sx - 1)), min(w, int(x + 3 * sx + 2)))
        rows = np.arange(max(0, int(y - 3 * sy - 1)), min(h, int(y + 3 * sy + 2)))
        area = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        fall = ((columns - x) / sx) ** 2 + ((rows - y) / sy)[:, np.newaxis] ** 2
        bump = np.exp(-fall / 2).astype(np.float32)
        here = heat[(*area, view.label[i])]
        np.maximum(here, bump, out=here)
        core = (bump > 0.3) & (bump >= nearest[area])
        nearest[area][core] = bump[core]
        corner[area][core] = x0, y0, x1, y1
        weight[area][core] = bump[core] / bump[bump > 0.3].sum()
    known = np.ones_like(heat)
    known[..., doubtful] = (1 - view.unsure)[..., np.newaxis]
    known[heat > 0.3] = 1
    return Target(heat, known, corner, weight)


@dataclass(frozen=True)
class Course:
    """What the fields are shown by: all that `draw_view` needs but the field."""

    cells: list[list[np.ndarray]]
    typical: np.ndarray  # (k,) side of a cell of each label in parts of a red cell's
    red: np.ndarray  # (k,) bool
    doubtful: np.ndarray  # (k,) bool


def draw_view(
    source: TrainingField, course: Course, window: int, seed: Sequence[int]
) -> tuple[np.ndarray, ...]:
    """A new view of a field, and the answer to it."""
    rng = np.random.default_rng(seed)
    size, scales, _ = WINDOWS[window]
    view, zoom = cut_window(source, size, scales, rng)
    if rng.random() < 0.6:
        view = lay_over(view, zoom, course.cells, course.typical, course.red, rng)
    view = flip(view, rng)
    image = restain(view.image, rng) if rng.random() < 0.8 else view.image
    return (level_light(image), *draw_target(view, course.doubtful))


# --- network and loss -----------------------------------------------------------------------------


def build_network(backbone: keras.Model, labels: int) -> keras.Model:
    """Pictures (n, h, w, 3) in [0, 255] to heat and reach, joined: (n, h / 4, w / 4, labels + 4).

    `backbone`: MobileNetV2 with its normalizations folded (`train_model.fold_norms`), any size.
    """
    import keras
    from keras import layers, ops

    def block(x: Any, size: int) -> Any:
        x = layers.Conv2D(CHANNELS, size, padding="same", use_bias=False)(x)
        return layers.ReLU()(layers.BatchNormalization(momentum=0.97)(x))

    frozen = True
    for layer in backbone.layers:
        frozen &= not layer.name.startswith(f"block_{FIRST_BLOCK}_")
        layer.trainable = not frozen
    stages = ("block_3_expand_relu", "block_6_expand_relu", "block_13_expand_relu", "out_relu")
    features = keras.Model(backbone.input, [backbone.get_layer(n).output for n in stages])
    pictures = keras.Input((None, None, 3), name="pictures")
    *finer, coarsest = features(pictures / 127.5 - 1.0)
    x = block(coarsest, 1)
    for stage in reversed(finer):
        across = layers.Conv2D(CHANNELS, 1, use_bias=False)(stage)
        across = layers.BatchNormalization(momentum=0.97)(across)
        x = block(layers.UpSampling2D()(x) + across, 3)
    rare = keras.initializers.Constant(-4.0)  # most places are no centre (Lin et al., 2017)
    half = keras.initializers.Constant(float(np.log(CELL / 2 / STRIDE)))
    heat = layers.Conv2D(labels, 1, bias_initializer=rare, name="heat")(block(x, 3))
    reach = layers.Conv2D(4, 1, bias_initializer=half, name="reach")(block(x, 3))
    joined = ops.concatenate([ops.sigmoid(heat), ops.exp(ops.clip(reach, -4.0, 6.0))], axis=-1)
    return keras.Model(pictures, joined, name=NAME)


def heat_loss(heat: Any, wanted: Any, known: Any) -> Any:
    """Focal loss of centres, a mean over the cells (Law and Deng, 2018), where it is known."""
    import tensorflow as tf

    heat = tf.clip_by_value(heat, 1e-5, 1 - 1e-5)
    centre = tf.cast(wanted > 0.999, tf.float32)
    hit = centre * (1 - heat) ** 2 * tf.math.log(heat)
    miss = (1 - centre) * (1 - wanted) ** 4 * heat**2 * tf.math.log(1 - heat)
    return -tf.reduce_sum((hit + miss) * known) / tf.maximum(tf.reduce_sum(centre), 1.0)


def box_loss(reach: Any, corner: Any, weight: Any) -> Any:
    """1 - generalized intersection over union (Rezatofighi et al., 2019), a mean over the cells."""
    import tensorflow as tf

    x = tf.cast(tf.range(tf.shape(reach)[2]), tf.float32)[tf.newaxis, tf.newaxis, :] + 0.5
    y = tf.cast(tf.range(tf.shape(reach)[1]), tf.float32)[tf.newaxis, :, tf.newaxis] + 0.5
    left, top, right, bottom = tf.unstack(reach, axis=-1)
    x0, y0, x1, y1 = x - left, y - top, x + right, y + bottom
    a0, b0, a1, b1 = tf.unstack(corner, axis=-1)
    wide, high = tf.minimum(x1, a1) - tf.maximum(x0, a0), tf.minimum(y1, b1) - tf.maximum(y0, b0)
    shared = tf.maximum(wide, 0.0) * tf.maximum(high, 0.0)
    union = (x1 - x0) * (y1 - y0) + (a1 - a0) * (b1 - b0) - shared
    hull = (tf.maximum(x1, a1) - tf.minimum(x0, a0)) * (tf.maximum(y1, b1) - tf.minimum(y0, b0))
    gain = shared / tf.maximum(union, 1e-6) - (hull - union) / tf.maximum(hull, 1e-6)
    return tf.reduce_sum(weight * (1 - gain)) / tf.maximum(tf.reduce_sum(weight), 1.0)


def make_step(network: keras.Model, steps: int) -> Callable[..., Any]:
    """One step of training: a batch of views and their answers to the loss of it.

    AdamW with a warm-up and a cosine down to nothing; the backbone at 0.3 of the gradient.
    """
    import keras
    import tensorflow as tf

    warmup = max(1, min(100, steps // 6))
    rate = keras.optimizers.schedules.CosineDecay(
        RATE / 100, max(1, steps - warmup), alpha=0.01, warmup_target=RATE, warmup_steps=warmup
    )
    optimizer = keras.optimizers.AdamW(rate, weight_decay=1e-4, global_clipnorm=5.0)
    weights = network.trainable_variables
    optimizer.build(weights)

    @tf.function
    def step(pictures: Any, heat: Any, known: Any, corner: Any, weight: Any) -> Any:
        with tf.GradientTape() as tape:
            found = network(tf.cast(pictures, tf.float32), training=True)
            loss = heat_loss(found[..., :-4], heat, known)
            loss += 2 * box_loss(found[..., -4:], corner, weight)
        optimizer.apply_gradients(zip(tape.gradient(loss, weights), weights, strict=True))
        return loss

    return step


# --- fit ------------------------------------------------------------------------------------------


def make_run(network: keras.Model) -> Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """The Keras network as `find_cells` wants it."""
    import tensorflow as tf

    signature = [tf.TensorSpec((1, None, None, 3), tf.float32)]
    forward = tf.function(partial(network, training=False), input_signature=signature)

    def run(picture: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        joined = forward(picture[np.newaxis].astype(np.float32)).numpy()[0]
        return joined[..., :-4], joined[..., -4:]

    return run


def label_anew(
    network: keras.Model, fields: Sequence[TrainingField], doubtful: np.ndarray
) -> list[TrainingField]:
    """The fields with the cells that the network finds where boxes may be missing."""
    run, labelled = make_run(network), []
    for source in progress(fields, len(fields), "finding cells without a box"):
        image = source.image()
        size = image.shape[1], image.shape[0]
        box, label = source.box[: source.annotated], source.label[: source.annotated]
        found = find_cells(run, image, source.cell, least=0.35)
        known = box[sides(box) > source.cell / 2]
        new = doubtful[found.label]
        if len(known):
            new &= overlap(found.box, known).max(axis=1, initial=0) < 0.5
        sliver = is_sliver(found.box, *size, LEAST_SHOWN * source.cell)
        labelled.append(
            replace(
                source,
                box=np.concatenate([box, found.box[new & ~sliver]]),
                label=np.append(label, found.label[new & ~sliver]),
                dismissed=found.box[new & sliver],
            )
        )
    return labelled


def fit_network(
    network: keras.Model, fields: list[TrainingField], course: Course, epochs: int, seed: int
) -> list[dict[str, Any]]:
    """Train on a new view of every field each epoch; the history. Labels anew at each quarter."""
    rng = np.random.default_rng([seed, 4])
    step = make_step(network, epochs * -(-len(fields) // BATCH))
    anew = {epochs * quarter // 4 for quarter in (1, 2, 3)} - {0}
    chances = [chance for *_, chance in WINDOWS]
    history = []
    for epoch in range(1, epochs + 1):
        order = rng.permutation(len(fields))
        losses = []
        batches = []
        for start in range(0, len(order), BATCH):
            window = int(rng.choice(len(WINDOWS), p=chances))
            # The last batch is filled up: a batch of another size would be compiled anew.
            chosen = np.resize(order[start:], min(BATCH, max(len(order), 1)))[:BATCH]
            chosen = np.resize(chosen, BATCH)
            batches += [(fields[i], course, window, [seed, epoch, start, n])
                        for n, i in enumerate(chosen)]  # fmt: skip
        with ThreadPoolExecutor() as pool:
            views = run_ahead(pool, lambda view: draw_view(*view), batches, 2 * BATCH)
            count = len(batches) // BATCH
            for _ in progress(range(count), count, f"fields, epoch {epoch}"):
                batch = itertools.islice(views, BATCH)
                losses.append(float(step(*map(np.stack, zip(*batch, strict=True)))))
        history.append({"phase": "fields", "epoch": epoch, "loss": float(np.mean(losses))})
        say(f"fields {epoch}: loss {history[-1]['loss']:.4f}")
        if epoch in anew and course.doubtful.any():
            fields[:] = label_anew(network, fields, course.doubtful)
            added = sum(len(f.box) - f.annotated for f in fields)
            say(f"fields {epoch}: {added} cells without a box found, and learnt from")
    return history


def match(found: Cells, truth: np.ndarray, kind: np.ndarray, least: float = 0.5) -> np.ndarray:
    """The annotated box that each found cell is, or -1: (n,). The most probable chooses first.

    `truth` (m, 4) and `kind` (m,) are the boxes and labels annotated.
    """
    shared = overlap(found.box, truth) * (found.label[:, None] == kind[None])
    partner = np.full(len(found.label), -1)
    taken = np.zeros(len(truth), bool)
    for i in np.argsort(-found.probability, kind="stable"):
        best = int(np.argmax(np.where(taken, 0, shared[i]))) if len(truth) else -1
        if best >= 0 and not taken[best] and shared[i, best] >= least:
            partner[i], taken[best] = best, True
    return partner


def choose_thresholds(
    found: Sequence[Cells], fields: Sequence[TrainingField], doubtful: np.ndarray
) -> np.ndarray:
    """For each label, the probability that gives the highest F1 on fields (IoU 0.5): (k,).

    What is found of a doubtful label where a cell may lack its box counts neither way.
    """
    rows: list[list[tuple[float, bool]]] = [[] for _ in doubtful]
    for cells, source in zip(found, fields, strict=True):
        hit = match(cells, source.box, source.label) >= 0
        unsure = source.unsure()
        for i, (box, label) in enumerate(zip(cells.box, cells.label, strict=True)):
            x0, y0, x1, y1 = (box / 4).astype(int)
            room = unsure[y0 : y1 + 1, x0 : x1 + 1]
            if hit[i] or not (doubtful[label] and room.size and room.mean() > 0.2):
                rows[label].append((float(cells.probability[i]), bool(hit[i])))
    thresholds = np.full(len(doubtful), 0.5)
    for label, judged in enumerate(rows):
        there = sum(int((f.label == label).sum()) for f in fields)
        if not judged or not there:
            continue
        judged.sort(reverse=True)
        hits = np.cumsum([hit for _, hit in judged])
        f1 = 2 * hits / (np.arange(1, len(judged) + 1) + there)
        thresholds[label] = judged[int(np.argmax(f1))][0]
    return thresholds


def fit_detector(
    backbone: keras.Model,
    train: FieldSplit,
    val: FieldSplit,
    epochs: int,
    seed: int,
    convert: Callable[[keras.Model], bytes],
) -> tuple[tuple[keras.Model, bytes], dict[str, Any], list[dict[str, Any]]]:
    """Fit on the train fields, choose thresholds on the val fields.

    Returns the network with its .tflite (by `convert`), its card, and the history.
    """
    labels = sorted(set(train.label.tolist()))
    fields = prepare_fields(train, labels)
    red = np.array([is_rbc(name) for name in labels])
    doubtful = red if red.any() else ~red
    typical = np.array(
        [
            np.median(np.concatenate([sides(f.box[f.label == k]) / f.cell for f in fields]))
            for k in range(len(labels))
        ]
    )
    typical[doubtful & red] = 1.0
    course = Course(cut_cells(fields, len(labels)), typical, red, doubtful)
    network = build_network(backbone, len(labels))
    history = fit_network(network, fields, course, epochs, seed)
    exported = convert(network)
    card: dict[str, Any] = {
        "labels": labels,
        "typical_side": dict(zip(labels, typical.tolist(), strict=True)),
        "thresholds": dict.fromkeys(labels, 0.0),
        "cell": CELL,
        "epochs": epochs,
        "cells_without_a_box": sum(len(f.box) - f.annotated for f in fields),
    }
    judges = prepare_fields(val, labels)
    detector = Detector(exported, card)
    found = [
        detector.find(f.raw(), 0.05, f.cell) for f in progress(judges, len(judges), "thresholds")
    ]
    thresholds = choose_thresholds(found, judges, doubtful)
    card["thresholds"] = dict(zip(labels, thresholds.round(3).tolist(), strict=True))
    return (network, exported), card, history
