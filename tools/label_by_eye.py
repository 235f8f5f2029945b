"""Add what we labelled by eye: a dataset -> a copy that knows types of white cells and platelets.

    python3 tools/label_by_eye.py --data-dir raabin --output by_eye/raabin

`labelled_by_eye.csv` holds types of white cells of BCCD and Raabin, and platelets of Raabin and
Bangkok, each looked at alone, by us: no haematologist has seen them. Where a box says "WBC" and
lies on one of them, the copy says the type, and what couldn't be named stays "WBC"; platelets come
as new boxes, not all there are: those that the model before proposed. Annotations are Pascal VOC.
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

from hematovision.cells.cells import overlap
from hematovision.program.console import UserError, command, option, parse_options
from hematovision.program.files import HERE, write_bytes

LABELLED = HERE / "data" / "labelled_by_eye.csv"
SIDES = ("xmin", "ymin", "xmax", "ymax")
SAME = 0.5  # intersection over union from which two boxes are one cell's


@dataclass(frozen=True)
class Options:
    data_dir: Path = option(Path("raabin"), "folder of the dataset")
    output: Path = option(Path("by_eye/raabin"), "folder to write the copy to")


Labelled = tuple[np.ndarray, str]  # box (4,) and label


def read_labelled(path: Path) -> dict[str, list[Labelled]]:
    """What was labelled by eye, by picture."""
    labelled: dict[str, list[Labelled]] = {}
    with open(path, newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            box = np.array([float(row[side]) for side in SIDES])
            labelled.setdefault(row["image"], []).append((box, row["label"]))
    return labelled


def read_boxes(note: ElementTree.Element) -> tuple[list[ElementTree.Element], np.ndarray]:
    """The objects of a VOC annotation that have a name, and their boxes (n, 4)."""
    items = [item for item in note.iter("object") if item.findtext("name")]
    corners = [[float(item.findtext(f"bndbox/{side}", "0")) for side in SIDES] for item in items]
    return items, np.array(corners).reshape(-1, 4)


def relabel(note: ElementTree.Element, labelled: Sequence[Labelled]) -> int:
    """Name the boxes that say "WBC" by type, and add the platelets that have no box; how many."""
    items, boxes = read_boxes(note)
    count = 0
    for box, label in labelled:
        shared = overlap(box[np.newaxis], boxes)[0]
        same = int(shared.argmax()) if shared.max(initial=0) >= SAME else None
        if label == "Platelets" and same is None:
            add_box(note, box, label)
            count += 1
        elif label != "Platelets" and same is not None and items[same].findtext("name") == "WBC":
            items[same].find("name").text = label
            count += 1
    return count


def add_box(note: ElementTree.Element, box: np.ndarray, label: str) -> None:
    item = ElementTree.SubElement(note, "object")
    ElementTree.SubElement(item, "name").text = label
    corners = ElementTree.SubElement(item, "bndbox")
    for side, value in zip(SIDES, box, strict=True):
        ElementTree.SubElement(corners, side).text = str(int(value))


@command
def main(argv: Sequence[str] | None = None) -> int:
    options: Options = parse_options(Options, __doc__, argv)
    if not (options.data_dir / "Annotations").is_dir():
        raise UserError(
            f"{options.data_dir}: no folder Annotations; it wants BCCD's, Raabin's or Bangkok's"
        )
    labelled = read_labelled(LABELLED)
    shutil.copytree(options.data_dir, options.output, dirs_exist_ok=True)
    count = 0
    for picture in sorted((options.output / "JPEGImages").iterdir()):
        path = options.output / "Annotations" / f"{picture.stem}.xml"
        if picture.name in labelled and path.is_file():
            tree = ElementTree.parse(path)
            count += relabel(tree.getroot(), labelled[picture.name])
            write_bytes(path, ElementTree.tostring(tree.getroot()))
    print(f"{options.output}: {count} cells labelled by eye")
    return 0


if __name__ == "__main__":
    sys.exit(main())
