"""The dataset: one folder of annotated pictures, before any picture is read."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from hematovision.annotations.annotation import Annotation
from hematovision.annotations.reading import SAID
from hematovision.datasets.findings import Findings
from hematovision.datasets.pairing.layout import Layout
from hematovision.program.console import UserError

ALL = ("*",)  # gone through for every label that the dataset has


@dataclass(frozen=True)
class Noted:
    """A picture and what was annotated in it."""

    picture: PurePosixPath
    annotation: Annotation
    split: str = ""
    whole: bool = False  # one cell fills the picture: its class is its folder's name
    gone_through: tuple[str, ...] | None = (
        None  # labels it is said to lack no box of; None: of none
    )


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

    def count_labels(self) -> Counter[str]:
        return Counter(b.label for note in self.notes for b in note.annotation.boxes)

    def refuse_empty(self) -> UserError:
        """Why the folder gave no annotated field, and what would."""
        images = len(self.layout.pictures)
        what = f"{images} picture(s), none with an annotation that fits" if images else "no picture"
        return UserError(
            f"{self.root}: no field with a usable box: {what} ({self.findings.tell_why()}); "
            f"wants JPEGImages/ and Annotations/, or pictures with {SAID}, or one folder per class"
        )
