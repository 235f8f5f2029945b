"""Split lists: which of a dataset's pictures are to be trained, validated and tested on."""

from __future__ import annotations

from collections import Counter
from pathlib import Path, PurePosixPath

from hematovision.annotations.annotation import decode_text, read_bytes
from hematovision.annotations.document import load_lines
from hematovision.annotations.formats.keras_yolo import is_keras_yolo
from hematovision.annotations.formats.yolo import is_yolo
from hematovision.datasets.pairing.layout import Layout, bare_name, context, split_of
from hematovision.datasets.pairing.picture_index import PictureIndex
from hematovision.program.console import UserError

LISTS = ("train", "val", "valid", "test")
FLAGS = ("0", "1", "-1", "-0")  # after a name, in VOC's lists of one class


def find_lists(layout: Layout) -> dict[str, PurePosixPath]:
    """The split lists train.txt, val.txt and test.txt, those in ImageSets/Main first.

    What YOLO says of pictures called train, or keras-yolo3 of all those to train on, is no list.
    """
    found: dict[str, PurePosixPath] = {}
    texts = [
        p
        for p in layout.annotations
        if p.suffix.lower() == ".txt"
        and p.stem.casefold() in LISTS
        and not is_annotation(layout.path(p))
    ]
    ranked = sorted(texts, key=lambda p: (p.parent.name.casefold() != "main", len(p.parts), p))
    for path in ranked:
        split = split_of(bare_name(path.name))
        if split:
            home = found.setdefault(split, path)
            if home.parent != path.parent and path.parent.name.casefold() == "main":
                found[split] = home
    folders = Counter(p.parent for p in found.values())
    if len(folders) > 1:  # lists that stand together belong together
        best = max(folders, key=lambda f: folders[f])
        found = {split: path for split, path in found.items() if path.parent == best}
    return found


def is_annotation(path: Path) -> bool:
    """Whether a text holds cells rather than names."""
    try:
        lines = load_lines(path)
    except UserError:
        return False
    return is_yolo(lines) or is_keras_yolo(lines)


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
