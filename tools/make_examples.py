"""Cut data/examples/ out of BCCD: a cell of each kind and a whole field to try predict.py on.

    python3 tools/make_examples.py --data-dir BCCD

All are of BCCD's official test fields (MIT licence), which no bundled model was trained on.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from hematovision.annotations.reading import read_annotations
from hematovision.pictures.images import read_image, write_image
from hematovision.program.console import command
from hematovision.program.files import HERE
from hematovision.program.options import option, parse_options

FIELD = "BloodImage_00249"
# Which box of which field, counted from 0: typical cells, and whole.
CELLS = {
    "red_cell": ("BloodImage_00333", 2),
    "white_cell": ("BloodImage_00098", 13),
    "platelet": ("BloodImage_00220", 11),
}


@dataclass(frozen=True)
class Options:
    data_dir: Path = option(HERE / "data", "folder of the BCCD dataset")
    output: Path = option(HERE / "data" / "examples", "folder to fill")


@command
def main(argv: Sequence[str] | None = None) -> int:
    options: Options = parse_options(Options, __doc__, argv)
    options.output.mkdir(parents=True, exist_ok=True)
    for name, (stem, k) in CELLS.items():
        (noted,) = read_annotations(options.data_dir / "Annotations" / f"{stem}.xml")
        xmin, ymin, xmax, ymax = noted.boxes[k].corners
        field = read_image(options.data_dir / "JPEGImages" / f"{stem}.jpg")
        cell = field[int(ymin) : int(ymax), int(xmin) : int(xmax)]
        write_image(options.output / f"{name}.png", cell)
    shutil.copyfile(options.data_dir / "JPEGImages" / f"{FIELD}.jpg", options.output / "field.jpg")
    print(f"{options.output}: {', '.join(CELLS)}, field")
    return 0


if __name__ == "__main__":
    sys.exit(main())
