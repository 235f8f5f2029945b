"""Tell what blood cell an image shows, from the exported model, without starting TensorFlow.

    python3 predict.py cell.png                          # cell.png: RBC (probability 0.998)
    python3 predict.py cell.png more/ --json             # one JSON object per line
    python3 predict.py cell.png --explain why.png        # and what in it spoke for the answer
    python3 predict.py --field field.jpg --output found  # every cell of a whole field, counted
    python3 predict.py --field FOLDER --pick 5           # the five fields to be labelled first
    python3 predict.py --field FOLDER --watch            # and each new picture, until Ctrl-C

An image is taken as one segment: a single cell cut out of a field, of any size and proportions. A
folder stands for the images in it and in all folders below, by name. ``uncertain`` marks a picture
unlike anything the model has learnt from, whatever the probabilities say: its novelty lies above
the model card's ``novelty_threshold``. With --field it is a whole field: every cell is found, named
and counted.
Ends with status 1 where some of several images could not be read.
"""

from __future__ import annotations

import os
import sys

# Python's own way to this folder is left out by PYTHONSAFEPATH.
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

# isort: split
import hematovision.program.signals  # noqa: F401  first: from here on a signal ends in one line

# isort: split
import itertools
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from hematovision.answering.given import Batch, list_images
from hematovision.answering.segments import SegmentNamer, format_json, format_line
from hematovision.networks.card import choose_model, read_card, warn_of_demonstration
from hematovision.program.console import UserError, command, say, tell
from hematovision.program.marks import check_drawn
from hematovision.program.options import option, parse_options, worker_option
from hematovision.program.share import parse_share
from hematovision.program.signals import Stopped

if TYPE_CHECKING:
    from hematovision.answering.counting import FieldCounter
    from hematovision.answering.field_run import FieldRun
    from hematovision.answering.output_folder import Output

FIELD_LOOKS = 3  # so many pictures are looked at for whole fields among them


