"""Add types and platelets that come in tables: a dataset -> a copy whose boxes say them.

    python3 tools/label_by_eye.py --data-dir raabin --types raabin/types.tsv --output typed/raabin
    python3 tools/label_by_eye.py --data-dir munich --boxes munich/boxes.tsv --output typed/munich

`--types`: types named by a dataset's own experts, a picture a row with its white cell's type and,
where there may be several, its box; without one it is the white cell nearest the picture's middle.
They go before `labelled_by_eye.csv`, which holds types of white cells of BCCD and Raabin, and
platelets of Raabin and Bangkok, each looked at alone, by us: no haematologist has seen them. Where
a box says "WBC" and lies on one of them, the copy says the type, and what nobody named stays "WBC";
platelets come as new boxes, not all there are: those that the model before proposed. `--boxes`: of
pictures in a folder a type, the box of each one's cell; what has none is left out. `--split-of`: an
archive in whose splits the pictures stay, since what is dealt at random hangs on the labels and
would put fields that a model was trained on among the held-out ones. Annotations are Pascal VOC.
"""

from __future__ import annotations

import csv
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from hematovision.archive.loading import load_archive
from hematovision.archive.metadata import SPLITS
from hematovision.cells.cells import overlap
from hematovision.program.console import UserError, command
from hematovision.program.files import HERE, write_bytes, write_text
from hematovision.program.options import option, parse_options

LABELLED = HERE / "data" / "labelled_by_eye.csv"
SIDES = ("xmin", "ymin", "xmax", "ymax")
SAME = 0.5  # intersection over union from which two boxes are one cell's


@dataclass(frozen=True)
class Options:
    data_dir: Path = option(Path("raabin"), "folder of the dataset")
    output: Path = option(Path("typed/raabin"), "folder to write the copy to")
    types: Path | None = option(None, "table of types: picture, type and perhaps box, tab between")
    boxes: Path | None = option(None, "table of boxes: type/picture and box, tab between")
    split_of: Path | None = option(None, "archive that says which picture is in which split")


# Box (4,), or None for the white cell in the middle, and label.
Labelled = tuple[np.ndarray | None, str]


