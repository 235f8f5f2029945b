"""Turn labelled smear fields into an archive of cell crops.

    python3 preprocess_data.py --data-dir DIR            # -> preprocessed_data.npz
    python3 preprocess_data.py --data-dir LAB1 LAB2      # several laboratories in one archive
    python3 preprocess_data.py --data-dir DIR --check    # what is to be mended -> check.html
    python3 preprocess_data.py --download                # fetch BCCD into data/ first
    python3 preprocess_data.py --task multiclass --preview sheet.png

Every annotated box becomes a square crop, cell-free patches of the same fields are added as
"Background", and fields (never crops) are dealt out to train, val and test, so that no two
segments of one field stand on both sides. Read the archive with
``np.load("preprocessed_data.npz", allow_pickle=False)``.
"""

from __future__ import annotations

import hematovision.signals  # noqa: F401  first: from here on a signal ends in one line

# isort: split
import hashlib
import json
import os
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from hematovision.archive import ARCHIVE, SPLITS, place
from hematovision.cells import Segment, is_rbc
from hematovision.check_page import MOST_DRAWN, write_check_page
from hematovision.completeness import settle_complete, state_complete
from hematovision.console import UserError, command, option, parse_options, say
from hematovision.dataset import (
    Dataset,
    find_default,
    gather,
    is_drawn,
    join,
    open_datasets,
    read_fields,
    unify,
)
from hematovision.download import download_bccd
from hematovision.field import Field
from hematovision.files import HERE, IMAGE_SUFFIXES
from hematovision.findings import Example, Findings
from hematovision.ground import place_background
from hematovision.images import write_image
from hematovision.labels import parse_renames, tell_counts
from hematovision.named_cells import cut_to_named_cells
from hematovision.packing import Crops, Files, pack_fields, write_archive
from hematovision.splits import assign_splits, mark_twins


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
    seed: int = option(42, "seed of the random split and of the background patches", low=0)
    workers: int = option(os.cpu_count() or 1, "threads that read fields", low=1)
    preview: Path | None = option(None, "also write a contact sheet of crops, a .png")
    download: bool = option(False, "first fetch the BCCD dataset (MIT licence, 8 MB) into data/")


def drop_hidden_rbc(segments: Sequence[Segment]) -> tuple[list[Segment], int]:
    """Without the other cells' boxes that hold a red cell's centre: those do show a red cell."""
    centres = [
        ((s.box[0] + s.box[2]) / 2, (s.box[1] + s.box[3]) / 2) for s in segments if is_rbc(s.label)
    ]

    def holds_rbc(box: tuple[int, int, int, int]) -> bool:
        return any(box[0] <= x < box[2] and box[1] <= y < box[3] for x, y in centres)

    kept = [s for s in segments if is_rbc(s.label) or not holds_rbc(s.box)]
    return kept, len(segments) - len(kept)


def choose_task(options: Options, datasets: Sequence[Dataset]) -> str:
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


def add_background(
    fields: Sequence[Field], split: str, options: Options
) -> tuple[dict[str, list[Segment]], int]:
    """Cell-free patches for each field, by name, as large as its laboratory's boxes; and how many
    found no room."""
    patches: dict[str, list[Segment]] = {f.name: [] for f in fields}
    unplaced = 0
    for number, lab in enumerate(dict.fromkeys(f.lab for f in fields)):
        members = [f for f in fields if f.lab == lab and not f.whole]
        seeds = [options.seed, SPLITS.index(split), *([number] if number else [])]
        found, lacking = place_background(members, options.background, np.random.default_rng(seeds))
        patches |= found
        unplaced += lacking
    return patches, unplaced


def build_split(
    fields: Sequence[Field], split: str, task: str, options: Options, findings: Findings
) -> dict[str, np.ndarray | Crops | Files]:
    """The arrays of one split but for `y`; what is left out of it goes to `findings`.

    Beside the crops go the fields as they are, see `pack_fields`: what finds cells in a whole field
    is trained on those.
    """
    patches, unplaced = add_background(fields, split, options)
    if unplaced:
        reason = "background patch for which no cell-free room was found"
        findings.add("left out", reason, None, unplaced)
    chosen = []
    for field in fields:
        segments = field.segments
        if task == "binary":
            segments, hidden = drop_hidden_rbc(segments)
            if hidden:
                reason = "other cell's box that holds a red cell's centre"
                findings.add("left out", reason, Example(field.name, field.path), hidden)
        chosen.append((field, segments + patches[field.name]))
    flat = [(f, s) for f, segments in chosen for s in segments]
    arrays = {
        "X": Crops(chosen, options.image_size),
        "label": np.array([s.label for _, s in flat], str),
        "source": np.array([f.name for f, _ in flat], str),
        "box": np.array([s.box for _, s in flat], np.int64).reshape(-1, 4),
        "lab": np.array([f.lab for f, _ in flat], str),
        **pack_fields(fields),
    }
    return {f"{name}_{split}": array for name, array in arrays.items()}


