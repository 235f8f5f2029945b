"""Tell what blood cell an image shows, from the exported model, without starting TensorFlow.

    python3 predict.py cell.png                          # cell.png: RBC (probability 0.998)
    python3 predict.py cell.png more/ --json             # one JSON object per line
    python3 predict.py cell.png --explain why.png        # and what in it spoke for the answer
    python3 predict.py --field field.jpg --output found  # every cell of a whole field, counted

An image is taken as one segment: a single cell cut out of a field, of any size and proportions. A
folder stands for the images in it, by name. ``uncertain`` marks a picture unlike anything the
model has learnt from, whatever the probabilities say: its novelty lies above the model card's
``novelty_threshold`` (see ``fit_novelty`` in train_model.py for what that measures).
With --field it is a whole field: every cell is found, named and counted (see field_detector.py).
Ends with status 1 where some of several images could not be read.
"""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from field_detector import MOST_PIXELS, Cells, Detector, draw_cells, sides
from preprocess_data import (
    UserError,
    command,
    find_images,
    is_rbc,
    option,
    parse_options,
    read_image,
    run_ahead,
    say,
    scale_pixels,
    square_crop,
    write_image,
    written_whole,
)
from train_model import BLUE, PRETRAINED, Classifier, new_figure, read_card, save_figure

# A picture of so many cells, and so many pixels high and wide, is taken for a whole field; so many
# pictures are looked at for it.
FEW, LARGE, LOOKS = 4, 256, 3


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
    field: bool = option(False, "find, name and count the cells of whole fields")
    output: Path | None = option(
        None,
        "with --field: folder for the fields with boxes drawn, cells.csv and, of several, "
        "summary.csv and sizes.png",
        metavar="DIR",
    )
    min_probability: float | None = option(
        None,
        "with --field: also list cells from this probability up, uncounted",
        low=0.01,
        high=1,
        metavar="P",
    )
    show_probability: bool = option(False, "with --output: write each cell's probability beside it")
    workers: int = option(
        os.cpu_count() or 1, "images looked at side by side; threads for a field", low=1
    )


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


def skip_unreadable(results: Iterable[Any], total: int, failed: list[UserError]) -> Iterator[Any]:
    """Pass on the results, but say and collect in `failed` the errors among them.

    Raises the error of an image that is the only one.
    """
    for result in results:
        if not isinstance(result, UserError):
            yield result
        elif total == 1:
            raise result
        else:
            say(f"warning: {result}")
            failed.append(result)


def predict_segments(
    classifier: Classifier, paths: Sequence[Path], workers: int
) -> Iterator[dict[str, Any] | UserError]:
    """Answers in the order of `paths`."""
    with ThreadPoolExecutor(workers) as pool:
        yield from run_ahead(
            pool, lambda path: predict_segment(classifier, path), paths, 4 * workers
        )


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


# --- whole fields ---------------------------------------------------------------------------------


def read_field(path: Path) -> tuple[Path, np.ndarray] | UserError:
    """`path` and its field (height, width, 3) uint8; a UserError instead if it's unreadable or too
    large."""
    try:
        data = path.read_bytes()
        # Pixels compress a thousandfold: a small file may be more than memory holds.
        if len(data) > 1 << 20 or data.startswith(b"RIFF"):
            from PIL import Image

            Image.MAX_IMAGE_PIXELS = None
            with contextlib.suppress(OSError), Image.open(io.BytesIO(data)) as image:
                width, height = image.size
                if width * height > MOST_PIXELS:
                    raise UserError(
                        f"{path}: {width} x {height} pixels are more than {MOST_PIXELS:,}; "
                        "cut the slide into fields"
                    )
        return path, read_image(path, data)
    except OSError as error:
        return UserError(f"{path}: can't be read ({error.strerror}); give an image file")
    except UserError as error:
        return error


