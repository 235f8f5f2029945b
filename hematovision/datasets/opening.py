"""Datasets: annotated fields of one laboratory or several, read and joined.

open_datasets   each folder's pictures with what was annotated in them
unify           one name for each kind of cell, over all of them
read_fields     pictures decoded, boxes placed, ground found
join            one picture in two datasets is one field, that of more boxes
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from hematovision.annotations.annotation import Box
from hematovision.cells.labels import (
    clean_label,
    tell_counts,
    tell_merges,
    unify_labels,
)
from hematovision.datasets.completeness import measure_unboxed
from hematovision.datasets.field import Field, Mask
from hematovision.datasets.findings import Example, Findings
from hematovision.datasets.ground import find_free_area, measure_red_side
from hematovision.datasets.pairs import Dataset, Noted, open_dataset, tell_nothing
from hematovision.datasets.placing import place_boxes
from hematovision.datasets.read_index import ReadIndex
from hematovision.pictures.images import read_image
from hematovision.pictures.orientation import settle_frame
from hematovision.pictures.twins import look
from hematovision.program.console import UserError, progress, run_ahead, say
from hematovision.program.files import HERE, read_file

# --- open -----------------------------------------------------------------------------------------


def find_default() -> Path:
    """The dataset where none is named: data/ where it holds one, else the bundled sample."""
    data = HERE / "data"
    both = (data / "JPEGImages").is_dir() and (data / "Annotations").is_dir()
    chosen = data if both else data / "sample"
    say(f"no --data-dir given: using {chosen}")
    return chosen


def open_datasets(roots: Sequence[Path], keep: int = 1) -> list[Dataset]:
    """Find and pair what each folder holds. Laboratories are named after their folders."""
    if len({root.resolve() for root in roots}) < len(roots):
        raise UserError("--data-dir: one folder is named twice; name each once")
    taken: Counter[str] = Counter()
    datasets = []
    for root in roots:
        name = clean_label(root.resolve().name)[:60] or "lab"
        if sum(clean_label(r.resolve().name) == name for r in roots) > 1:
            name = f"{clean_label(root.resolve().parent.name)[:60]}/{name}"
        taken[name] += 1
        lab = name if taken[name] == 1 else f"{name}-{taken[name]}"
        datasets.append(open_dataset(root, lab, keep))
    return datasets


def unify(datasets: Sequence[Dataset], renames: Mapping[str, str]) -> None:
    """Give each kind of cell one name in all datasets, and say what was merged or dropped.

    Raises UserError as `unify_labels` does.
    """
    counts: Counter[str] = Counter()
    for dataset in datasets:
        counts += dataset.count_labels()
    unified = unify_labels(counts, renames)
    datasets[0].findings.notices += tell_merges(unified, counts)
    dropped = {label: counts[label] for label, name in unified.items() if name is None}
    if dropped:
        datasets[0].findings.notices.append(f"labels dropped: {tell_counts(dropped)}")
    for dataset in datasets:
        spelt: defaultdict[str, set[str]] = defaultdict(set)
        for label in dataset.count_labels():
            if unified[label]:
                spelt[unified[label]].add(label)
        for name, ways in spelt.items():
            if len(ways) > 1:
                text = ", ".join(sorted(ways)[:8])
                dataset.findings.add(
                    "put right", f"label {name} spelt in {len(ways)} ways", Example(text)
                )
        for note in dataset.notes:
            note.annotation.boxes = [
                Box(name, box.corners)
                for box in note.annotation.boxes
                if (name := unified[box.label]) is not None
            ]


# --- read -----------------------------------------------------------------------------------------


def read_fields(dataset: Dataset, workers: int, index: ReadIndex | None = None) -> list[Field]:
    """Read every annotated field of a dataset; what is left out goes to its findings.

    With an `index` only those that it doesn't know. Raises UserError where no usable box remains.
    """
    findings = dataset.findings
    cell_px = measure_red_side(
        [
            (box.label, list(box.corners))
            for note in dataset.notes
            if not note.annotation.normalised
            for box in note.annotation.boxes
        ]
    )
    fields = []
    for field, found in read_all(dataset, cell_px, workers, index):
        findings.merge(found)
        if field is not None:
            fields.append(field)
    if not any(field.segments for field in fields):
        raise UserError(tell_nothing(dataset))
    names = Counter(field.name for field in fields)
    for field in fields:
        if names[field.name] > 1:
            field.name = field.path.relative_to(dataset.root).as_posix()
    return fields


def read_all(
    dataset: Dataset, cell_px: float, workers: int, index: ReadIndex | None
) -> Iterator[tuple[Field | None, Findings]]:
    """What `read_field` gives of each picture, in order, read in threads."""
    if index is not None:
        yield from index.read(dataset, cell_px, lambda n: read_field(dataset, n, cell_px), workers)
        return
    with ThreadPoolExecutor(workers) as pool:
        read = run_ahead(
            pool, lambda n: read_field(dataset, n, cell_px), dataset.notes, 2 * workers
        )
        yield from progress(read, len(dataset.notes), "reading fields")


def read_field(dataset: Dataset, note: Noted, cell_px: float) -> tuple[Field | None, Findings]:
    """One field, or None where it can't be used, and what was found in it.

    `cell_px`: side of a typical red cell of the dataset in pixels.
    """
    path = dataset.layout.path(note.picture)
    example = Example(note.annotation.path.name, path)
    found = Findings(dataset.findings.keep)
    try:
        stored = data = read_file(path, "picture")
        if note.annotation.size:
            data = settle_frame(data, *note.annotation.size)
        image = read_image(path, data)
    except UserError as error:
        say(f"warning: {error}")
        found.add("left out", "unreadable image", Example(path.name))
        return None, found
    try:
        placed = place_boxes(note.annotation, image, example, dataset.findings.keep)
    except UserError as error:
        say(f"warning: {error}")
        found.add("left out", "field of another size than its <size>", example)
        return None, found
    note.annotation.boxes = []  # held as segments from here on
    segments = placed.segments
    if placed.scaled:  # then the dataset's typical cell isn't this picture's
        cell_px = measure_red_side([(s.label, list(s.box)) for s in segments])
    free = find_free_area(image, segments, cell_px)
    return Field(
        path,
        segments,
        Mask.pack(free),
        name=path.name,
        lab=dataset.lab,
        size=len(data),
        frame=note.annotation.size,
        digest=hashlib.sha256(stored).hexdigest(),
        look=look(image),
        unboxed=0.0 if note.whole else measure_unboxed(free, segments, cell_px),
        whole=note.whole,
        given=note.split,
        listed=dataset.listed.get(note.picture, ""),
    ), placed.findings


# --- join -----------------------------------------------------------------------------------------


def join(
    datasets: Sequence[Dataset], by_dataset: Sequence[list[Field]]
) -> tuple[list[Field], dict[str, tuple[str, ...]]]:
    """All fields, each picture once: with the most boxes that a dataset has for it; and the
    official lists that each laboratory lacks.

    A picture of two datasets belongs to the one with more pictures, whose split counts. Datasets
    that share half of the smaller one's pictures are of one laboratory, named after the larger.
    """
    digests = [{f.digest for f in fields} for fields in by_dataset]
    order = sorted(range(len(datasets)), key=lambda i: -len(digests[i]))
    lab = {d.lab: d.lab for d in datasets}
    owners: dict[str, Field] = {}
    gone: set[int] = set()
    for rank, i in enumerate(order):
        for j in order[:rank]:
            if 2 * len(digests[i] & digests[j]) >= len(digests[i]) > 0:
                lab[datasets[i].lab] = lab[datasets[j].lab]
                break
        better = same = 0
        mine: dict[str, Field] = {}
        for field in by_dataset[i]:
            owner = owners.get(field.digest)
            if owner is None:
                mine.setdefault(field.digest, field)  # a copy within one dataset is another field
                continue
            gone.add(id(field))
            same += 1
            owner.given, owner.listed = owner.given or field.given, owner.listed or field.listed
            if len(field.segments) > len(owner.segments):
                better += 1
                owner.segments, owner.free = field.segments, field.free
                owner.unboxed, owner.complete = field.unboxed, field.complete
        owners |= mine
        if same:
            datasets[i].findings.notices.append(
                f"{datasets[i].lab}: {same} of {len(digests[i])} pictures are in another dataset "
                f"too; its boxes are taken for {better} of them, for they are more"
            )
    fields = [f for fields in by_dataset for f in fields if id(f) not in gone]
    for field in fields:
        field.lab = lab[field.lab]
    names = Counter(f.name for f in fields)
    for field in fields:
        if names[field.name] > 1:
            field.name = f"{field.lab}/{field.name}"
    missing: dict[str, tuple[str, ...]] = {}
    for dataset in datasets:
        known = missing.get(lab[dataset.lab], dataset.missing)
        missing[lab[dataset.lab]] = min(known, dataset.missing, key=len)
    return fields, missing


def gather(datasets: Sequence[Dataset]) -> Findings:
    """The findings of all datasets."""
    total = Findings(max(d.findings.keep for d in datasets))
    for dataset in datasets:
        total.merge(dataset.findings)
    return total


def is_drawn(fields: Sequence[Field]) -> bool:
    """Whether fields of the sample, which a program has drawn, are among these."""
    sample = (HERE / "data" / "sample" / "JPEGImages").glob("*.jpg")
    drawn = {hashlib.sha256(path.read_bytes()).hexdigest() for path in sample}
    return any(field.digest in drawn for field in fields)
