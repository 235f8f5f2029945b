"""Pairs: the pictures of a dataset and what was annotated in each of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from hematovision.annotations.annotation import Annotation
from hematovision.annotations.class_names import Names, read_names
from hematovision.annotations.reading import SUFFIXES, read_annotations
from hematovision.annotations.yolo import SUFFIX as YOLO
from hematovision.annotations.yolo import read_yolo
from hematovision.archive.metadata import SPLITS
from hematovision.cells.labels import find_name
from hematovision.datasets.dataset import Dataset, Noted
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


def open_dataset(root: Path, lab: str, keep: int = 1) -> Dataset:
    """Find and pair what a folder holds; UserError where nothing in it is annotated."""
    layout = scan(root)
    findings = Findings(keep, files=layout.kinds)
    index = PictureIndex(layout.pictures)
    lists = find_lists(layout)
    notes = pair_up(layout, index, set(lists.values()), findings)
    missing = tuple(f"{s}.txt" for s in SPLITS if s not in lists)
    listed = read_lists(layout, index) if notes else {}
    dataset = Dataset(root, lab, layout, notes, listed, missing, findings)
    if not notes:
        raise dataset.refuse_empty()
    return dataset


def pair_up(
    layout: Layout, index: PictureIndex, lists: set[PurePosixPath], findings: Findings
) -> list[Noted]:
    """Each picture with its annotation, sorted by name; what has no partner goes to `findings`.

    Where a picture was annotated twice, XML counts first, then JSON, tables and YOLO's text.
    """
    claims = Claims(layout, index, findings)
    ranked = sorted(
        (p for p in layout.annotations if p not in lists),
        key=lambda p: SUFFIXES.index(p.suffix.lower()),
    )
    paired: dict[PurePosixPath, Noted] = {}
    orphans: list[PurePosixPath] = []
    for relative in ranked:
        found = claims.read(relative)
        for picture, note in found:
            if picture is None:
                orphans.append(relative if len(found) == 1 else PurePosixPath(note.picture))
            elif picture not in paired:
                split = folder_split(picture) or split_of(note.split)
                if not split and len(found) > 1:
                    split = split_of(bare_name(relative.name))
                paired[picture] = Noted(picture, note, split)
    broken = claims.broken - paired.keys()
    if orphans:
        findings.add("left out", "annotation without image", Example(str(orphans[0])), len(orphans))
    paired |= {note.picture: note for note in read_class_folders(layout, paired, broken)}
    count_unpaired(layout, {*paired, *broken}, findings)
    return sorted(
        paired.values(), key=lambda n: (n.picture.parent.parts, bare_name(n.picture.name))
    )


class Claim(NamedTuple):
    """An annotation, and the picture that it is of; None where there is none of its name."""

    picture: PurePosixPath | None
    annotation: Annotation


class Claims:
    """Reads the annotation files of a dataset, and finds the pictures that they speak of."""

    def __init__(self, layout: Layout, index: PictureIndex, findings: Findings) -> None:
        self.broken: set[PurePosixPath] = set()  # pictures whose annotation can't be read
        self._layout, self._index, self._findings = layout, index, findings
        self._names: dict[tuple[str, ...], Names] = {}

    def read(self, relative: PurePosixPath) -> list[Claim]:
        """What a file says; nothing, and a warning, where it can't be read."""
        where = context(relative)
        try:
            if relative.suffix.lower() == YOLO:
                return self._read_yolo(relative, where)
            hint = split_of(bare_name(relative.name)) or folder_split(relative)
            return [
                Claim(find_picture(self._index, relative, note, where, hint), note)
                for note in read_annotations(self._layout.path(relative))
            ]
        except UserError as error:
            say(f"warning: {error}")
            self._findings.add("left out", "unreadable annotation", Example(str(relative)))
            picture = self._index.find(relative.name, where)
            if picture is not None:
                self.broken.add(picture)
            return []

    def _read_yolo(self, relative: PurePosixPath, where: tuple[str, ...]) -> list[Claim]:
        picture = self._index.find(relative.name, where)
        if picture is None:  # a text that belongs to no picture is no annotation
            return []
        if where not in self._names:
            self._names[where] = names_for(self._layout, where)
        note = read_yolo(self._layout.path(relative), self._names[where])
        return [Claim(picture, note)]


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


def names_for(layout: Layout, where: tuple[str, ...]) -> Names:
    """The class names that hold in a context: of the file with names that is nearest upwards."""
    best: PurePosixPath | None = None
    for path in layout.names:
        at = context(path)
        if where[: len(at)] == at and (best is None or len(at) > len(context(best))):
            best = path
    return read_names(layout.path(best)) if best is not None else {}


def read_class_folders(
    layout: Layout, paired: Mapping[PurePosixPath, Noted], broken: set[PurePosixPath]
) -> Iterator[Noted]:
    """Pictures without an annotation whose folder is their class: one cell each.

    Beside annotated fields only folders count that are named after a kind of cell.
    """
    rest = [p for p in layout.pictures if p not in paired and p not in broken]
    for picture, label in find_class_folders(rest).items():
        if (paired or broken) and find_name(label) is None:
            continue
        note = Annotation(layout.path(picture), picture.name, normalised=True)
        note.add(label, (0.0, 0.0, 1.0, 1.0))
        yield Noted(picture, note, folder_split(picture), whole=True)


def count_unpaired(layout: Layout, known: set[PurePosixPath], findings: Findings) -> None:
    """Count the pictures without an annotation in those folders where others have one."""
    seen = {p.parent for p in known}
    taken = {(p.parent, bare_name(p.name)) for p in known}
    for path in layout.pictures:
        if path in known or path.parent not in seen:
            continue
        second = (path.parent, bare_name(path.name)) in taken
        reason = "second image of the same name" if second else "image without annotation"
        findings.add("left out", reason, Example(path.name, layout.path(path)))
