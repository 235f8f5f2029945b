"""Turn labelled smear fields (Pascal VOC) into an archive of cell crops.

    python3 preprocess_data.py --data-dir DIR            # -> preprocessed_data.npz
    python3 preprocess_data.py --download                # fetch BCCD into data/ first
    python3 preprocess_data.py --task multiclass --preview sheet.png

Every annotated box becomes a square crop, cell-free patches of the same fields are added as
"Background", and fields (never crops) are dealt out to train, val and test, so that no two
segments of one field stand on both sides. Read the archive with
``np.load("preprocessed_data.npz", allow_pickle=False)``.
"""

from __future__ import annotations

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

import cv2
import numpy as np

from hematovision.archive import SPLITS, Crops, pack_fields, write_archive
from hematovision.cells import Segment, is_rbc
from hematovision.console import UserError, command, option, parse_options
from hematovision.dataset import Field, download_bccd, find_dataset, read_dataset, split_fields
from hematovision.files import HERE, IMAGE_SUFFIXES
from hematovision.ground import place_background
from hematovision.images import write_image


@dataclass(frozen=True)
class Options:
    data_dir: Path | None = option(
        None, "folder with JPEGImages/ and Annotations/ (default: data/ or data/sample/)"
    )
    output: Path = option(Path("preprocessed_data.npz"), "archive to write")
    image_size: int = option(96, "side of a crop in pixels", low=32, high=512)
    task: Literal["binary", "multiclass"] = option("binary", "RBC against the rest, or all labels")
    split: Literal["auto", "official", "random", "test"] = option(
        "auto", "official lists, 70/15/15 random, everything to test, or official if there"
    )
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


def build_split(
    fields: Sequence[Field], split: str, options: Options
) -> tuple[dict[str, np.ndarray | Crops], Counter[str]]:
    """The arrays of one split but for `y`, and what was left out of it by reason.

    Beside the crops go the fields as they are, see `pack_fields`: what finds cells in a whole field
    is trained on those.
    """
    rng = np.random.default_rng([options.seed, SPLITS.index(split)])
    patches, unplaced = place_background(fields, options.background, rng)
    left_out = Counter({"background patch for which no cell-free room was found": unplaced})
    chosen = []
    for field in fields:
        segments = field.segments
        if options.task == "binary":
            segments, hidden = drop_hidden_rbc(segments)
            left_out["other cell's box that holds a red cell's centre"] += hidden
        chosen.append((field, segments + patches[field.name]))
    flat = [(f.name, s) for f, segments in chosen for s in segments]
    arrays = {
        "X": Crops(chosen, options.image_size),
        "label": np.array([s.label for _, s in flat], str),
        "source": np.array([name for name, _ in flat], str),
        "box": np.array([s.box for _, s in flat], np.int64).reshape(-1, 4),
        **pack_fields(fields),
    }
    return {f"{name}_{split}": array for name, array in arrays.items()}, left_out


def name_classes(labels: np.ndarray, task: str) -> np.ndarray:
    """The class of each label: the label itself, or RBC and Other in the binary task."""
    if task == "multiclass":
        return labels
    return np.array(["RBC" if is_rbc(label) else "Other" for label in labels], str)


def check_classes(named: dict[str, np.ndarray], task: str, how: str) -> list[str]:
    """The classes in order; UserError where one has no example in one of the splits in use."""
    classes = ["Other", "RBC"]
    if task == "multiclass":
        classes = np.unique(np.concatenate(list(named.values()))).tolist()
    for split in ("test",) if how == "test" else SPLITS:
        for name in classes:
            if name not in named[split]:
                total = sum((k == name).sum() for k in named.values())
                raise UserError(
                    f"class {name}: {total} example(s) in all, none in {split}: too few to split; "
                    "annotate more fields of it, drop the label, or try another --split or --seed"
                )
    return classes


def encode_labels(classes: Sequence[str], names: np.ndarray) -> np.ndarray:
    """Index into the sorted `classes` of each name, (n,) int64, by scikit-learn's LabelEncoder."""
    from sklearn.preprocessing import LabelEncoder

    return LabelEncoder().fit(classes).transform(names).astype(np.int64)  # an empty split too


def describe(
    options: Options,
    how: str,
    fields: Sequence[Field],
    by_split: dict[str, list[Field]],
    named: dict[str, np.ndarray],
    classes: Sequence[str],
    left_out: Counter[str],
) -> dict[str, Any]:
    """The archive's metadata: what it was made of, by which options, and what was left out."""
    listing = "".join(f"{f.digest}  {f.name}\n" for f in fields)
    return {
        "task": options.task,
        "image_size": options.image_size,
        "seed": options.seed,
        "split": how,
        "background": options.background,
        "fields": {s: len(by_split[s]) for s in SPLITS},
        "boxes": dict(sorted(Counter(s.label for f in fields for s in f.segments).items())),
        "counts": {s: {k: int((named[s] == k).sum()) for k in classes} for s in SPLITS},
        "left_out": {reason: n for reason, n in left_out.items() if n},
        "dataset_sha256": hashlib.sha256(listing.encode()).hexdigest(),
        "field_sha256": {s: {f.name: f.digest for f in by_split[s]} for s in SPLITS},
    }


def summarise(metadata: dict, output: Path, seconds: float) -> str:
    """The closing lines on the terminal: what was read, what left out and why, what came of it."""
    counts = metadata["counts"]
    classes = list(counts["train"])
    width = max(len(s) for s in (*classes, *metadata["boxes"], "fields")) + 2
    lines = [
        f"{sum(metadata['fields'].values())} fields, "
        + ", ".join(f"{n} {label}" for label, n in metadata["boxes"].items())
        + f" boxes ({metadata['split']} split, {metadata['task']})"
    ]
    lines += [f"  left out: {n} x {reason}" for reason, n in metadata["left_out"].items()]
    lines.append("".ljust(width) + "".join(s.rjust(8) for s in SPLITS))
    for name in ("fields", *classes):
        row = [metadata["fields"][s] if name == "fields" else counts[s][name] for s in SPLITS]
        lines.append(name.ljust(width) + "".join(str(n).rjust(8) for n in row))
    size = output.stat().st_size / 1e6
    lines.append(f"{output}: {size:.1f} MB, {seconds:.1f} s")
    return "\n".join(lines)


def draw_preview(path: Path, splits: Sequence[Crops], seed: int) -> None:
    """Write a contact sheet: for each label a row of up to 16 crops picked at random."""
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
    root = find_dataset(options.data_dir)
    fields, left_out = read_dataset(root, options.workers)
    by_split, how = split_fields(fields, root, options.split, options.seed)
    left_out["field in no official list"] += len(fields) - sum(map(len, by_split.values()))
    arrays: dict[str, Any] = {}
    for split in SPLITS:
        of_split, dropped = build_split(by_split[split], split, options)
        arrays |= of_split
        left_out += dropped
    named = {s: name_classes(arrays[f"label_{s}"], options.task) for s in SPLITS}
    classes = check_classes(named, options.task, how)
    arrays |= {f"y_{s}": encode_labels(classes, named[s]) for s in SPLITS}
    metadata = describe(options, how, fields, by_split, named, classes, left_out)
    arrays["classes"] = np.array(classes, str)
    arrays["metadata"] = np.array(json.dumps(metadata))
    write_archive(options.output, arrays, options.workers)
    if options.preview:
        draw_preview(options.preview, [arrays[f"X_{s}"] for s in SPLITS], options.seed)
    print(summarise(metadata, options.output, time.perf_counter() - start))
    return 0


if __name__ == "__main__":
    sys.exit(main())
