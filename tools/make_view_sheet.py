"""Make docs/views.jpg: what training shows of white cells, type by type, to be looked at.

    python3 tools/make_view_sheet.py --data preprocessed_data.npz

A row is one training crop of a type, as it is and then in views as other laboratories might show
it. No view may give one type what tells another: a neutrophil's granules an eosinophil's colour.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from hematovision.archive.contents import Split
from hematovision.archive.loading import load_archive
from hematovision.cells.taxonomy import PARENT, is_a
from hematovision.pictures.images import write_image
from hematovision.program.console import command
from hematovision.program.options import option, parse_options
from hematovision.training.crops.styles import collect_styles
from hematovision.training.views import draw_views

WHITE_LINE = 3  # pixels between rows, and between the crop and its views
LABEL_WIDTH = 190  # pixels for the name of a row


@dataclass(frozen=True)
class Options:
    data: Path = option(Path("preprocessed_data.npz"), "archive of several laboratories")
    output: Path = option(Path("docs/views.jpg"), "picture to write")
    views: int = option(11, "views of each crop", low=1)
    rows: int = option(2, "crops of each type, each of another laboratory", low=1)
    seed: int = option(0, "seed of crops and views", low=0)


def choose_crops(split: Split, rows: int, rng: np.random.Generator) -> Iterator[int]:
    """Of each type of white cell some crops, each of another laboratory."""
    for label in (name for name in PARENT if is_a(name, "WBC")):
        labs = rng.permutation(np.unique(split.lab[split.label == label]))
        for lab in labs[:rows]:
            yield int(rng.choice(np.flatnonzero((split.label == label) & (split.lab == lab))))


def draw_row(split: Split, i: int, views: np.ndarray) -> np.ndarray:
    """The name of a crop's type, the crop and its views (n, size, size, 3), side by side."""
    size = views.shape[1]
    name = np.full((size, LABEL_WIDTH, 3), 255, np.uint8)
    for text, bottom in ((split.label[i], size // 2), (split.lab[i], size // 2 + 20)):
        cv2.putText(name, str(text), (6, bottom), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (0, 0, 0), 1,
                    cv2.LINE_AA)  # fmt: skip
    line = np.full((size, WHITE_LINE, 3), 255, np.uint8)
    row = np.hstack([name, split.X[i], line, *views])
    return np.vstack([row, np.full((WHITE_LINE, row.shape[1], 3), 255, np.uint8)])


@command
def main(argv: Sequence[str] | None = None) -> int:
    options: Options = parse_options(Options, __doc__, argv)
    split = load_archive(options.data, ["train"]).splits["train"]
    styles = collect_styles(split, [options.seed])
    chosen = list(choose_crops(split, options.rows, np.random.default_rng(options.seed)))
    rows = []
    for number, i in enumerate(chosen):
        again = np.full(options.views, i)
        drawn = draw_views(split, again, [options.seed, number], styles.restyle)
        rows.append(draw_row(split, i, np.concatenate(list(drawn))))
    write_image(options.output, np.vstack(rows))
    print(f"{options.output}: {len(rows)} cells, {options.views} views each")
    return 0


if __name__ == "__main__":
    sys.exit(main())
