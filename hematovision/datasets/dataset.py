"""The dataset: one folder of annotated pictures, before any picture is read."""

from __future__ import annotations

import functools
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from hematovision.annotations.annotation import Annotation
from hematovision.annotations.reading import SAID
from hematovision.datasets.findings import Findings
from hematovision.datasets.pairing.layout import Layout
from hematovision.datasets.store import Kept, Store
from hematovision.program.console import UserError

ALL = ("*",)  # gone through for every label that the dataset has


@dataclass(frozen=True, slots=True)
class Noted:
    """A picture and what was annotated in it."""

    picture: PurePosixPath
    noted: Annotation | Kept[Annotation]
    split: str = ""
    whole: bool = False  # one cell fills the picture: its class is its folder's name
    gone_through: tuple[str, ...] | None = (
        None  # labels it is said to lack no box of; None: of none
    )

    @property
    def annotation(self) -> Annotation:
        """What was annotated, read anew at each call where it lies in a store."""
        return self.noted.load() if isinstance(self.noted, Kept) else self.noted


@dataclass(frozen=True)
class Dataset:
    """One laboratory's pictures with their annotations, and its own split."""

    root: Path
    lab: str
    layout: Layout
    notes: list[Noted]
    listed: dict[PurePosixPath, str]  # the split that official lists name
    missing: tuple[str, ...]  # official lists that aren't there
    findings: Findings  # filled as the dataset is read
    complete: tuple[str, ...] | None = None  # labels without a box lacking, as stated; None: judge
    store: Store = field(default_factory=Store, repr=False, compare=False)

    def count_labels(self) -> Counter[str]:
        """How often each label was annotated."""
        return self._counts

    @functools.cached_property
    def _counts(self) -> Counter[str]:
        return Counter(b.label for note in self.notes for b in note.annotation.boxes)

    def forget(self) -> None:
        """Let go of what was noted of pictures and where the files lie: fields know it, once they
        are read."""
        for of in (self.notes, self.layout.pictures, self.layout.annotations):
            of.clear()
        self.listed.clear()

    def refuse_empty(self) -> UserError:
        """Why the folder gave no annotated field, and what would."""
        images = len(self.layout.pictures)
        what = f"{images} picture(s), none with an annotation that fits" if images else "no picture"
        return UserError(
            f"{self.root}: no field with a usable box: {what} ({self.findings.tell_why()}); "
            f"wants JPEGImages/ and Annotations/, or pictures with {SAID}, or one folder per class"
        )
