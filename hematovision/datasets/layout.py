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
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from hematovision.annotations.annotation import decode_text, read_bytes
from hematovision.annotations.class_names import NAME_FILES, YAML
from hematovision.annotations.reading import SUFFIXES
from hematovision.program.console import UserError
from hematovision.program.files import IMAGE_SUFFIXES

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
FLAGS = ("0", "1", "-1", "-0")  # after a name, in VOC's lists of one class
LITTER = frozenset(("__macosx", "thumbs.db", "desktop.ini"))
Key = tuple[tuple[str, ...], str]  # the folder's context, and the name


def normal(text: str) -> str:
    """A name as it compares: one Unicode form, one case."""
    return unicodedata.normalize("NFC", text).casefold()


def bare_name(name: str) -> str:
    """A file's name without its ending, or its two: x of x.jpg, x.xml and x.jpg.xml."""
    stem, dot, suffix = name.rpartition(".")
    if dot and ("." + suffix).lower() in SUFFIXES:
        name = stem
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
    kinds: Counter[str] = field(default_factory=Counter)  # how many files of each suffix

    def path(self, relative: PurePosixPath) -> Path:
        return self.root / relative


def scan(root: Path) -> Layout:
    """List a dataset's files; UserError where the folder is missing."""
    if not root.is_dir():
        raise UserError(f"{root}: no such folder; --data-dir wants a folder of annotated pictures")
    found = Layout(root)
    for folder, below, files in os.walk(root):
        below[:] = sorted(b for b in below if b[0] != "." and b.casefold() not in LITTER)
        here = PurePosixPath(Path(folder).relative_to(root).as_posix())
        for name in sorted(files):
            if name.startswith(".") or name.casefold() in LITTER:
                continue
            suffix = os.path.splitext(name)[1].lower()
            found.kinds[suffix or "without an ending"] += 1
            if name.casefold() in NAME_FILES or suffix in YAML:
                found.names.append(here / name)
            elif suffix in IMAGE_SUFFIXES:
                found.pictures.append(here / name)
            elif suffix in SUFFIXES:
                found.annotations.append(here / name)
    return found


def context(path: PurePosixPath) -> tuple[str, ...]:
    """The part of the dataset that a file belongs to: its folders but for those named by role."""
    parts = (normal(p) for p in path.parts[:-1])
    return tuple(p for p in parts if p not in ROLES and p != "..")


def folder_split(path: PurePosixPath) -> str:
    """The split that the innermost folder named after one says; "" where none."""
    return next((s for part in reversed(path.parts[:-1]) if (s := split_of(part))), "")


class PictureIndex:
    """Finds a dataset's pictures by what annotations and lists call them."""

    def __init__(self, pictures: Iterable[PurePosixPath]) -> None:
        self.exact: defaultdict[Key, list[PurePosixPath]] = defaultdict(list)
        self.caseless: defaultdict[Key, list[PurePosixPath]] = defaultdict(list)
        self.anywhere: defaultdict[str, list[PurePosixPath]] = defaultdict(list)
        for path in pictures:
            stem, where = bare_name(path.name), context(path)
            self.exact[where, unicodedata.normalize("NFC", stem)].append(path)
            self.caseless[where, normal(stem)].append(path)
            self.anywhere[normal(stem)].append(path)

    def find(self, name: str, where: tuple[str, ...], split: str = "") -> PurePosixPath | None:
        """The picture of that name (with or without folders and ending) in that context, else the
        only one of the name anywhere, of those that the folders or the split named leave over."""
        given = PurePosixPath(name.replace("\\", "/"))
        stem = bare_name(given.name)
        for table, key in (
            (self.exact, unicodedata.normalize("NFC", stem)),
            (self.caseless, normal(stem)),
        ):
            inside = (*where, *context(given))
            for at in dict.fromkeys((inside, where)):
                found = table.get((at, key), ())
                if found:
                    return next((p for p in found if p.name == given.name), found[0])
        found = self.anywhere.get(normal(stem), [])
        if len(found) > 1:
            tail = tuple(normal(p) for p in given.parts)
            ends = [p for p in found if tuple(map(normal, p.parts[-len(tail) :])) == tail]
            found = ends if ends else found
        if len(found) > 1 and split:
            found = [p for p in found if folder_split(p) == split]
        if len(found) > 1:  # one of which the folder is part of the other's
            found = [p for p in found if context(p)[: len(where)] == where]
        return found[0] if len(found) == 1 else None


def find_lists(layout: Layout) -> dict[str, PurePosixPath]:
    """The split lists train.txt, val.txt and test.txt, those in ImageSets/Main first."""
    found: dict[str, PurePosixPath] = {}
    texts = [p for p in layout.annotations if p.suffix.lower() == ".txt"]
    ranked = sorted(texts, key=lambda p: (p.parent.name.casefold() != "main", len(p.parts), p))
    for path in ranked:
        split = split_of(bare_name(path.name))
        if split and path.stem.casefold() in ("train", "val", "valid", "test"):
            home = found.setdefault(split, path)
            if home.parent != path.parent and path.parent.name.casefold() == "main":
                found[split] = home
    folders = Counter(p.parent for p in found.values())
    if len(folders) > 1:  # lists that stand together belong together
        best = max(folders, key=lambda f: folders[f])
        found = {split: path for split, path in found.items() if path.parent == best}
    return found


def read_list(path: Path) -> list[list[str]]:
    """For each line of a split list the names that it may mean, the likeliest first.

    A name may have spaces, an ending and folders, and a flag after it (VOC's class lists).
    Raises UserError where the file can't be read.
    """
    lines = []
    try:
        text = decode_text(read_bytes(path, blank=True))
        if "\0" in text or "\ufffd" in text:
            raise UserError(f"{path}: not text; try --split random")
    except UserError as error:
        raise UserError(f"{str(error).partition(';')[0]}; try --split random") from None
    for line in text.splitlines():
        whole = line.strip().strip("\"'")
        if whole:
            name, *flag = whole.rsplit(maxsplit=1)
            flagless = name if flag and flag[0] in FLAGS else whole
            lines.append(list(dict.fromkeys((whole, flagless, whole.split(maxsplit=1)[0]))))
    return lines


def read_lists(layout: Layout, index: PictureIndex) -> dict[PurePosixPath, str]:
    """The split of each picture that the lists name; UserError where one is in two of them."""
    home: dict[PurePosixPath, str] = {}
    for split, relative in find_lists(layout).items():
        where = context(relative)
        for names in read_list(layout.path(relative)):
            found = next((p for n in names if (p := index.find(n, where))), None)
            if found is not None and home.setdefault(found, split) != split:
                raise UserError(
                    f"{layout.path(relative)}: {names[0]} is in {home[found]}.txt too; "
                    "one list per field"
                )
    return home


def find_class_folders(pictures: Sequence[PurePosixPath]) -> dict[PurePosixPath, str]:
    """The class of each picture by its folder, where a dataset has a folder for each class: the
    innermost one that isn't named by role or split. Empty unless there are two classes."""
    classes: dict[PurePosixPath, str] = {}
    for path in pictures:
        folder = path.parent.name
        if folder and normal(folder) not in ROLES and not split_of(folder):
            classes[path] = folder
    return classes if len({normal(c) for c in classes.values()}) > 1 else {}
