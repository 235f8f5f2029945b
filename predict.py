"""Tell what blood cell an image shows, from the exported model, without starting TensorFlow.

    python3 predict.py cell.png                          # cell.png: RBC (probability 0.998)
    python3 predict.py cell.png more/ --json             # one JSON object per line
    python3 predict.py cell.png --explain why.png        # and what in it spoke for the answer
    python3 predict.py --field field.jpg --output found  # every cell of a whole field, counted
    python3 predict.py --field FOLDER --pick 5           # the five fields to be labelled first

An image is taken as one segment: a single cell cut out of a field, of any size and proportions. A
folder stands for the images in it and in all folders below, by name. ``uncertain`` marks a picture
unlike anything the model has learnt from, whatever the probabilities say: its novelty lies above
the model card's ``novelty_threshold``. With --field it is a whole field: every cell is found, named
and counted.
Ends with status 1 where some of several images could not be read.
"""

from __future__ import annotations

import hematovision.program.signals  # noqa: F401  first: from here on a signal ends in one line

# isort: split
import itertools
import json
import os
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from hematovision.answering.batch import Batch, list_images
from hematovision.answering.count_table import CountTable
from hematovision.answering.field_answer import describe_field, tell_scale
from hematovision.networks.card import Card, choose_model, read_card, warn_of_demonstration
from hematovision.networks.classifier import Classifier
from hematovision.networks.detector import FIELD_CELLS, FIELD_SIDES, Detector
from hematovision.networks.differential import (
    add_types,
    count_types,
    format_differential,
    list_types,
)
from hematovision.networks.tiles import check_tiles
from hematovision.pictures.images import read_image
from hematovision.program.console import UserError, command, option, parse_options, say, tell
from hematovision.program.files import name_apart
from hematovision.program.records import write_record
from hematovision.program.share import parse_share
from hematovision.program.surroundings import printable

if TYPE_CHECKING:
    from hematovision.answering.output_folder import OutputFolder

FIELD_LOOKS = 3  # so many pictures are looked at for whole fields among them


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
    cell_size: float | None = option(
        None,
        "with --field: pixels across a red cell (default: found by looking)",
        low=6,
        high=5000,
        metavar="PX",
    )
    annotations: Literal["voc", "coco", "yolo"] | None = option(
        None, "with --output: also write what was found as a dataset: voc, coco or yolo"
    )
    resume: bool = option(
        False, "with --output: go on with what a cut run has answered, and keep the answers"
    )
    shard: str | None = option(
        None, "of all images only this machine's share, as 3/64", metavar="K/N"
    )
    pick: int | None = option(
        None,
        "with --field: name the N fields that would teach the model most, and do the rest with "
        "these alone",
        low=1,
        metavar="N",
    )
    show_probability: bool = option(False, "with --output: write each cell's probability beside it")
    workers: int = option(
        os.cpu_count() or 1, "images looked at side by side; threads for a field", low=1
    )


def list_share(options: Options, images: Sequence[Path]) -> Sequence[Path]:
    """This machine's share of the images: shares in order make up the whole."""
    return images[parse_share(options.shard).cut(len(images))] if options.shard else images


def name_segments(
    options: Options, images: Sequence[Path], folder: Path, notices: list[str]
) -> int:
    """Answer for segments one after the other; how many couldn't be read."""
    classifier = Classifier.load(folder)
    looked_at, warned = set(images[:FIELD_LOOKS]), False  # for whole fields among them

    def look(path: Path) -> tuple[np.ndarray | None, dict[str, Any]]:
        picture = read_image(path)
        answer = classifier.answer(classifier.crop(picture))
        return picture if path in looked_at else None, {"image": str(path), **answer}

    batch = Batch(look, images, min(options.workers, len(images)), notices)
    for picture, answer in batch:
        cells = 0
        if picture is not None and not warned:
            cells = count_large(picture, folder, classifier.card)
        if cells:
            warned, name = True, answer["image"]
            say(
                f"notice: {name} looks like a whole field ({cells} cells); "
                f"to find and count them: python3 predict.py --field {name}"
            )
        print(json.dumps(answer) if options.json else format_line(answer), flush=True)
        if options.explain:  # of one image
            explain_segment(classifier, picture, answer, options.explain, options.workers)
    return batch.failed


