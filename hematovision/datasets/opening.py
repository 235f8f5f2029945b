"""Opening: folders of annotated pictures -> datasets, each kind of cell with one name in all."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from hematovision.annotations.annotation import Box
from hematovision.cells.labels import clean_label, tell_counts, tell_merges, unify_labels
from hematovision.datasets.dataset import Dataset, Noted
from hematovision.datasets.findings import Example
from hematovision.datasets.pairing.pairs import open_dataset
from hematovision.datasets.store import Store
from hematovision.program.console import UserError, say
from hematovision.program.files import HERE


def find_default() -> Path:
    """The dataset where none is named: data/ where it holds one, else the bundled sample."""
    data = HERE / "data"
    both = (data / "JPEGImages").is_dir() and (data / "Annotations").is_dir()
    chosen = data if both else data / "sample"
    say(f"no --data-dir given: using {chosen}")
    return chosen


def open_datasets(
    roots: Sequence[Path], keep: int = 1, renames: Mapping[str, str] | None = None
) -> list[Dataset]:
    """Find and pair what each folder holds. Laboratories are named after their folders.

    `renames`: what --labels asks for, by which folders of a class are known too.
    """
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
        datasets.append(open_dataset(root, lab, keep, renames or ()))
    return datasets


def unify(datasets: Sequence[Dataset], renames: Mapping[str, str]) -> list[Dataset]:
    """The datasets with one name for each kind of cell; what was merged or dropped is said.

    Raises UserError as `unify_labels` does.
    """
    counts: Counter[str] = Counter()
    for dataset in datasets:
        counts += dataset.count_labels()
    unified = unify_labels(counts, renames)
    notices = datasets[0].findings.notices
    notices += tell_merges(unified, counts)
    dropped = {label: counts[label] for label, name in unified.items() if name is None}
    if dropped:
        notices.append(f"labels dropped: {tell_counts(dropped)}")
    for dataset in datasets:
        spelt: defaultdict[str, set[str]] = defaultdict(set)
        for label in dataset.count_labels():
            name = unified[label]
            if name:
                spelt[name].add(label)
        for name, ways in spelt.items():
            if len(ways) > 1:
                text = ", ".join(sorted(ways)[:8])
                dataset.findings.add(
                    "put right", f"label {name} spelt in {len(ways)} ways", Example(text)
                )
    renamed = []
    for dataset in datasets:
        notes = dataset.notes
        if any(unified[label] != label for label in dataset.count_labels()):
            notes = [rename_boxes(note, unified, dataset.store) for note in notes]
        # A picture of one cell goes with its label.
        notes = [note for note in notes if not note.whole or note.annotation.boxes]
        renamed.append(replace(dataset, notes=notes))
        if not notes:
            raise renamed[-1].refuse_empty()
    return renamed


def rename_boxes(note: Noted, unified: Mapping[str, str | None], store: Store) -> Noted:
    """What was annotated in a picture, by the names that hold in all datasets."""
    annotation = note.annotation
    boxes = [
        Box(name, box.corners)
        for box in annotation.boxes
        if (name := unified[box.label]) is not None
    ]
    return replace(note, noted=store.keep(replace(annotation, boxes=boxes)))
