"""The description: what an archive says of itself, and what is told of it on the terminal."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from hematovision.archive.metadata import SPLITS, Metadata, Task
from hematovision.datasets.field import Field
from hematovision.datasets.findings import KINDS, Findings


class Whole(NamedTuple):
    """What holds of an archive whether it is one file or a part of several."""

    task: Task
    image_size: int
    seed: int
    background: float
    ways: Mapping[str, str]  # the way each laboratory was split
    complete: dict[str, list[str]]  # labels that no field of a laboratory lacks a box of
    demonstration: bool  # its cells are drawn
    dataset_sha256: str
    annotations_sha256: str


def digest_fields(fields: Sequence[Field]) -> str:
    """SHA-256 of the names and digests of all fields, in order."""
    digest = hashlib.sha256()
    for f in fields:
        digest.update(f"{f.digest}  {f.name}\n".encode("utf-8", "backslashreplace"))
    return digest.hexdigest()


def digest_annotations(fields: Sequence[Field]) -> str:
    """SHA-256 of the boxes of all fields and their labels as read, and of which labels lack none,
    in order."""
    digest = hashlib.sha256()
    for f in fields:
        told = [f.name, f.complete, [[s.label, list(map(int, s.box))] for s in f.segments]]
        digest.update(json.dumps(told).encode())
    return digest.hexdigest()


def list_complete(fields: Sequence[Field]) -> dict[str, list[str]]:
    """By laboratory, the labels that none of its fields lacks a box of."""
    complete: dict[str, set[str]] = {}
    for f in fields:
        complete.setdefault(f.lab, set(f.complete)).intersection_update(f.complete)
    return {lab: sorted(labels) for lab, labels in complete.items()}


def describe(
    whole: Whole,
    fields: Sequence[Field],
    named: Mapping[str, Counter[str]],
    classes: Sequence[str],
    findings: Findings,
) -> Metadata:
    """The metadata: what an archive of these fields was made of, and what was left out.

    `named`: how often each class comes in each split.
    """
    by_split = {s: [f for f in fields if f.is_in(s)] for s in SPLITS}
    return Metadata(
        task=whole.task,
        image_size=whole.image_size,
        seed=whole.seed,
        split=" and ".join(dict.fromkeys(whole.ways.values())),
        split_by_lab=dict(whole.ways),
        folds={f.name: f.fold for f in by_split["train"] if f.fold is not None},
        background=whole.background,
        fields={s: len(by_split[s]) for s in SPLITS},
        boxes=dict(sorted(Counter(s.label for f in fields for s in f.segments).items())),
        counts={s: {k: named[s][k] for k in classes} for s in SPLITS},
        left_out=findings.of("left out"),
        put_right=findings.of("put right"),
        complete=whole.complete,
        demonstration=whole.demonstration,
        dataset_sha256=whole.dataset_sha256,
        annotations_sha256=whole.annotations_sha256,
        field_sha256={s: {f.name: f.digest for f in by_split[s]} for s in SPLITS},
        field_look={s: {f.name: f.look for f in by_split[s]} for s in SPLITS},
    )


def summarise(
    metadata: Metadata, findings: Findings, files: Sequence[Path], seconds: float
) -> list[str]:
    """The closing lines on the terminal: what was read, what left out and why, what came of it."""
    counts = metadata.counts
    classes = list(counts["train"])
    width = max(len(s) for s in (*classes, *metadata.boxes, "fields")) + 2
    lines = [
        f"{len(metadata.folds) or sum(metadata.fields.values())} fields, "
        + ", ".join(f"{n} {label}" for label, n in metadata.boxes.items())
        + f" boxes ({metadata.split} split, {metadata.task})"
    ]
    lines += [f"  {line}" for line in findings.lines(*KINDS)]
    lines.append("".ljust(width) + "".join(s.rjust(8) for s in SPLITS))
    for name in ("fields", *classes):
        row = [metadata.fields[s] if name == "fields" else counts[s][name] for s in SPLITS]
        lines.append(name.ljust(width) + "".join(str(n).rjust(8) for n in row))
    if metadata.folds:
        dealt = sorted(Counter(metadata.folds.values()).values())
        lines.append(
            f"few fields: all are trained on, and tested in {len(dealt)} folds of "
            f"{', '.join(map(str, dealt))}, each by a model that hasn't seen it"
        )
    size = sum(path.stat().st_size for path in files) / 1e6
    several = f" to {files[-1].name}" if len(files) > 1 else ""
    return [*lines, f"{files[0]}{several}: {size:.1f} MB, {seconds:.1f} s"]