def name_classes(labels: np.ndarray, task: str) -> np.ndarray:
    """The class of each label: the label itself, or RBC and Other in the binary task."""
    if task == "multiclass":
        return labels
    return np.array(["RBC" if is_rbc(label) else "Other" for label in labels], str)


def check_classes(
    named: dict[str, np.ndarray], task: str, how: str, findings: Findings
) -> list[str]:
    """The classes in order; UserError where one has no example in one of the splits in use."""
    everything = Counter(np.concatenate(list(named.values())).tolist())
    classes = ["Other", "RBC"] if task == "binary" else sorted(everything)
    for split in ("test",) if how == "test" else SPLITS:
        for name in classes:
            # Who scores a model on cells of their own needs no example of every class.
            if name not in named[split] and (how != "test" or task == "binary"):
                raise UserError(
                    f"class {name}: {everything[name]} example(s) in all, none in {split}: too few "
                    f"to split (--split folds needs no more); classes found: "
                    f"{tell_counts(everything)}; add fields of it with an annotation "
                    "(XML, JSON, TXT) or pictures in a folder per class, drop or rename "
                    f"labels with --labels, or try another --split or --seed "
                    f"({findings.tell_why()})"
                )
    return classes


def encode_labels(classes: Sequence[str], names: np.ndarray) -> np.ndarray:
    """Index into the sorted `classes` of each name, (n,) int64, by scikit-learn's LabelEncoder."""
    from sklearn.preprocessing import LabelEncoder

    return LabelEncoder().fit(classes).transform(names).astype(np.int64)  # an empty split too


def describe(
    options: Options,
    task: str,
    ways: dict[str, str],
    fields: Sequence[Field],
    named: dict[str, np.ndarray],
    classes: Sequence[str],
    findings: Findings,
) -> dict[str, Any]:
    """The archive's metadata: what it was made of, by which options, and what was left out."""
    listing = "".join(f"{f.digest}  {f.name}\n" for f in fields)
    by_split = {s: [f for f in fields if f.is_in(s)] for s in SPLITS}
    complete: dict[str, set[str]] = {}
    for f in fields:
        complete.setdefault(f.lab, set(f.complete)).intersection_update(f.complete)
    return {
        "task": task,
        "image_size": options.image_size,
        "seed": options.seed,
        "split": " and ".join(dict.fromkeys(ways.values())),
        "split_by_lab": ways,
        "folds": {f.name: f.fold for f in by_split["train"] if f.fold is not None},
        "background": options.background,
        "fields": {s: len(by_split[s]) for s in SPLITS},
        "boxes": dict(sorted(Counter(s.label for f in fields for s in f.segments).items())),
        "counts": {s: {k: int((named[s] == k).sum()) for k in classes} for s in SPLITS},
        "left_out": findings.of("left out"),
        "put_right": findings.of("put right"),
        "complete": {lab: sorted(labels) for lab, labels in complete.items()},
        "demonstration": is_drawn(fields),
        "dataset_sha256": hashlib.sha256(listing.encode("utf-8", "backslashreplace")).hexdigest(),
        "field_sha256": {s: {f.name: f.digest for f in by_split[s]} for s in SPLITS},
        "field_look": {s: {f.name: f.look for f in by_split[s]} for s in SPLITS},
    }


