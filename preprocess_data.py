"""Turn labelled smear fields into an archive of cell crops.

    python3 preprocess_data.py --data-dir DIR            # -> preprocessed_data.npz
    python3 preprocess_data.py --data-dir LAB1 LAB2      # several laboratories in one archive
    python3 preprocess_data.py --data-dir DIR --check    # what is to be mended -> check.html
    python3 preprocess_data.py --download                # fetch BCCD into data/ first
    python3 preprocess_data.py --task multiclass --preview sheet.png
    python3 preprocess_data.py --data-dir DIR --shard 3/64   # a part of what --shards 64 writes

Every annotated box becomes a square crop, cell-free patches of the same fields are added as
"Background", and fields (never crops) are dealt out to train, val and test, so that no two
segments of one field stand on both sides. Read the archive with
``np.load("preprocessed_data.npz", allow_pickle=False)``.
"""

from __future__ import annotations

import os
import sys

# Python's own way to this folder is left out by PYTHONSAFEPATH.
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

# isort: split
import hematovision.program.signals  # noqa: F401  first: from here on a signal ends in one line

# isort: split
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

from hematovision.archive.metadata import (
    SPLITS,
    Metadata,
    Task,
    format_metadata,
    is_written,
    join_metadata,
)
from hematovision.archive.parts import ARCHIVE, MOST, check_replaceable, claim, place
from hematovision.cells.labels import is_rbc, parse_renames, tell_counts
from hematovision.datasets.completeness import settle_complete, state_complete
from hematovision.datasets.dataset import Dataset
from hematovision.datasets.download import download_bccd
from hematovision.datasets.field import Field
from hematovision.datasets.findings import Findings
from hematovision.datasets.joining import are_drawn, gather, join
from hematovision.datasets.opening import find_default, open_datasets, unify
from hematovision.datasets.read_index import ReadIndex
from hematovision.datasets.reading import read_fields
from hematovision.preparing.building import build_splits, lacks_ground
from hematovision.preparing.check_page import MOST_DRAWN, write_check_page
from hematovision.preparing.classes import check_classes, count_classes, encode_labels, name_class
from hematovision.preparing.description import (
    Whole,
    describe,
    digest_annotations,
    digest_fields,
    list_complete,
    summarise,
)
from hematovision.preparing.named_cells import cut_to_named_cells
from hematovision.preparing.outputs import check_outputs
from hematovision.preparing.preview import draw_preview
from hematovision.preparing.splits import assign_splits, deal_parts, group_twins
from hematovision.preparing.writing import write_archive
from hematovision.program.console import UserError, command, say, tell
from hematovision.program.files import HERE, IMAGE_SUFFIXES
from hematovision.program.marks import check_drawn
from hematovision.program.options import option, parse_options, seed_option, worker_option
from hematovision.program.share import Share, list_shares


class Reading(NamedTuple):
    """All that was read."""

    fields: list[Field]
    ways: dict[str, str]  # the way each laboratory was split
    findings: Findings


@dataclass(frozen=True)
class Options:
    data_dir: tuple[Path, ...] = option(
        (), "folder(s) of annotated pictures, a laboratory each (default: data/ or data/sample/)"
    )
    output: Path | None = option(
        None, "archive to write (default: preprocessed_data.npz; demo/ holds that of drawn cells)"
    )
    image_size: int = option(96, "side of a crop in pixels", low=32, high=512)
    task: Literal["binary", "multiclass"] | None = option(
        None,
        "RBC against the rest, or all labels (default: binary; multiclass where nothing is "
        "labelled RBC)",
    )
    split: Literal["auto", "official", "random", "folds", "test"] = option(
        "auto",
        "the dataset's own, 70/15/15 random, folds (every field is trained on, and tested by a "
        "model that hasn't seen it), all to test, or its own if it has one, folds up to 5 fields",
    )
    labels: str | None = option(
        None, 'rename labels, or drop them: "0=RBC,1=WBC,debris="', metavar="OLD=NEW,..."
    )
    complete: tuple[str, ...] = option(
        (),
        "labels of a dataset that no cell lacks a box of (default: judged)",
        metavar="DIR=LABEL,...",
    )
    check: bool = option(False, "write no archive, but a page of what is to be mended, check.html")
    background: float = option(0.25, "cell-free patches to add, per annotated box", low=0, high=10)
    seed: int = seed_option("seed of the random split and of the background patches")
    workers: int = worker_option("threads that read fields")
    preview: Path | None = option(None, "also write a contact sheet of crops, a .png")
    shards: int | None = option(
        None, "write the archive in so many parts, OUTPUT-00001-of-0000N.npz", low=1, high=MOST
    )
    shard: str | None = option(
        None, "write one part of it only, as this machine's share of the work", metavar="K/N"
    )
    resume: bool = option(
        False, "keep what was read, and go on with what a cut run has read and written"
    )
    download: bool = option(False, "first fetch the BCCD dataset (MIT licence, 8 MB) into data/")


def choose_task(options: Options, datasets: Sequence[Dataset]) -> Task:
    """The task asked for; else binary, or multiclass where no red cell is labelled, and says so."""
    if options.task:
        return options.task
    counts = sum((d.count_labels() for d in datasets), Counter())
    if any(is_rbc(label) for label in counts):
        return "binary"
    datasets[0].findings.notices.append(
        f"no box is labelled RBC, so --task multiclass; labels found: {tell_counts(counts)} "
        "(one of them is red cells? --labels NAME=RBC)"
    )
    return "multiclass"


def open_index(options: Options, shares: Sequence[Share]) -> ReadIndex | None:
    """Where what was read is kept: beside the archive, if that is in parts or may be gone on with.

    Machines that make a part each begin to read at different places.
    """
    if not (shares or options.resume):
        return None
    start = (shares[0].number - 1) / shares[0].count if len(shares) == 1 else 0.0
    return ReadIndex((options.output or ARCHIVE).with_suffix(".index"), start)