def read_labelled(path: Path) -> dict[str, list[Labelled]]:
    """What was labelled by eye, by picture."""
    labelled: dict[str, list[Labelled]] = {}
    with open(path, newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            box = np.array([float(row[side]) for side in SIDES])
            labelled.setdefault(row["image"], []).append((box, row["label"]))
    return labelled


def read_types(path: Path) -> dict[str, list[Labelled]]:
    """What experts named, by picture without its ending; UserError where the table is none."""
    named: dict[str, list[Labelled]] = {}
    for line in read_lines(path):
        picture, label, *corners = line
        box = np.array([float(c) for c in corners]) if corners else None
        named.setdefault(picture, []).append((box, label))
    return named


def read_lines(path: Path) -> list[list[str]]:
    """The rows of a table with tabs between; UserError where it can't be read."""
    try:
        return [line.split("\t") for line in path.read_text("utf-8").splitlines() if line]
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: no table ({error}); name one with tabs between") from None


def read_boxes(note: ElementTree.Element) -> tuple[list[ElementTree.Element], np.ndarray]:
    """The objects of a VOC annotation that have a name, and their boxes (n, 4)."""
    items = [item for item in note.iter("object") if item.findtext("name")]
    corners = [[float(item.findtext(f"bndbox/{side}", "0")) for side in SIDES] for item in items]
    return items, np.array(corners).reshape(-1, 4)


def relabel(
    note: ElementTree.Element, experts: Sequence[Labelled], by_eye: Sequence[Labelled]
) -> int:
    """Name the boxes that say "WBC" by type, and add the platelets that have no box; how many."""
    items, boxes = read_boxes(note)
    white = [k for k, item in enumerate(items) if item.findtext("name") == "WBC"]
    count = 0
    for box, label in (*experts, *by_eye):
        if box is not None and label == "Platelets":
            if overlap(box[np.newaxis], boxes).max(initial=0) < SAME:
                add_box(note, box, label)
                count += 1
            continue
        k = find_cell(box, boxes, white, note)
        if k is not None and items[k].findtext("name") == "WBC":
            name = items[k].find("name")
            assert name is not None  # `read_boxes` gives those that have one
            name.text = label
            count += 1
    return count


def find_cell(
    box: np.ndarray | None, boxes: np.ndarray, white: Sequence[int], note: ElementTree.Element
) -> int | None:
    """Which of the `white` among `boxes` (n, 4) a table means: that on `box`, or, without one,
    that nearest the middle of the picture; None where there is none."""
    if not white:
        return None
    if box is not None:
        shared = overlap(box[np.newaxis], boxes[white])[0]
        return white[int(shared.argmax())] if shared.max() >= SAME else None
    width, height = (float(note.findtext(f"size/{side}", "0")) for side in ("width", "height"))
    centre = (boxes[white, :2] + boxes[white, 2:]) / 2
    return white[int(np.hypot(*(centre - [width / 2, height / 2]).T).argmin())]


def add_box(note: ElementTree.Element, box: np.ndarray, label: str) -> None:
    item = ElementTree.SubElement(note, "object")
    ElementTree.SubElement(item, "name").text = label
    corners = ElementTree.SubElement(item, "bndbox")
    for side, value in zip(SIDES, box, strict=True):
        ElementTree.SubElement(corners, side).text = str(int(value))


def lay_out(options: Options, boxes: Path) -> int:
    """Pictures in a folder a type, with a table of their boxes, as a dataset in Pascal VOC; how
    many."""
    count = 0
    for name, *corners in read_lines(boxes):
        label = name.partition("/")[0]
        found = options.data_dir / name
        if not found.is_file():
            found = next(found.parent.glob(f"{found.name}.*"), found)
        note = ElementTree.Element("annotation")
        ElementTree.SubElement(note, "filename").text = found.name
        add_box(note, np.array([float(c) for c in corners]), label)
        write_bytes(options.output / "JPEGImages" / found.name, found.read_bytes())
        target = options.output / "Annotations" / f"{found.stem}.xml"
        write_bytes(target, ElementTree.tostring(note))
        count += 1
    return count


def write_split(archive: Path, folder: Path) -> None:
    """The lists of a dataset's splits as an archive has them, what it lacks to be trained on;
    UserError where it can't be read."""
    digests = load_archive(archive, []).metadata.field_sha256
    side = {Path(name).name: split for split, names in digests.items() for name in names}
    pictures = sorted((folder / "JPEGImages").iterdir())
    for split in SPLITS:
        stems = [picture.stem for picture in pictures if side.get(picture.name, "train") == split]
        target = folder / "ImageSets" / "Main" / f"{split}.txt"
        target.parent.mkdir(parents=True, exist_ok=True)
        write_text(target, "".join(f"{stem}\n" for stem in stems))


@command
def main(argv: Sequence[str] | None = None) -> int:
    options: Options = parse_options(Options, __doc__, argv)
    if options.boxes:
        for folder in ("JPEGImages", "Annotations"):
            (options.output / folder).mkdir(parents=True, exist_ok=True)
        print(f"{options.output}: {lay_out(options, options.boxes)} cells with their boxes")
        if options.split_of:
            write_split(options.split_of, options.output)
        return 0
    if not (options.data_dir / "Annotations").is_dir():
        raise UserError(
            f"{options.data_dir}: no folder Annotations; it wants BCCD's, Raabin's or Bangkok's"
        )
    labelled = read_labelled(LABELLED)
    experts = read_types(options.types) if options.types else {}
    shutil.copytree(options.data_dir, options.output, dirs_exist_ok=True)
    count = 0
    for picture in sorted((options.output / "JPEGImages").iterdir()):
        path = options.output / "Annotations" / f"{picture.stem}.xml"
        told = experts.get(picture.stem, []), labelled.get(picture.name, [])
        if any(told) and path.is_file():
            tree = ElementTree.parse(path)
            count += relabel(tree.getroot(), *told)
            write_bytes(path, ElementTree.tostring(tree.getroot()))
    if options.split_of:
        write_split(options.split_of, options.output)
    print(f"{options.output}: {count} cells labelled")
    return 0


if __name__ == "__main__":
    sys.exit(main())