def count_large(picture: np.ndarray, folder: Path, card: Card) -> int:
    """How many cells a picture shows, if these are as many as of a whole field; else 0."""
    large = (np.sort(picture.shape[:2]) >= FIELD_SIDES).all()
    if not large or card.fields is None:
        return 0
    found = Detector.load(folder, card).search(picture)
    cells = len(found.cells.label)
    return cells if cells >= FIELD_CELLS and found.scale.certain else 0


def format_line(answer: dict[str, Any]) -> str:
    """One answer for a person to read."""
    doubt = ", uncertain: unlike any cell the model has learnt" if answer["uncertain"] else ""
    name = printable(answer["image"])
    return f"{name}: {answer['label']} (probability {answer['probability']:.3f}{doubt})"


def explain_segment(
    classifier: Classifier,
    picture: np.ndarray,
    answer: dict[str, Any],
    target: Path,
    workers: int,
) -> None:
    """Write a picture of what in `picture` spoke for the answer, and what against it."""
    from hematovision.networks.explain import occlude, plot_explanation
    from hematovision.program.figures import save_figure

    crop = classifier.crop(picture)
    fall, lowest = occlude(classifier, crop, classifier.classes.index(answer["label"]), workers)
    title = (
        f"{answer['label']}: probability {answer['probability']:.3f}, "
        f"{lowest:.3f} with the most telling patch covered"
    )
    save_figure(plot_explanation(crop, fall, title), target)


# --- whole fields ---------------------------------------------------------------------------------


def count_fields(options: Options, images: Sequence[Path], folder: Path, notices: list[str]) -> int:
    """Find and count the cells of fields one after the other; how many couldn't be read."""
    detector = Detector.load(folder, read_card(folder), options.workers)
    types = list_types(read_card(folder).classes, detector.labels)
    classifier = Classifier.load(folder) if types else None
    named: Counter[str | None] = Counter()  # white cells so far, by type
    mine = list_share(options, images)
    table = CountTable(detector.labels, mine)
    target = open_output(options, folder, detector.labels, types) if options.resume else None
    done = target.journal.take_up(mine) if target else 0
    unread: list[Path] = []  # since the journal was written to
    first = parse_share(options.shard).cut(len(images)).start if options.shard else 0
    names = itertools.islice(zip(images, name_apart(images), strict=True), first + done, None)

    def look(path: Path) -> tuple[Path, np.ndarray]:
        image = read_image(path)
        if options.cell_size:
            check_tiles(path, image, options.cell_size)
        return path, image

    def tell_answer(path: Path, answer: dict[str, Any]) -> None:
        if options.pick:  # whose stdout names the fields
            return
        named.update(c["type"] for c in answer["cells"] if c["counted"] and "type" in c)
        lines = [json.dumps(answer)] if options.json else table.add(path, answer["counts"])
        for line in lines:
            tell(line, not options.output)

    for entry in target.journal if done else ():
        tell_answer(Path(entry["answer"]["image"]), entry["answer"])
    note = unread.append if len(mine) > 1 else None
    batch = Batch(look, mine[done:], 1, notices, note)
    for path, image in batch:
        cells, scale = detector.search(image, options.min_probability, options.cell_size)
        tell_scale(path, scale)
        answer = describe_field(path, image, cells, detector)
        if classifier:
            add_types(answer, classifier, image, cells, detector.labels)
        if options.output:
            target = target or open_output(options, folder, detector.labels, types)
            while unread:
                target.journal.add(unread.pop(0), {})
            name = next(name for of, name in names if of == path)
            target.add(name, path, image, cells, answer)
        tell_answer(path, answer)
    if not options.json and not options.pick:
        for line in table.close():
            tell(line, not options.output)
        if named:
            tell(format_differential(count_types(named, types)), not options.output)
    if target:
        while unread:
            target.journal.add(unread.pop(0), {})
        target.finish()
        say(f"pictures and cells.csv: {options.output}")
    return batch.failed + (target.journal.unread if target else 0)


