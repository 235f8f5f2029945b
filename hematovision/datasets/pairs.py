"""Pairs: the pictures of a dataset and what was annotated in each of them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from hematovision.annotations.annotation import Annotation
from hematovision.annotations.reading import read_annotations
from hematovision.annotations.text_annotations import NAME_FILES, read_names, read_yolo
from hematovision.archive.loading import SPLITS
from hematovision.cells.labels import find_name
from hematovision.datasets.findings import Example, Findings
from hematovision.datasets.layout import (
    Layout,
    PictureIndex,
    bare_name,
    context,
    find_class_folders,
    find_lists,
    folder_split,
    read_lists,
    scan,
    split_of,
)
from hematovision.program.console import UserError, say

FORMATS = (
    "Pascal VOC or CVAT (XML), COCO or LabelMe (JSON), YOLO (TXT), a table (CSV), "
    "or one folder per class"
)


@dataclass
class Noted:
    """A picture and what was annotated in it."""

    picture: PurePosixPath
    annotation: Annotation
    split: str = ""
    whole: bool = False  # one cell fills the picture: its class is its folder's name


@dataclass
class Dataset:
    """One folder of annotated pictures, before any picture is read."""

    root: Path
    lab: str
    layout: Layout
    notes: list[Noted]
    listed: dict[PurePosixPath, str]
    missing: tuple[str, ...]  # official lists that aren't there
    findings: Findings = field(default_factory=Findings)
    complete: tuple[str, ...] | None = None  # as stated; None: to be judged

    def count_labels(self) -> Counter[str]:
        return Counter(b.label for note in self.notes for b in note.annotation.boxes)


def open_dataset(root: Path, lab: str, keep: int = 1) -> Dataset:
    """Find and pair what a folder holds; UserError where nothing in it is annotated."""
    names = tuple(n.casefold() for n in NAME_FILES)
    layout = scan(root, names)
    findings = Findings(keep, files=layout.kinds)
    index = PictureIndex(layout.pictures)
    lists = find_lists(layout)
    notes = pair_up(layout, index, set(lists.values()), findings)
    missing = tuple(f"{s}.txt" for s in SPLITS if s not in lists)
    dataset = Dataset(root, lab, layout, notes, {}, missing, findings)
    if not notes:
        raise UserError(tell_nothing(dataset))
    dataset.listed = read_lists(layout, index)
    return dataset


def pair_up(
    layout: Layout, index: PictureIndex, lists: set[PurePosixPath], findings: Findings
) -> list[Noted]:
    """Each picture with its annotation, sorted by name; what has no partner goes to `findings`.

    Where a picture was annotated twice, XML counts first, then JSON, tables and YOLO's text.
    """
    paired: dict[PurePosixPath, Noted] = {}
    broken: set[PurePosixPath] = set()  # pictures whose annotation can't be read
    orphans: list[PurePosixPath] = []
    names: dict[tuple[str, ...], list[str] | dict[str, str]] = {}
    ranked = sorted(
        (p for p in layout.annotations if p not in lists),
        key=lambda p: (".xml", ".json", ".csv", ".txt").index(p.suffix.lower()),
    )
    for relative in ranked:
        where = context(relative)
        found: list[tuple[PurePosixPath | None, Annotation]] = []
        try:
            if relative.suffix.lower() == ".txt":
                picture = index.find(relative.name, where)
                if picture is None:
                    continue  # a text that belongs to no picture is no annotation
                known = names_for(layout, where, names)
                found.append((picture, read_yolo(layout.path(relative), known)))
            else:
                hint = split_of(bare_name(relative.name)) or folder_split(relative)
                for note in read_annotations(layout.path(relative)):
                    found.append((find_picture(index, relative, note, where, hint), note))
        except UserError as error:
            say(f"warning: {error}")
            findings.add("left out", "unreadable annotation", Example(str(relative)))
            picture = index.find(relative.name, where)
            if picture is not None:
                broken.add(picture)
            continue
        for picture, note in found:
            if picture is None:
                orphans.append(relative if len(found) == 1 else PurePosixPath(note.picture))
            elif picture not in paired:
                split = folder_split(picture) or split_of(note.split)
                if not split and len(found) > 1:
                    split = split_of(bare_name(relative.name))
                paired[picture] = Noted(picture, note, split)
    broken -= paired.keys()
    if orphans:
        findings.add("left out", "annotation without image", Example(str(orphans[0])), len(orphans))
    add_class_folders(layout, paired, broken)
    count_unpaired(layout, paired, broken, findings)
    return sorted(
        paired.values(), key=lambda n: (n.picture.parent.parts, bare_name(n.picture.name))
    )


def find_picture(
    index: PictureIndex,
    relative: PurePosixPath,
    note: Annotation,
    where: tuple[str, ...],
    hint: str,
) -> PurePosixPath | None:
    """The picture of an annotation: of the file's own name, else of the name that it states."""
    stated = note.picture
    own = index.find(relative.name, where, hint)
    if own is not None and stated:  # x.png beside x.tif
        other = index.find(stated, where, hint)
        if other is not None and bare_name(other.name) == bare_name(own.name):
            return other
    if own is None and stated:
        return index.find(stated, where, hint)
    return own


def names_for(layout: Layout, where: tuple[str, ...], read: dict) -> list[str] | dict[str, str]:
    """The class names that hold in a context: of the file with names that is nearest upwards."""
    if where not in read:
        best: PurePosixPath | None = None
        for path in layout.names:
            at = context(path)
            if where[: len(at)] == at and (best is None or len(at) > len(context(best))):
                best = path
        found = read_names(layout.path(best)) if best is not None else []
        read[where] = found
    return read[where]


def add_class_folders(
    layout: Layout, paired: dict[PurePosixPath, Noted], broken: set[PurePosixPath]
) -> None:
    """Pictures without an annotation whose folder is their class: one cell each.

    Beside annotated fields only folders count that are named after a kind of cell.
    """
    rest = [p for p in layout.pictures if p not in paired and p not in broken]
    classes = find_class_folders(rest)
    for picture, label in classes.items():
        if (paired or broken) and find_name(label) is None:
            continue
        note = Annotation(layout.path(picture), picture.name)
        note.normalised = True
        note.add(label, (0.0, 0.0, 1.0, 1.0))
        paired[picture] = Noted(picture, note, folder_split(picture), whole=True)


def count_unpaired(
    layout: Layout,
    paired: dict[PurePosixPath, Noted],
    broken: set[PurePosixPath],
    findings: Findings,
) -> None:
    """Count the pictures without an annotation in those folders where others have one."""
    seen = {p.parent for p in (*paired, *broken)}
    taken = {(p.parent, bare_name(p.name)) for p in (*paired, *broken)}
    for path in layout.pictures:
        if path in paired or path in broken or path.parent not in seen:
            continue
        second = (path.parent, bare_name(path.name)) in taken
        reason = "second image of the same name" if second else "image without annotation"
        findings.add("left out", reason, Example(path.name, layout.path(path)))


def tell_nothing(dataset: Dataset) -> str:
    """Why a folder gave no annotated field, and what would."""
    images = len(dataset.layout.pictures)
    what = f"{images} picture(s), none with an annotation that fits" if images else "no picture"
    return (
        f"{dataset.root}: no field with a usable box: {what} ({dataset.findings.tell_why()}); "
        f"wants JPEGImages/ and Annotations/, or pictures with {FORMATS}"
    )
