"""Layout: where the pictures of a dataset, their annotations and its split lists lie on disk.

Nothing is asked of a dataset but that people could tell which annotation is which picture's: by the
same name in the same folder, or in folders that differ only by what they hold (JPEGImages and
Annotations, images and labels), else by a name that occurs but once, else by what the annotation
says. Litter of archives and tools is passed over.
"""

from __future__ import annotations

import os
import re
import unicodedata
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from hematovision.annotations.class_names import is_name_file
from hematovision.annotations.complete import is_complete_file
from hematovision.annotations.reading import SUFFIXES
from hematovision.program.console import UserError
from hematovision.program.files import IMAGE_SUFFIXES
from hematovision.program.marks import is_drawn

# Folders named by what they hold, not by which part of the dataset they are.
ROLES = frozenset(
    ("jpegimages", "images", "image", "imgs", "img", "pictures", "photos", "annotations",
     "annotation", "annots", "ann", "xml", "xmls", "labels", "label", "txt", "bboxes", "boxes",
     "json", "coco", "yolo", "voc", "imagesets", "main")
)  # fmt: skip
SPLIT_WORD = re.compile(
    r"(?:instances_|_)?(?:(train|training|trn)|(val|valid|validation|validate|dev)|(test|testing))"
    r"(?:[\W_]?\d{2,4})?(?:[\W_](?:simple|set|data|images|imgs|annotations|labels))?"
)
LITTER = frozenset(("__macosx", "thumbs.db", "desktop.ini"))


def normal(text: str) -> str:
    """A name as it compares: one Unicode form, one case."""
    return unicodedata.normalize("NFC", text).casefold()


def drop_suffix(name: str) -> str:
    """A file's name without the ending of an annotation."""
    stem, dot, suffix = name.rpartition(".")
    return stem if dot and ("." + suffix).lower() in SUFFIXES else name


def bare_name(name: str) -> str:
    """A file's name without its ending, or its two: x of x.jpg, x.xml and x.jpg.xml."""
    name = drop_suffix(name)
    stem, dot, suffix = name.rpartition(".")
    return stem if dot and ("." + suffix).lower() in IMAGE_SUFFIXES else name


def split_of(name: str) -> str:
    """The split that a folder or file is named after; "" where none."""
    found = SPLIT_WORD.fullmatch(name.casefold())
    return (
        ("train", "val", "test")[next(i for i, g in enumerate(found.groups()) if g)]
        if found
        else ""
    )


@dataclass(frozen=True)
class Layout:
    """The files of a dataset, folder by folder in order; paths are relative to its root."""

    root: Path
    pictures: list[PurePosixPath] = field(default_factory=list)
    annotations: list[PurePosixPath] = field(default_factory=list)  # by suffix: any may be none
    names: list[PurePosixPath] = field(default_factory=list)  # files with class names
    completes: list[PurePosixPath] = field(default_factory=list)  # which were gone through
    kinds: Counter[str] = field(default_factory=Counter)  # how many files of each suffix

    def path(self, relative: PurePosixPath) -> Path:
        return self.root / relative


def scan(root: Path) -> Layout:
    """List a dataset's files; UserError where the folder is missing."""
    if not root.is_dir():
        raise UserError(f"{root}: no such folder; --data-dir wants a folder of annotated pictures")
    found = Layout(root)
    seen: set[tuple[int, int]] = set()
    for folder, below, files in os.walk(root, followlinks=True):
        status = os.stat(folder)
        if (status.st_dev, status.st_ino) in seen:  # a link to a folder above, or one met twice
            below.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        below[:] = sorted(b for b in below if b[0] != "." and b.casefold() not in LITTER)
        here = PurePosixPath(Path(folder).relative_to(root).as_posix())
        for name in sorted(files):
            if name.startswith(".") or name.casefold() in LITTER:
                continue
            suffix = os.path.splitext(name)[1].lower()
            found.kinds[suffix or "without an ending"] += 1
            home = choose_list(found, name, suffix)
            if home is found.pictures and is_drawn(Path(folder, name)):
                continue  # a field with its cells drawn is no field
            if home is not None:
                home.append(here / name)
    return found


def choose_list(layout: Layout, name: str, suffix: str) -> list[PurePosixPath] | None:
    """The list that a file belongs into by its name; None: into none."""
    if is_complete_file(name):
        return layout.completes
    if is_name_file(name):
        return layout.names
    if suffix in IMAGE_SUFFIXES:
        return layout.pictures
    return layout.annotations if suffix in SUFFIXES else None


def context(path: PurePosixPath) -> tuple[str, ...]:
    """The part of the dataset that a file belongs to: its folders but for those named by role."""
    parts = (normal(p) for p in path.parts[:-1])
    return tuple(p for p in parts if p not in ROLES and p != "..")


def folder_split(path: PurePosixPath) -> str:
    """The split that the innermost folder named after one says; "" where none."""
    return next((s for part in reversed(path.parts[:-1]) if (s := split_of(part))), "")