def describe_field(
    path: Path, image: np.ndarray, cells: Cells, detector: Detector
) -> dict[str, Any]:
    """What a field shows, as the JSON object promises."""
    counted = detector.is_counted(cells)
    count = Counter(cells.label[counted].tolist())
    low, high = np.floor(cells.box[:, :2]), np.ceil(cells.box[:, 2:])
    boxes = np.concatenate([low, high], axis=1).astype(int).tolist()
    return {
        "image": str(path),
        "width": image.shape[1],
        "height": image.shape[0],
        "counts": {label: count[k] for k, label in enumerate(detector.labels)},
        "cells": [
            {
                "label": detector.labels[k],
                "probability": float(p),
                "box": box,
                "counted": bool(sure),
            }
            for k, p, box, sure in zip(cells.label, cells.probability, boxes, counted, strict=True)
        ],
    }


class FieldFolder:
    """What --output holds: pictures, cells.csv (whole at the end, or not at all), a summary."""

    def __init__(self, folder: Path, labels: Sequence[str], with_probability: bool) -> None:
        self.folder, self.labels, self.with_probability = folder, labels, with_probability
        self.counts: list[dict[str, Any]] = []
        self.red_sides: list[float] = []
        self._names: Counter[str] = Counter()
        folder.mkdir(parents=True, exist_ok=True)

    def __enter__(self) -> FieldFolder:
        self._stack = contextlib.ExitStack()
        path = self._stack.enter_context(written_whole(self.folder / "cells.csv"))
        self._file = self._stack.enter_context(open(path, "w", newline="", encoding="utf-8"))
        header = ("image", "label", "probability", "xmin", "ymin", "xmax", "ymax", "area_px",
                  "counted")  # fmt: skip
        self._rows = csv.writer(self._file, lineterminator="\n")
        self._rows.writerow(header)
        return self

    def __exit__(self, *failure: Any) -> None:
        self._stack.__exit__(*failure)

    def add(self, path: Path, image: np.ndarray, cells: Cells, answer: dict[str, Any]) -> None:
        """Draw one field and list its cells."""
        self._names[path.stem] += 1
        again = f"_{self._names[path.stem]}" if self._names[path.stem] > 1 else ""
        counted = cells.pick(np.array([c["counted"] for c in answer["cells"]], bool))
        drawn = draw_cells(image, counted, self.labels, self.with_probability)
        write_image(self.folder / f"{path.stem}{again}_cells.png", drawn)
        for cell in answer["cells"]:
            x0, y0, x1, y1 = cell["box"]
            numbers = f"{cell['probability']:.4f}", x0, y0, x1, y1, (x1 - x0) * (y1 - y0)
            self._rows.writerow((path, cell["label"], *numbers, cell["counted"]))
        self.counts.append({"image": path, **answer["counts"]})
        red = np.array([is_rbc(self.labels[k]) for k in counted.label], bool)
        inside = (counted.box[:, :2] > 2).all(axis=1)
        inside &= (counted.box[:, 2:] < np.array(image.shape[1::-1]) - 2).all(axis=1)
        self.red_sides += sides(counted.box[red & inside]).tolist()

    def summarise(self) -> None:
        """Counts by field as summary.csv, and how large the whole red cells are as sizes.png."""
        with written_whole(self.folder / "summary.csv") as temporary:
            text = io.StringIO()
            rows = csv.DictWriter(text, self.counts[0], lineterminator="\n")
            rows.writeheader()
            rows.writerows(self.counts)
            temporary.write_text(text.getvalue(), "utf-8")
        figure = new_figure(6.4, 4.2)
        axes = figure.subplots()
        axes.hist(self.red_sides, bins=30, color=BLUE)
        spread = ""
        if self.red_sides:
            low, middle, high = np.percentile(self.red_sides, [5, 50, 95])
            axes.axvline(middle, color="black", linestyle="--")
            spread = f": median {middle:.0f} px, 5 to 95 %: {low:.0f} to {high:.0f} px"
        axes.set(xlabel="side of a red cell, square root of its box (px)", ylabel="red cells")
        title = f"{len(self.red_sides)} whole red cells of {len(self.counts)} fields{spread}"
        axes.set_title(title, fontsize=11)
        save_figure(figure, self.folder / "sizes.png")


