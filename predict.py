"""Tell what blood cell an image shows, from the exported model, without starting TensorFlow.

    python3 predict.py cell.png                          # cell.png: RBC (probability 0.998)
    python3 predict.py cell.png more/ --json             # one JSON object per line
    python3 predict.py cell.png --explain why.png        # and what in it spoke for the answer

An image is taken as one segment: a single cell cut out of a field, of any size and proportions. A
folder stands for the images in it, by name. ``uncertain`` marks a picture unlike anything the
model has learnt from, whatever the probabilities say: its novelty lies above the model card's
``novelty_threshold`` (see ``fit_novelty`` in train_model.py for what that measures).
Ends with status 1 where some of several images could not be read.
"""

from __future__ import annotations

import json
import os
import sys
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from preprocess_data import (
    UserError,
    command,
    find_images,
    option,
    parse_options,
    read_image,
    say,
    scale_pixels,
    square_crop,
)
from train_model import PRETRAINED, Classifier, save_figure


@dataclass(frozen=True)
class Options:
    images: Sequence[Path] = option(
        (), "image files, or folders of them", nargs="+", metavar="IMAGE"
    )
    model: Path | None = option(None, "folder of a model (default: model/, else the bundled one)")
    json: bool = option(False, "print one JSON object per line")
    explain: Path | None = option(
        None, "also write a .png of what in the one IMAGE spoke for its answer", metavar="OUT"
    )
    workers: int = option(os.cpu_count() or 1, "images looked at side by side")


def choose_model(folder: Path | None) -> tuple[Path, str]:
    """The folder given, else model/ where one was trained, else the bundled model; and a notice."""
    if folder is not None:
        return folder, ""
    trained = Path("model")
    if (trained / "hematovision.json").is_file():
        return trained, f"using the model trained here: {trained}"
    return PRETRAINED, f"using the bundled model: {PRETRAINED}"


def list_images(paths: Iterable[Path]) -> list[Path]:
    """Spread folders out into their images; UserError where a folder holds none."""
    images: list[Path] = []
    for path in paths:
        found = find_images(path) if path.is_dir() else [path]
        if not found:
            raise UserError(f"{path}: no image in this folder; name a file or another folder")
        images += found
    return images


def predict_segment(classifier: Classifier, path: Path) -> dict[str, Any] | UserError:
    """What one image shows, as the JSON object promises; a UserError instead if it's unreadable."""
    try:
        crop = square_crop(read_image(path), classifier.image_size)
    except UserError as error:
        return error
    probabilities, novelty = classifier.judge(scale_pixels(crop))
    label = int(classifier.predict(probabilities[None])[0])
    by_class = dict(zip(classifier.classes, map(float, probabilities), strict=True))
    return {
        "image": str(path),
        "label": classifier.classes[label],
        "probability": float(probabilities[label]),
        "rbc_probability": by_class.get("RBC"),
        "probabilities": by_class,
        "uncertain": bool(classifier.is_uncertain(novelty)),
    }


def predict_segments(
    classifier: Classifier, paths: Sequence[Path], workers: int
) -> Iterator[dict[str, Any] | UserError]:
    """Answers in the order of `paths`, a few images ahead of the reader: memory stays flat."""
    with ThreadPoolExecutor(workers) as pool:
        ahead: deque = deque()
        for path in paths:
            ahead.append(pool.submit(predict_segment, classifier, path))
            if len(ahead) > 4 * workers:
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()


def explain_segment(
    classifier: Classifier, path: Path, answer: dict[str, Any], target: Path, workers: int
) -> None:
    """Write a picture of what in the image spoke for the answer, and what against it."""
    from evaluate_model import occlude, plot_explanation  # with matplotlib: only where asked for

    crop = square_crop(read_image(path), classifier.image_size)
    fall, lowest = occlude(classifier, crop, classifier.classes.index(answer["label"]), workers)
    title = (
        f"{answer['label']}: probability {answer['probability']:.3f}, "
        f"{lowest:.3f} with the most telling patch covered"
    )
    save_figure(plot_explanation(crop, fall, title), target)


def check_options(options: Options, images: Sequence[Path]) -> None:
    """Refuse values that no later step could use."""
    if options.workers < 1:
        raise UserError(f"--workers {options.workers}: at least 1")
    if options.explain and options.explain.suffix.lower() != ".png":
        raise UserError(f"--explain {options.explain}: not a picture's name; try why.png")
    if options.explain and len(images) != 1:
        raise UserError(f"--explain {options.explain}: wants one image, not {len(images)}")


def format_line(answer: dict[str, Any]) -> str:
    """One answer for a person to read."""
    doubt = ", uncertain: unlike any cell the model has learnt" if answer["uncertain"] else ""
    return f"{answer['image']}: {answer['label']} (probability {answer['probability']:.3f}{doubt})"


@command
def main(argv: Sequence[str] | None = None) -> int:
    options: Options = parse_options(Options, __doc__, argv)
    images = list_images(options.images)
    check_options(options, images)
    folder, notice = choose_model(options.model)
    classifier = Classifier.load(folder)
    failed = 0
    for answer in predict_segments(classifier, images, min(options.workers, len(images))):
        if isinstance(answer, UserError):
            if len(images) == 1:
                raise answer
            say(f"warning: {answer}")
            failed += 1
        else:
            if notice:  # not before there is something to say: an error is one line
                say(notice)
                notice = ""
            print(json.dumps(answer) if options.json else format_line(answer), flush=True)
            if options.explain:
                explain_segment(classifier, images[0], answer, options.explain, options.workers)
    if failed:
        say(f"warning: {failed} of {len(images)} images could not be read")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
