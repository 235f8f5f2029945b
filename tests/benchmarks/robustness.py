"""How much a model minds what varies between laboratories, on BCCD's validation fields.

    python3 tests/benchmarks/robustness.py --data preprocessed_data.npz --model model

Every validation segment is cut out of its field again, changed by a graded amount in one respect,
and judged as predict.py would judge it. Prints accuracy by change and degree as a Markdown table,
draws them as a plot, and says how many pictures that are no cell at all, of kinds that training
never drew, are flagged as uncertain. The test split isn't touched.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import cv2
import numpy as np

from hematovision.archive.contents import FieldSplit, Split
from hematovision.archive.loading import load_archive
from hematovision.networks.classifier import Classifier
from hematovision.pictures.images import read_image, square_crop
from hematovision.program.console import command
from hematovision.program.figures import BLUE, GREY, new_figure, save_figure
from hematovision.program.options import option, parse_options

Change = Callable[[np.ndarray, np.random.Generator], np.ndarray]


@dataclass(frozen=True)
class Options:
    data: Path = option(Path("preprocessed_data.npz"), "archive whose validation split is changed")
    model: Path = option(Path("model"), "folder that train_model.py wrote")
    output: Path = option(Path("bench/robustness.png"), "plot to write")
    seed: int = option(42, "seed of the changes")


def cut(keep: float, segment: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Keep that share of the segment, from one of its four sides."""
    side = rng.integers(4)
    turned = np.rot90(segment, side)
    kept = turned[: max(2, round(len(turned) * keep))]
    return np.rot90(kept, -side)