def pick_images(
    options: Options, images: Sequence[Path], folder: Path, notices: list[str]
) -> tuple[list[Path], int]:
    """The fields most worth labelling, in that order, named on stdout and the reasons on stderr;
    and how many couldn't be read."""
    from hematovision.answering.picking import look_at, pick_fields

    detector = Detector.load(folder, read_card(folder), options.workers)
    batch = Batch(lambda path: (path, read_image(path)), images, 1, notices)
    candidates = {p: look_at(detector, image, options.cell_size) for p, image in batch}
    paths, picked = list(candidates), pick_fields([*candidates.values()], options.pick or 0)
    for i, why in picked:
        say(f"picked {paths[i]}: {why}")
        tell(printable(paths[i]), not options.output)
    return [paths[i] for i, _ in picked], batch.failed


def open_output(
    options: Options, folder: Path, labels: list[str], types: list[str]
) -> OutputFolder:
    """The folder for drawn fields and tables, and for annotations where these are wanted."""
    from hematovision.answering.annotated_output import AnnotatedOutput
    from hematovision.answering.output_folder import OutputFolder

    asked = ("min_probability", "cell_size", "annotations", "show_probability")
    run = {name: getattr(options, name) for name in asked}
    run["model"] = write_record(read_card(folder))
    share = parse_share(options.shard) if options.shard else None
    annotated = None
    if options.annotations:
        annotated = AnnotatedOutput(options.output, options.annotations, [*labels, *types])
    return OutputFolder(
        options.output, labels, options.show_probability, run, options.resume, share, annotated
    )


# --- the command line -----------------------------------------------------------------------------


def check_options(options: Options, images: Sequence[Path]) -> None:
    """Refuse values that no later step could use."""
    if not options.field and (options.output or options.min_probability is not None):
        raise UserError("--output and --min-probability want --field: a segment has no cells")
    if not options.field and options.cell_size is not None:
        raise UserError("--cell-size wants --field: a segment is one cell, of any size")
    if options.field and options.explain:
        raise UserError("--explain wants a segment, not --field")
    if options.show_probability and not options.output:
        raise UserError("--show-probability wants --output DIR, where fields are drawn")
    if options.resume and not options.output:
        raise UserError("--resume wants --field --output DIR, where the answers are kept")
    if options.pick and not options.field:
        raise UserError("--pick wants --field: it picks whole fields to be labelled")
    if options.pick and (options.shard or options.resume):
        raise UserError("--pick looks at all fields at once; leave --shard and --resume out")
    if options.pick and (options.json or options.explain):
        raise UserError("--pick names files, a line each; leave --json and --explain out")
    if options.annotations and not options.output:
        raise UserError("--annotations wants --field --output DIR, where the dataset is written")
    if options.output and options.output.exists() and not options.output.is_dir():
        raise UserError(f"--output {options.output}: is a file; name a folder")
    if options.explain and options.explain.suffix.lower() != ".png":
        raise UserError(f"--explain {options.explain}: not a picture's name; try why.png")
    if options.explain and len(images) != 1:
        raise UserError(f"--explain {options.explain}: wants one image, not {len(images)}")


@command
def main(argv: Sequence[str] | None = None) -> int:
    options: Options = parse_options(Options, __doc__, argv)
    images, notices = list_images(options.images)
    check_options(options, images)
    total = len(images)
    folder, chosen = choose_model(options.model)
    notices += filter(None, [chosen, warn_of_demonstration(read_card(folder))])
    if options.pick:
        images, failed = pick_images(options, images, folder, notices)
        if options.output and images:
            count_fields(options, images, folder, [])
    elif options.field:
        failed = count_fields(options, images, folder, notices)
    else:
        failed = name_segments(options, list_share(options, images), folder, notices)
    if failed:
        say(f"warning: {failed} of {total} images could not be read")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