def summarise(metadata: dict, findings: Findings, output: Path, seconds: float) -> str:
    """The closing lines on the terminal: what was read, what left out and why, what came of it."""
    counts = metadata["counts"]
    classes = list(counts["train"])
    width = max(len(s) for s in (*classes, *metadata["boxes"], "fields")) + 2
    lines = [
        f"{len(metadata['folds']) or sum(metadata['fields'].values())} fields, "
        + ", ".join(f"{n} {label}" for label, n in metadata["boxes"].items())
        + f" boxes ({metadata['split']} split, {metadata['task']})"
    ]
    lines += [f"  {line}" for line in findings.lines("left out", "put right")]
    lines.append("".ljust(width) + "".join(s.rjust(8) for s in SPLITS))
    for name in ("fields", *classes):
        row = [metadata["fields"][s] if name == "fields" else counts[s][name] for s in SPLITS]
        lines.append(name.ljust(width) + "".join(str(n).rjust(8) for n in row))
    if metadata["folds"]:
        dealt = sorted(Counter(metadata["folds"].values()).values())
        lines.append(
            f"few fields: all are trained on, and tested in {len(dealt)} folds of "
            f"{', '.join(map(str, dealt))}, each by a model that hasn't seen it"
        )
    size = output.stat().st_size / 1e6
    lines.append(f"{output}: {size:.1f} MB, {seconds:.1f} s")
    return "\n".join(lines)


def draw_preview(path: Path, splits: Sequence[Crops], seed: int) -> None:
    """Write a contact sheet: for each label a row of up to 16 crops picked at random."""
    import cv2

    rng = np.random.default_rng(seed)
    flat = [(field, s) for crops in splits for field, of in crops.chosen for s in of]
    labels, size = np.array([s.label for _, s in flat], str), splits[0].size
    rows = []
    for label in sorted(set(labels.tolist())):
        of_label = np.flatnonzero(labels == label)
        picks = np.sort(rng.permutation(of_label)[:16])
        sheet = np.full((size, 16, size, 3), 255, np.uint8)
        for i, k in enumerate(picks):
            field, segment = flat[k]
            sheet[:, i] = Crops([(field, [segment])], size).cut(0)[0]
        title = np.full((28, 16 * size, 3), 255, np.uint8)
        text = f"{label}: {len(picks)} of {len(of_label)}"
        cv2.putText(title, text, (4, 20), cv2.FONT_HERSHEY_SIMPLEX, 0.6, (0, 0, 0), 1, cv2.LINE_AA)
        rows += [title, sheet.reshape(size, -1, 3)]
    write_image(path, np.vstack(rows))


@command
def main(argv: Sequence[str] | None = None) -> int:
    start = time.perf_counter()
    options: Options = parse_options(Options, __doc__, argv)
    if options.preview and options.preview.suffix.lower() not in IMAGE_SUFFIXES:
        raise UserError(f"--preview {options.preview}: not a picture's name; try sheet.png")
    if options.download:
        download_bccd(HERE / "data")
    datasets = open_datasets(
        options.data_dir or [find_default()], MOST_DRAWN if options.check else 1
    )
    unify(datasets, parse_renames(options.labels))
    state_complete(datasets, options.complete)
    task = choose_task(options, datasets)
    by_dataset = [read_fields(dataset, options.workers) for dataset in datasets]
    for dataset, read in zip(datasets, by_dataset, strict=True):
        cut_to_named_cells(read, dataset.findings)
        settle_complete(dataset, read)
    fields, missing = join(datasets, by_dataset)
    findings = gather(datasets)
    mark_twins(fields, findings)
    ways = assign_splits(fields, missing, options.split, options.seed, findings)
    if options.check:
        page = (options.output or ARCHIVE).with_name("check.html")
        return write_check_page(page, fields, findings)

    arrays: dict[str, Any] = {}
    for split in SPLITS:
        of_split = [f for f in fields if f.is_in(split)]
        arrays |= build_split(of_split, split, task, options, findings)
    named = {s: name_classes(arrays[f"label_{s}"], task) for s in SPLITS}
    classes = check_classes(named, task, options.split, findings)
    arrays |= {f"y_{s}": encode_labels(classes, named[s]) for s in SPLITS}
    metadata = describe(options, task, ways, fields, named, classes, findings)
    arrays["classes"] = np.array(classes, str)
    arrays["metadata"] = np.array(json.dumps(metadata))
    output = options.output or place(ARCHIVE.name, metadata)
    write_archive(output, arrays, options.workers)
    for notice in findings.notices:
        say(notice)
    if options.preview:
        draw_preview(options.preview, [arrays[f"X_{s}"] for s in SPLITS], options.seed)
    print(summarise(metadata, findings, output, time.perf_counter() - start))
    return 0


if __name__ == "__main__":
    sys.exit(main())