def write_part(
    share: Share | None,
    output: Path,
    fields: Sequence[Field],
    classes: Sequence[str] | None,
    whole: Whole,
    options: Options,
    findings: Findings,
) -> tuple[Path, Metadata, Findings]:
    """Write an archive of fields, the whole one or a part: its file, what it says of itself, and
    what was left out of it beside the `findings` of all.

    `classes`: of all parts (None: to be named here). With --resume what stands is left.
    """
    here = Findings(findings.keep)
    arrays: dict[str, Any] = build_splits(fields, share, whole, here)
    if classes is None and lacks_ground(arrays, whole, options.split):
        here = Findings(findings.keep)
        arrays = build_splits(fields, share, whole._replace(background=0), here)
        here.notices.append("too little ground to show some in each split: no background is cut")
    names = {s: [name_class(k, whole.task) for k in arrays[f"label_{s}"].tolist()] for s in SPLITS}
    named = {s: Counter(names[s]) for s in SPLITS}
    together = Findings(findings.keep)
    for found in (findings, here):
        together.merge(found)
    classes = classes or check_classes(named, whole.task, options.split, together)
    arrays |= {f"y_{s}": encode_labels(classes, names[s]) for s in SPLITS}
    metadata = describe(whole, fields, named, classes, together)
    if share:
        metadata = replace(
            metadata, part=[share.number, share.count], left_out_here=here.of("left out")
        )
    arrays["classes"] = np.array(classes, str)
    arrays["metadata"] = np.array(format_metadata(metadata))
    path = share.name(output) if share else output
    if not (options.resume and is_written(path, metadata)):
        write_archive(path, arrays, options.workers)
    if options.preview and (share is None or share.number == 1):
        draw_preview(options.preview, [arrays[f"X_{s}"] for s in SPLITS], options.seed)
    return path, metadata, here


def read_all(datasets: Sequence[Dataset], options: Options, index: ReadIndex | None) -> Reading:
    """The fields of all datasets, each knowing where it stands, and what was found in them."""
    read = []
    for dataset in datasets:
        fields = read_fields(dataset, options.workers, index)
        fields = cut_to_named_cells(fields, dataset.findings)
        read.append(settle_complete(dataset, fields))
    fields, missing = join(datasets, read)
    findings = gather(datasets)
    fields = group_twins(fields, findings)
    fields, ways = assign_splits(fields, missing, options.split, options.seed, findings)
    return Reading(fields, ways, findings)


def write_all(
    reading: Reading, output: Path, whole: Whole, shares: Sequence[Share], options: Options
) -> tuple[list[Path], Metadata]:
    """Write the archive, or those of its parts that are wanted: the files, and what they say of
    themselves together."""
    fields, findings = reading.fields, reading.findings
    classes, by_part = None, {0: fields}
    if shares:
        by_part = {share.number: [] for share in shares}
        for field, part in zip(fields, deal_parts(fields, shares[0].count), strict=True):
            if part in by_part:
                by_part[part].append(field)
        named = count_classes(fields, whole.task, options.background)
        classes = check_classes(named, whole.task, options.split, findings)
    written = []
    for share in shares or (None,):
        mine = by_part[share.number if share else 0]
        path, metadata, here = write_part(share, output, mine, classes, whole, options, findings)
        # What is told of all parts together names no field, so none of them is held for it.
        metadata = replace(metadata, field_sha256={}, field_look={})
        written.append((path, metadata, here))
    files, descriptions, left_out = zip(*written, strict=True)
    for here in left_out:
        findings.merge(here)
    metadata = join_metadata(descriptions) if len(descriptions) > 1 else descriptions[0]
    return list(files), metadata


@command
def main(argv: Sequence[str] | None = None) -> int:
    start = time.perf_counter()
    options: Options = parse_options(Options, __doc__, argv)
    if options.preview and options.preview.suffix.lower() not in IMAGE_SUFFIXES:
        raise UserError(f"--preview {options.preview}: not a picture's name; try sheet.png")
    if options.preview:
        check_drawn(options.preview)
    if options.output:
        check_replaceable(options.output)
    if options.download:
        download_bccd(HERE / "data")
    renames = parse_renames(options.labels)
    datasets = open_datasets(
        options.data_dir or [find_default()], MOST_DRAWN if options.check else 1, renames
    )
    check_outputs((options.output, options.preview), datasets)
    shares = list_shares(options.shards, options.shard)
    datasets = unify(datasets, renames)
    datasets = state_complete(datasets, options.complete)
    task = choose_task(options, datasets)
    index = open_index(options, shares)
    reading = read_all(datasets, options, index)
    for notice in reading.findings.notices if options.check else ():
        say(notice)
    if options.check:
        page = (options.output or ARCHIVE).with_name("check.html")
        return write_check_page(page, reading.fields, reading.findings)
    whole = Whole(
        task, options.image_size, options.seed, options.background, reading.ways,
        list_complete(reading.fields), are_drawn(reading.fields), digest_fields(reading.fields),
        digest_annotations(reading.fields),
    )  # fmt: skip
    output = options.output or place(ARCHIVE.name, whole.demonstration)
    claim([share.name(output) for share in shares] or [output])
    files, metadata = write_all(reading, output, whole, shares, options)
    for notice in reading.findings.notices:
        say(notice)
    parts = list_shares(shares[0].count, None) if shares else []
    if index and all(part.name(output).exists() for part in parts):
        index.clear()
    for line in summarise(metadata, reading.findings, files, time.perf_counter() - start):
        tell(line)
    return 0


if __name__ == "__main__":
    sys.exit(main())