@dataclass(frozen=True)
class Options:
    images: Sequence[Path] = option(
        (), "image files, or folders of them", nargs="*", metavar="IMAGE"
    )
    model: Path | None = option(None, "folder of a model (default: model/, else the bundled one)")
    json: bool = option(False, "print one JSON object per line")
    explain: Path | None = option(
        None, "also write a .png of what in the one IMAGE spoke for its answer", metavar="OUT"
    )
    field: bool = option(False, "find, name and count the cells of whole fields")
    output: Path | None = option(
        None,
        "with --field: folder for the fields with boxes drawn, cells.csv, differential.csv and, of "
        "several, summary.csv and sizes.png",
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
    border: Literal["all", "half", "whole"] = option(
        "all",
        "with --field: which of the cells that the border cuts are counted; half: at the left and "
        "the top, not at the right and the bottom",
    )
    overlap: bool = option(
        False, "with --field: where a field shows a part of one before, count its cells once"
    )
    csv: Literal["plain", "excel"] = option(
        "plain", "with --output: how tables are written; excel: semicolons and decimal commas"
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
    gather: Path | None = option(
        None, "join the tables of all shares in this folder, and no more", metavar="DIR"
    )
    watch: bool = option(
        False, "with --field: go on with each new picture in the folders, until Ctrl-C"
    )
    pick: int | None = option(
        None,
        "with --field: name the N fields that would teach the model most, and do the rest with "
        "these alone",
        low=1,
        metavar="N",
    )
    show_probability: bool = option(False, "with --output: write each cell's probability beside it")
    workers: int = worker_option("images looked at side by side; threads for a field")


def list_share(options: Options, images: Sequence[Path]) -> Sequence[Path]:
    """This machine's share of the images: shares in order make up the whole."""
    return images[parse_share(options.shard).cut(len(images))] if options.shard else images


def name_segments(
    options: Options, images: Sequence[Path], folder: Path, notices: list[str]
) -> int:
    """Answer for segments one after the other; how many couldn't be read."""
    namer, warned = SegmentNamer(folder, images[:FIELD_LOOKS]), False
    workers = min(options.workers, len(images))
    batch = Batch(namer.name, images, workers, notices, len(images) == 1)
    for path, segment in batch:
        if segment is None:
            continue
        if segment.picture is not None and not warned:
            cells = namer.count_large(segment.picture)
            warned = bool(cells)
            if cells:
                say(
                    f"notice: {path} looks like a whole field ({cells} cells); "
                    f"to find and count them: python3 predict.py --field {path}"
                )
        tell(format_json(segment) if options.json else format_line(segment))
        if options.explain:  # of one image
            namer.explain(segment, options.explain, options.workers)
    return batch.failed


# --- whole fields ---------------------------------------------------------------------------------


def count_fields(options: Options, images: Sequence[Path], folder: Path, notices: list[str]) -> int:
    """Find and count the cells of fields one after the other; how many couldn't be read."""
    # Here, not above: what a segment is answered without is a third of all that is loaded.
    from hematovision.answering.count_table import AnswerPrinter, CountTable
    from hematovision.answering.counting import FieldCounter, HowToCount
    from hematovision.answering.field_run import FieldRun

    how = HowToCount(options.min_probability, options.cell_size, options.border)
    counter = FieldCounter.load(folder, how, options.workers)
    mine = list_share(options, images)
    printer = None
    if not options.pick:  # whose stdout names the fields
        table = CountTable(counter.labels, mine)
        printer = AnswerPrinter(options.json, table, counter, bool(options.output))
    output = plan_output(options, images, folder, counter)
    run = FieldRun(counter, printer, output, options.overlap)
    if options.shard:
        run.pass_by(images[: parse_share(options.shard).cut(len(images)).start])
    left = run.take_up(mine, options.watch) if options.resume else mine
    if options.watch:
        watch_folders(options, run, left, notices)
    run.count(left, notices, len(mine) == 1)
    run.finish()
    return run.failed


def watch_folders(
    options: Options, run: FieldRun, images: Sequence[Path], notices: list[str]
) -> None:
    """Count what is there, then each new picture, until a signal: then what was counted is written,
    and the signal takes its course."""
    from hematovision.answering.watch import Watch

    watch = Watch(options.images)
    watch.know(run.given)
    try:
        for group in itertools.chain([watch.take(images)], watch.follow()):
            run.count(group, notices, alone=False)
    except Stopped:
        run.finish()
        raise


def plan_output(
    options: Options, images: Sequence[Path], folder: Path, counter: FieldCounter
) -> Output | None:
    """What is to be left in a folder, where one is named."""
    if not options.output:
        return None
    from hematovision.answering.output_folder import Output
    from hematovision.program.journal import digest_run
    from hematovision.program.records import write_record

    asked = (
        "min_probability", "cell_size", "border", "overlap", "annotations", "show_probability",
    )  # fmt: skip
    model = write_record(read_card(folder))
    return Output(
        options.output,
        counter.labels,
        counter.types,
        {name: getattr(options, name) for name in asked} | {"model": model},
        dict(counter.confirmed),
        options.show_probability,
        options.annotations,
        options.csv,
        options.resume,
        parse_share(options.shard) if options.shard else None,
        digest_run({"images": [path.name for path in images]}),
    )


def pick_images(
    options: Options, images: Sequence[Path], folder: Path, notices: list[str]
) -> tuple[list[Path], int]:
    """The fields most worth labelling, in that order, named on stdout and the reasons on stderr;
    and how many couldn't be read."""
    from hematovision.answering.counting import FieldCounter, HowToCount
    from hematovision.answering.picking import look_at, pick_fields

    counter = FieldCounter.load(folder, HowToCount(cell_px=options.cell_size), options.workers)
    batch = Batch(counter.read, images, 1, notices, len(images) == 1)
    candidates = {path: look_at(counter, image) for path, image in batch if image is not None}
    paths, picked = list(candidates), pick_fields([*candidates.values()], options.pick or 0)
    for i, why in picked:
        say(f"picked {paths[i]}: {why}")
        tell(str(paths[i]), not options.output)
    return [paths[i] for i, _ in picked], batch.failed


# --- the command line -----------------------------------------------------------------------------


WANTS = (  # an option, another that it is nothing without, and why
    ("output", "field", "a segment has no cells to be drawn"),
    ("min_probability", "field", "a segment has no cells to be listed"),
    ("cell_size", "field", "a segment is one cell, of any size"),
    ("overlap", "field", "a segment overlaps none"),
    ("watch", "field", "it answers fields as they are taken"),
    ("pick", "field", "it picks whole fields to be labelled"),
    ("show_probability", "output", "where fields are drawn"),
    ("resume", "output", "where the answers are kept"),
    ("annotations", "output", "where the dataset is written"),
)
CONTRADICT = (  # two options, and what to do
    ("explain", "field", "--explain wants a segment"),
    ("pick", "shard", "--pick looks at all fields at once"),
    ("pick", "resume", "--pick looks at all fields at once"),
    ("pick", "watch", "--pick looks at all fields at once"),
    ("pick", "json", "--pick names files, a line each"),
    ("pick", "explain", "--pick names files, a line each"),
    ("overlap", "shard", "fields overlap those of other shares"),
    ("overlap", "pick", "fields are picked one by one"),
    ("watch", "shard", "nobody knows yet how many fields there will be"),
)


def name_option(name: str) -> str:
    wants_folder = " DIR" if name == "output" else ""
    return f"--{name.replace('_', '-')}{wants_folder}"


def check_options(options: Options, images: Sequence[Path]) -> None:
    """Refuse values that no later step could use."""
    given = {f.name for f in fields(Options) if getattr(options, f.name) not in (None, False, ())}
    for name, wanted, why in WANTS:
        if name in given and wanted not in given:
            raise UserError(f"{name_option(name)} wants {name_option(wanted)}: {why}")
    for name, other, why in CONTRADICT:
        if name in given and other in given:
            raise UserError(f"{name_option(name)} and {name_option(other)}: {why}; leave one out")
    if options.border != "all" and not options.field:
        raise UserError("--border wants --field: a segment is one cell")
    if options.csv != "plain" and not options.output:
        raise UserError("--csv wants --output DIR, where tables are written")
    if options.output and options.output.exists() and not options.output.is_dir():
        raise UserError(f"--output {options.output}: is a file; name a folder")
    if options.explain:
        check_explain(options.explain, images)


def check_explain(target: Path, images: Sequence[Path]) -> None:
    """Refuse what an explanation can't be written to, or would write over."""
    if target.suffix.lower() != ".png":
        raise UserError(f"--explain {target}: not a picture's name; try why.png")
    if len(images) != 1:
        raise UserError(f"--explain {target}: wants one image, not {len(images)}")
    check_drawn(target)


@command
def main(argv: Sequence[str] | None = None) -> int:
    options: Options = parse_options(Options, __doc__, argv)
    if options.gather:
        return gather_shares(options, options.gather)
    images, notices = list_images(options.images, may_be_empty=options.watch)
    check_options(options, images)
    folder, chosen = choose_model(options.model)
    notices += filter(None, [chosen, warn_of_demonstration(read_card(folder))])
    total = len(images)
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


def gather_shares(options: Options, folder: Path) -> int:
    """Join the tables of the shares in a folder."""
    from hematovision.answering.gather import gather

    if options.images or options.field:
        raise UserError("--gather DIR joins tables that are there; leave images and --field out")
    tell(gather(folder))
    return 0


if __name__ == "__main__":
    sys.exit(main())