def stretch(factor: float, segment: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return cv2.resize(segment, None, fx=factor, fy=1.0)


def restain(
    factor: float | np.ndarray, segment: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Scale the optical density: `factor` times as much dye."""
    return np.rint(255 * (np.maximum(segment, 1) / 255) ** factor).astype(np.uint8)


def retint(strength: float, segment: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Scale the density of each channel by a factor of its own, of that logarithmic spread."""
    return restain(np.exp(rng.normal(0, strength, 3)), segment, rng)


def relight(gain: float, segment: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return cv2.convertScaleAbs(segment, alpha=gain)


def rebalance(strength: float, segment: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Multiply each channel by a gain of its own, of that logarithmic spread."""
    return np.clip(segment * np.exp(rng.normal(0, strength, 3)), 0, 255).astype(np.uint8)


def defocus(radius: float, segment: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Blur by a Gaussian of that share of the longer side."""
    return cv2.GaussianBlur(segment, (0, 0), radius * max(segment.shape))


def shrink(factor: float, segment: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Photograph at a lower magnification: fewer pixels for the same cell."""
    size = [max(3, round(length * factor)) for length in segment.shape[1::-1]]
    return cv2.resize(segment, size, interpolation=cv2.INTER_AREA)


CHANGES: dict[str, tuple[str, Callable[..., np.ndarray] | None, tuple[float, ...]]] = {
    "cut": ("share of the cell left", cut, (0.8, 0.6, 0.4, 0.2)),
    "box": ("side of the box, times", None, (0.7, 0.85, 1.2, 1.5)),
    "aspect": ("width, times", stretch, (0.5, 0.7, 1.4, 2.0)),
    "stain": ("dye, times", restain, (0.5, 0.7, 1.5, 2.5)),
    "tint": ("spread of the dye by channel", retint, (0.1, 0.2, 0.3, 0.5)),
    "light": ("light, times", relight, (0.5, 0.7, 1.15, 1.3)),
    "white balance": ("spread of the gain by channel", rebalance, (0.05, 0.1, 0.2, 0.4)),
    "focus": ("blur, share of the side", defocus, (0.01, 0.02, 0.04, 0.08)),
    "magnification": ("pixels a side, times", shrink, (0.5, 0.25, 0.125)),
}


def cut_segments(split: Split, files: FieldSplit, scale: float) -> list[np.ndarray]:
    """The split's segments, their boxes scaled about the centre and clipped to the field."""
    fields = {name: read_image(Path(name), data) for name, data, *_ in files.read(())}
    segments = []
    for name, (xmin, ymin, xmax, ymax) in zip(split.source, split.box, strict=True):
        height, width = fields[name].shape[:2]
        x, y = (xmin + xmax) / 2, (ymin + ymax) / 2
        w, h = (xmax - xmin) * scale / 2, (ymax - ymin) * scale / 2
        x0, x1 = max(0, round(x - w)), min(width, max(round(x - w) + 2, round(x + w)))
        y0, y1 = max(0, round(y - h)), min(height, max(round(y - h) + 2, round(y + h)))
        segments.append(fields[name][y0:y1, x0:x1])
    return segments


def score(classifier: Classifier, segments: Sequence[np.ndarray], truth: np.ndarray) -> float:
    size = classifier.image_size
    crops = np.stack([square_crop(np.ascontiguousarray(s), size) for s in segments])
    proba, _ = classifier.predict_proba(crops)
    is_rbc = np.array(classifier.classes)[classifier.predict(proba)] == "RBC"
    return float((is_rbc == truth).mean())


def draw_no_cells(count: int, size: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Pictures of no cell by kind, (count, size, size, 3) uint8: none drawn like those that
    `train_model.draw_strangers` trains on."""
    y, x = np.mgrid[:size, :size]

    def page(colour: Sequence[float] = (255, 255, 255)) -> np.ndarray:
        return np.full((size, size, 3), colour, np.uint8)

    def face() -> np.ndarray:
        picture, ink = page(), (0, 0, 0)
        middle, radius = (
            size // 2 + int(rng.integers(-5, 6)),
            int(rng.integers(size // 4, size // 2)),
        )
        cv2.circle(picture, (middle, middle), radius, ink, 2, cv2.LINE_AA)
        for side in (-1, 1):
            eye = middle + side * radius // 3, middle - radius // 4
            cv2.circle(picture, eye, 3, ink, -1, cv2.LINE_AA)
        cv2.ellipse(picture, (middle, middle + 4), (radius // 2, radius // 2), 0, 20, 160, ink, 2)
        return picture

    def landscape() -> np.ndarray:
        sky = np.array([120, 180, 240]) + (255 - y[..., None]) * 0.2 + rng.normal(0, 20, 3)
        hills = (
            size * 0.55
            + np.cumsum(rng.normal(0, 1.5, size))
            + 6 * np.sin(x[0] / rng.uniform(5, 20))
        )
        meadow = rng.uniform((30, 80, 20), (110, 150, 80))
        picture = np.where((y > hills)[..., None], meadow, sky) + rng.normal(0, 6, (size, size, 1))
        return np.clip(picture, 0, 255).astype(np.uint8)

    def letter() -> np.ndarray:
        picture = page()
        for line in range(4):
            place = (3, 20 + line * size // 4)
            cv2.putText(picture, "Dear Sir or Madam"[line * 3 :], place, 2, 0.45, (20, 20, 20), 1)
        return picture

    def bars() -> np.ndarray:
        wide = np.repeat(rng.random(size) < 0.5, rng.integers(1, 6))[:size]
        return np.where(np.resize(wide, size)[None, :, None], 0, page()).astype(np.uint8)

    def speckle() -> np.ndarray:
        return np.where(rng.random((size, size, 1)) < 0.1, 0, page(rng.uniform(0, 255, 3)))

    def blank() -> np.ndarray:
        return page(rng.choice([(255, 255, 255), (0, 0, 0), rng.uniform(0, 255, 3)]))

    def rings() -> np.ndarray:
        wave = np.sin(np.hypot(x - size / 2, y - size / 2) / rng.uniform(1, 4))[..., None]
        return (127 + 127 * wave * rng.uniform(0.3, 1, 3)).astype(np.uint8)

    def wall() -> np.ndarray:
        joint = (y % 16 < 2) | ((x + (y // 16 % 2) * 16) % 32 < 2)
        picture = np.where(
            joint[..., None], (200, 195, 190), rng.uniform((120, 50, 40), (180, 90, 70))
        )
        return np.clip(picture + rng.normal(0, 8, picture.shape), 0, 255).astype(np.uint8)

    kinds = (face, landscape, letter, bars, speckle, blank, rings, wall)
    return {kind.__name__: np.stack([kind() for _ in range(count)]) for kind in kinds}


@command
def main(argv: Sequence[str] | None = None) -> int:
    options: Options = parse_options(Options, __doc__, argv)
    classifier = Classifier.load(options.model)
    archive = load_archive(options.data, ["val"])
    split, files = archive.splits["val"], archive.fields["val"]
    truth = split.label == "RBC"
    plain = cut_segments(split, files, 1.0)
    unchanged = score(classifier, plain, truth)
    print(
        f"unchanged: {unchanged:.4f} of {len(truth)} segments of {len(set(split.source))} fields\n"
    )
    print("| change | degrees | accuracy at each |\n|---|---|---|")
    results: dict[str, list[float]] = {}
    for name, (unit, change, degrees) in CHANGES.items():
        results[name] = []
        for degree in degrees:
            rng = np.random.default_rng(options.seed)
            if change is None:
                segments = cut_segments(split, files, degree)
            else:
                segments = [partial(change, degree)(s, rng) for s in plain]
            results[name].append(score(classifier, segments, truth))
        values = ", ".join(f"{v:.4f}" for v in results[name])
        print(f"| {name} | {unit}: {', '.join(map(str, degrees))} | {values} |", flush=True)

    figure = new_figure(12, 8)
    figure.suptitle(f"accuracy on {len(truth)} changed validation segments (dashed: unchanged)")
    for axes, (name, values) in zip(figure.subplots(3, 3).flat, results.items(), strict=True):
        unit, _, degrees = CHANGES[name]
        axes.axhline(unchanged, color=GREY, linestyle="--")
        axes.plot([str(d) for d in degrees], values, "o-", color=BLUE)
        axes.set(title=name, xlabel=unit, ylim=(min(0.9, min(values) - 0.01), 1.005))
    save_figure(figure, options.output)

    rng = np.random.default_rng(options.seed)
    print("\nflagged as uncertain, of pictures that show no cell:")
    for name, pictures in draw_no_cells(100, classifier.image_size, rng).items():
        _, novelty = classifier.predict_proba(pictures)
        print(f"  {name}: {classifier.is_uncertain(novelty).mean():.0%}")
    _, novelty = classifier.predict_proba(split.X)
    print(f"  (of validation segments: {classifier.is_uncertain(novelty).mean():.2%})")
    return 0


if __name__ == "__main__":
    sys.exit(main())