def format_count(name: str, counts: Sequence[Any], widths: Sequence[int], first: int) -> str:
    """One row of the table of counts."""
    return name.ljust(first) + "".join(str(n).rjust(w) for n, w in zip(counts, widths, strict=True))


def count_fields(options: Options, paths: Sequence[Path], folder: Path, notice: str) -> int:
    """Find and count the cells of fields one after the other; how many couldn't be read."""
    detector = Detector.load(folder, read_card(folder), options.workers)
    widths = [max(len(label), 5) + 2 for label in detector.labels]
    first = max(len(str(path)) for path in (*paths, "all")) + 1
    failed: list[UserError] = []
    totals, header = np.zeros(len(detector.labels), int), not options.json
    with contextlib.ExitStack() as stack:
        target = None
        pool = stack.enter_context(ThreadPoolExecutor(1))
        fields = run_ahead(pool, read_field, paths, 2)
        for path, image in skip_unreadable(fields, len(paths), failed):
            if notice:
                say(notice)
                notice = ""
            if options.output and target is None:
                target = FieldFolder(options.output, detector.labels, options.show_probability)
                stack.enter_context(target)
            cells = detector.find(image, options.min_probability)
            answer = describe_field(path, image, cells, detector)
            if target:
                target.add(path, image, cells, answer)
            counts = list(answer["counts"].values())
            if options.json:
                print(json.dumps(answer), flush=True)
            else:
                if header:
                    print(format_count("field", detector.labels, widths, first))
                    header = False
                print(format_count(str(path), counts, widths, first), flush=True)
            totals += counts
        if len(paths) - len(failed) > 1 and not options.json:
            print(format_count("all", totals.tolist(), widths, first))
        if target and len(target.counts) > 1:
            target.summarise()
    if target:
        say(f"pictures and cells.csv: {options.output}")
    return len(failed)


def count_large(image: np.ndarray, folder: Path, card: dict[str, Any]) -> int:
    """How many cells a picture shows, if these are as many as of a whole field; else 0."""
    if min(image.shape[:2]) < LARGE or "fields" not in card:
        return 0
    cells = len(Detector.load(folder, card).find(image).label)
    return cells if cells >= FEW else 0


# --- the command line -----------------------------------------------------------------------------


def check_options(options: Options, images: Sequence[Path]) -> None:
    """Refuse values that no later step could use."""
    if not options.field and (options.output or options.min_probability is not None):
        raise UserError("--output and --min-probability want --field: a segment has no cells")
    if options.field and options.explain:
        raise UserError("--explain wants a segment, not --field")
    if options.show_probability and not options.output:
        raise UserError("--show-probability wants --output DIR, where fields are drawn")
    if options.output and options.output.exists() and not options.output.is_dir():
        raise UserError(f"--output {options.output}: is a file; name a folder")
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
    if options.field:
        failed = count_fields(options, images, folder, notice)
    else:
        failed = name_segments(options, images, folder, notice)
    if failed:
        say(f"warning: {failed} of {len(images)} images could not be read")
    return 1 if failed else 0


def name_segments(options: Options, images: Sequence[Path], folder: Path, notice: str) -> int:
    """Answer for segments one after the other; how many couldn't be read."""
    classifier = Classifier.load(folder)
    failed: list[UserError] = []
    looked = 0
    answers = predict_segments(classifier, images, min(options.workers, len(images)))
    for answer in skip_unreadable(answers, len(images), failed):
        if notice:  # not before there is something to say: an error is one line
            say(notice)
            notice = ""
        if looked < LOOKS:
            looked += 1
            name = answer["image"]
            if cells := count_large(read_image(Path(name)), folder, classifier.card):
                looked = LOOKS
                say(
                    f"notice: {name} looks like a whole field ({cells} cells); "
                    f"to find and count them: python3 predict.py --field {name}"
                )
        print(json.dumps(answer) if options.json else format_line(answer), flush=True)
        if options.explain:
            explain_segment(classifier, images[0], answer, options.explain, options.workers)
    return len(failed)


if __name__ == "__main__":
    sys.exit(main())
