"""Joining: fields of several datasets -> one list, in which each picture is once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from hematovision.datasets.dataset import Dataset
from hematovision.datasets.field import Field, digest_bytes
from hematovision.datasets.findings import Findings
from hematovision.program.files import HERE


def join(
    datasets: Sequence[Dataset], by_dataset: Sequence[list[Field]]
) -> tuple[list[Field], dict[str, tuple[str, ...]]]:
    """All fields, each picture once, and the official lists that each laboratory lacks.

    A picture of two datasets belongs to the one with more pictures, whose split counts. Datasets
    that share half of the smaller one's pictures are of one laboratory, named after the larger.
    """
    digests = [{f.digest for f in fields} for fields in by_dataset]
    order = sorted(range(len(datasets)), key=lambda i: -len(digests[i]))
    lab = {d.lab: d.lab for d in datasets}
    for rank, i in enumerate(order):
        for j in order[:rank]:
            if 2 * len(digests[i] & digests[j]) >= len(digests[i]) > 0:
                lab[datasets[i].lab] = lab[datasets[j].lab]
                break
    fields = [
        field if lab[field.lab] == field.lab else replace(field, lab=lab[field.lab])
        for fields in merge_copies(datasets, by_dataset, order)
        for field in fields
    ]
    names = Counter(f.name for f in fields)
    fields = [replace(f, name=f"{f.lab}/{f.name}") if names[f.name] > 1 else f for f in fields]
    missing: dict[str, tuple[str, ...]] = {}
    for dataset in datasets:
        known = missing.get(lab[dataset.lab], dataset.missing)
        missing[lab[dataset.lab]] = min(known, dataset.missing, key=len)
    return fields, missing


def merge_copies(
    datasets: Sequence[Dataset], by_dataset: Sequence[list[Field]], order: Sequence[int]
) -> list[list[Field]]:
    """The fields of each dataset without those that one earlier in `order` has too, which take over
    the boxes where they are more, and the split where none was given."""
    kept: list[list[Field]] = [[] for _ in datasets]
    owners: dict[str, tuple[int, int]] = {}  # of each picture the dataset, and its place there
    for i in order:
        better = same = 0
        mine: dict[str, tuple[int, int]] = {}
        for field in by_dataset[i]:
            if field.digest not in owners:
                # A copy within one dataset is another field.
                mine.setdefault(field.digest, (i, len(kept[i])))
                kept[i].append(field)
                continue
            same += 1
            at, place = owners[field.digest]
            owner = kept[at][place]
            better += len(field.segments) > len(owner.segments)
            kept[at][place] = merge(owner, field)
        owners |= mine
        if same:
            pictures = len({f.digest for f in by_dataset[i]})
            datasets[i].findings.notices.append(
                f"{datasets[i].lab}: {same} of {pictures} pictures are in another dataset "
                f"too; its boxes are taken for {better} of them, for they are more"
            )
    return kept


def merge(owner: Field, other: Field) -> Field:
    """A picture of two datasets: with the most boxes that one has for it."""
    more = other if len(other.segments) > len(owner.segments) else owner
    return replace(
        owner,
        given=owner.given or other.given,
        listed=owner.listed or other.listed,
        segments=more.segments,
        free=more.free,
        unboxed=more.unboxed,
        complete=more.complete,
    )


def gather(datasets: Sequence[Dataset]) -> Findings:
    """The findings of all datasets."""
    total = Findings(max(d.findings.keep for d in datasets))
    for dataset in datasets:
        total.merge(dataset.findings)
    return total


def are_drawn(fields: Sequence[Field]) -> bool:
    """Whether fields of the sample, which a program has drawn, are among these."""
    sample = (HERE / "data" / "sample" / "JPEGImages").glob("*.jpg")
    drawn = {digest_bytes(path.read_bytes()) for path in sample}
    return any(field.digest in drawn for field in fields)
