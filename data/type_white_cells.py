"""Name the white cells of BCCD and Raabin by type: a copy of a dataset -> the same with types.

    python3 data/type_white_cells.py --data-dir raabin --output typed/raabin

`white_cell_types.csv` holds the types of those of their white cells that we could name by eye, each
looked at alone: no haematologist has seen them. Where a box says "WBC" and lies on one of them, the
copy says the type; what couldn't be named stays "WBC". Annotations are Pascal VOC.
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

from hematovision.cells import overlap
from hematovision.console import UserError, command, option, parse_options
from hematovision.files import HERE, write_bytes

TYPES = HERE / "data" / "white_cell_types.csv"
SAME = 0.5  # intersection over union from which two boxes are one cell's


@dataclass(frozen=True)
class Options:
    data_dir: Path = option(Path("raabin"), "folder of the dataset")
    output: Path = option(Path("typed/raabin"), "folder to write the typed copy to")


def read_types(path: Path) -> dict[str, list[tuple[np.ndarray, str]]]:
    """By picture, the typed cells: box (4,) and type."""
    types: dict[str, list[tuple[np.ndarray, str]]] = {}
    with open(path, newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            box = np.array([float(row[k]) for k in ("xmin", "ymin", "xmax", "ymax")])
            types.setdefault(row["image"], []).append((box, row["type"]))
    return types


def rename(note: ElementTree.Element, typed: Sequence[tuple[np.ndarray, str]]) -> int:
    """Give the boxes of a VOC annotation their types; how many were."""
    boxes, names = np.stack([box for box, _ in typed]), [name for _, name in typed]
    count = 0
    for item in note.iter("object"):
        corners = [float(item.findtext(f"bndbox/{k}", "0")) for k in
                   ("xmin", "ymin", "xmax", "ymax")]  # fmt: skip
        shared = overlap(np.array([corners]), boxes)[0]
        label = item.find("name")
        if label is not None and label.text == "WBC" and shared.max() >= SAME:
            label.text = names[int(shared.argmax())]
            count += 1
    return count


@command
def main(argv: Sequence[str] | None = None) -> int:
    options: Options = parse_options(Options, __doc__, argv)
    if not (options.data_dir / "Annotations").is_dir():
        raise UserError(f"{options.data_dir}: no folder Annotations; it wants BCCD's or Raabin's")
    types = read_types(TYPES)
    shutil.copytree(options.data_dir, options.output, dirs_exist_ok=True)
    count = 0
    for picture in sorted((options.output / "JPEGImages").iterdir()):
        path = options.output / "Annotations" / f"{picture.stem}.xml"
        if picture.name in types and path.is_file():
            tree = ElementTree.parse(path)
            count += rename(tree.getroot(), types[picture.name])
            write_bytes(path, ElementTree.tostring(tree.getroot()))
    print(f"{options.output}: {count} white cells named by type")
    return 0


if __name__ == "__main__":
    sys.exit(main())
