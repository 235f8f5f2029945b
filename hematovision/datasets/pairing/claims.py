"""Claims: what annotation files say, and the pictures that they say it of."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import PurePosixPath
from typing import NamedTuple

from hematovision.annotations.annotation import Annotation, Box
from hematovision.annotations.document import load_lines
from hematovision.annotations.formats.yolo import SUFFIX as YOLO
from hematovision.annotations.formats.yolo import is_yolo, read_yolo
from hematovision.annotations.reading import open_annotation
from hematovision.cells.labels import letters_of
from hematovision.datasets.findings import Example, Findings
from hematovision.datasets.pairing.layout import Layout, bare_name, context, folder_split, split_of
from hematovision.datasets.pairing.picture_index import PictureIndex
from hematovision.datasets.pairing.yolo_names import YoloNames
from hematovision.datasets.store import Kept, Store
from hematovision.program.console import UserError, say

NEAR = 20  # places in a sorted list
SAME = 2  # pixels by which the corners of one box may differ, written in two formats


class Claim(NamedTuple):
    """An annotation, in a store, and the picture that it is of; None where there is none of its
    name."""

    picture: PurePosixPath | None
    file: PurePosixPath
    kept: Kept[Annotation]
    split: str  # that the picture's folder, the annotation or its file names
    verified: bool
    of_many: bool  # the file speaks of other pictures too

    def name(self) -> str:
        """What to look for where there is no picture."""
        return self.kept.load().picture if self.of_many else str(self.file)


class Strange(NamedTuple):
    """An annotation of a kind that isn't read, and some of the pictures that it speaks of."""

    file: PurePosixPath
    pictures: set[PurePosixPath]
    told: str


class Claims:
    """Reads the annotation files of a dataset; what is wrong with them goes to `findings`."""

    def __init__(
        self, layout: Layout, index: PictureIndex, findings: Findings, store: Store
    ) -> None:
        self.broken: set[PurePosixPath] = set()  # pictures whose annotation can't be read
        self.unreadable = False  # whether a file of any picture can't be read
        self.strange: list[Strange] = []
        self._layout, self._index, self._findings = layout, index, findings
        self.store = store
        self._names = YoloNames(layout, findings)

    def read(self, relative: PurePosixPath) -> list[Claim]:
        """What a file says; nothing, and a warning, where it can't be read."""
        where = context(relative)
        try:
            if relative.suffix.lower() == YOLO:
                return self._read_text(relative, where)
            return self._read_document(relative, where)
        except UserError as error:
            say(f"warning: {error}")
            self._findings.add("left out", "unreadable annotation", Example(str(relative)))
            self.unreadable = True
            picture = self._index.find(relative.name, where)
            if picture is not None:
                self.broken.add(picture)
            return []

    def _read_text(self, relative: PurePosixPath, where: tuple[str, ...]) -> list[Claim]:
        """YOLO's of one picture, or another kind's of many; a text of no picture is neither."""
        path = self._layout.path(relative)
        picture = self._index.find(relative.name, where)
        if picture is not None:
            note = read_yolo(path, self._names.find(relative))
            return [self._claim(picture, relative, note, False)]
        if is_yolo(load_lines(path)):
            return [self._claim(None, relative, Annotation(path, ""), False)]
        return self._read_document(relative, where, by_number=True)

    def _read_document(
        self, relative: PurePosixPath, where: tuple[str, ...], by_number: bool = False
    ) -> list[Claim]:
        """What a file of any kind but YOLO's says; `by_number`: a text, whose classes may be
        numbers."""
        opened = open_annotation(self._layout.path(relative))
        hint = split_of(bare_name(relative.name)) or folder_split(relative)
        if opened.kind is None:
            own = self._index.find(relative.name, where, hint)
            named = (self._index.find(text, where, hint) for text in opened.list_texts())
            pictures = {p for p in (own, *named) if p is not None}
            if pictures and relative.suffix.lower() != YOLO:
                self.strange.append(Strange(relative, pictures, opened.tell_kind()))
            return []
        of_many = opened.kind.of_many
        claims = []
        notes = opened.read()
        names = self._names.find(relative).of if by_number and notes else {}
        for note in notes:
            picture = find_picture(self._index, relative, note, of_many, hint)
            claims.append(self._claim(picture, relative, rename(note, names), of_many))
            for notice in note.notices:
                example = Example(note.picture or str(relative), detail=str(relative))
                self._findings.add("noticed", notice, example)
        return claims

    def _claim(
        self, picture: PurePosixPath | None, file: PurePosixPath, note: Annotation, of_many: bool
    ) -> Claim:
        by_file = split_of(bare_name(file.name)) if of_many else ""
        own = folder_split(picture) if picture else ""
        split = own or split_of(note.split) or by_file
        return Claim(picture, file, self.store.keep(note), split, note.verified, of_many)


def find_picture(
    index: PictureIndex, relative: PurePosixPath, note: Annotation, of_many: bool, hint: str
) -> PurePosixPath | None:
    """The picture of an annotation: of the file's own name, else of the name that it states; where
    the file speaks of many, of the name that it states."""
    stated, where = note.picture, context(relative)
    other = index.find(stated, where, hint) if stated else None
    if of_many and stated:
        return other
    own = index.find(relative.name, where, hint)
    if own is None or (other is not None and bare_name(other.name) == bare_name(own.name)):
        return other  # x.png beside x.tif, where it is stated
    return own


def rename(note: Annotation, names: dict[str, str]) -> Annotation:
    """An annotation by class numbers, with the classes' names where these are known."""
    if not names:
        return note
    boxes = [Box(names.get(box.label, box.label), box.corners) for box in note.boxes]
    return replace(note, boxes=boxes)


def settle(claims: Sequence[Claim], findings: Findings) -> Iterator[Claim]:
    """For each picture the claim that counts: the first. What a later one says otherwise is told.

    `claims` come in the order in which they count.
    """
    by_picture: dict[PurePosixPath, Claim] = {}
    for claim in claims:
        if claim.picture is None:
            continue
        first = by_picture.setdefault(claim.picture, claim)
        if first is not claim and not say_the_same(first.kept.load(), claim.kept.load()):
            example = Example(str(claim.file), detail=f"{claim.picture}: {first.file} counts")
            findings.add("left out", "annotation that contradicts another of its picture", example)
    yield from by_picture.values()


def say_the_same(first: Annotation, second: Annotation) -> bool:
    """Whether two annotations of a picture have the same boxes, as far as they can be compared."""
    size = first.size or second.size

    def list_boxes(note: Annotation) -> list[tuple[str, list[float]]]:
        unit = size * 2 if note.normalised and size else (1, 1, 1, 1)
        return sorted(
            (letters_of(label), [v * u for v, u in zip(corners, unit, strict=True)])
            for label, corners in note.boxes
        )

    mine, theirs = list_boxes(first), list_boxes(second)
    if [label for label, _ in mine] != [label for label, _ in theirs]:
        return False
    if first.normalised != second.normalised and size is None:
        return True
    # Their order hangs on edges that may differ by a rounded pixel: so a box's twin lies near.
    return all(
        any(
            max(abs(a - b) for a, b in zip(box, other, strict=True)) <= SAME
            for _, other in theirs[max(0, i - NEAR) : i + NEAR + 1]
        )
        for i, (_, box) in enumerate(mine)
    )
