"""A folder a class: pictures of one cell each, told by the folder that they lie in."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Collection, Sequence
from pathlib import PurePosixPath

from hematovision.annotations.annotation import Annotation, decode_text
from hematovision.cells.labels import find_name, letters_of
from hematovision.datasets.dataset import Noted
from hematovision.datasets.findings import Example, Findings
from hematovision.datasets.pairing.layout import ROLES, Layout, folder_split, normal, split_of

NO_KIND = "picture in a folder that names no known kind of cell (--labels FOLDER=NAME names it)"


def name_folder(path: PurePosixPath) -> str:
    """What the folder of a picture is called, in whatever encoding; "" where it is named by what
    it holds or by a split."""
    folder = decode_text(os.fsencode(path.parent.name))
    return "" if normal(folder) in ROLES or split_of(folder) else folder


def read_class_folders(
    layout: Layout,
    rest: Sequence[PurePosixPath],
    named: Collection[str],
    only_known: bool,
    findings: Findings,
) -> list[Noted]:
    """The pictures of the `rest` whose folder is their class, where there are two classes or more.

    `only_known`: beside annotated fields only folders count that are named after a kind of cell,
    or are `named` by --labels; how many pictures the others hold is told.
    """
    classes = {p: label for p in rest if (label := name_folder(p))}
    if len({normal(label) for label in classes.values()}) < 2:
        return []
    letters = {letters_of(name) for name in named}
    unknown = Counter(
        label
        for label in classes.values()
        if find_name(label) is None and letters_of(label) not in letters
    )
    if only_known and len(unknown) < len(set(classes.values())):
        for picture, label in classes.items():
            if label in unknown:
                findings.add("left out", NO_KIND, Example(str(picture), layout.path(picture)))
    if only_known:
        classes = {p: label for p, label in classes.items() if label not in unknown}
    elif unknown:
        told = ", ".join(f"{label} ({n})" for label, n in sorted(unknown.items())[:20])
        findings.notices.append(f"folders taken for classes, each picture for one cell: {told}")
    notes = []
    for picture, label in classes.items():
        note = Annotation(layout.path(picture), picture.name, normalised=True)
        note.add(label, (0.0, 0.0, 1.0, 1.0))
        notes.append(Noted(picture, note, folder_split(picture), whole=True))
    return notes
