"""Fields as two models count them: before a handful of their laboratory was learnt, and after.

    python3 tools/make_before_after.py field.jpg --before data/pretrained --after mine_model

Writes the fields side by side, a row each, with every counted cell boxed, white cells by type, and
the counts beneath, into `--output` (a JPEG). The cells whose name has changed stand on the screen.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from hematovision.answering.counting import CountedField, FieldCounter, HowToCount
from hematovision.cells.drawing import draw_cells
from hematovision.networks.card import PRETRAINED
from hematovision.program.console import UserError, command, say
from hematovision.program.options import option, parse_options

GAP, WIDTH = 24, 1600  # pixels between the pictures, and of the whole
GROUND = 255
QUALITY = 85  # of the JPEG


@dataclass(frozen=True)
class Options:
    images: tuple[Path, ...] = option((), "fields, a row each", nargs="+")
    before: Path = option(PRETRAINED, "the model that was gone on from")
    after: Path | None = option(None, "the model that has learnt from the laboratory")
    cell_size: float | None = option(None, "pixels across a red cell, where that is known", low=4)
    output: Path = option(Path("before_after.jpg"), "the picture that is written")


def draw_counted(field: CountedField, labels: Sequence[str]) -> np.ndarray:
    """A field (h, w, 3) uint8 with its counted cells, each by its type where it has one."""
    counted = [k for k, cell in enumerate(field.answer.cells) if cell.counted]
    names = [field.answer.cells[k].name for k in counted]
    return draw_cells(field.image, field.cells.pick(np.array(counted, int)), labels, names=names)


def tell_change(name: str, before: CountedField, after: CountedField) -> str:
    """The counts by name of both, in words."""
    told = []
    for field in (before, after):
        names = sorted({cell.name for cell in field.answer.list_counted()})
        count = {n: sum(cell.name == n for cell in field.answer.list_counted()) for n in names}
        told.append(", ".join(f"{n} {label}" for label, n in count.items()) or "nothing")
    return f"{name}: {told[0]} -> {told[1]}"


def lay_beside(rows: Sequence[Sequence[np.ndarray]]) -> np.ndarray:
    """Pictures (h, w, 3) uint8 in rows, WIDTH pixels wide in all."""
    wide = (WIDTH - GAP * (len(rows[0]) - 1)) // len(rows[0])
    laid = []
    for row in rows:
        scaled = [cv2.resize(p, (wide, round(p.shape[0] * wide / p.shape[1])),
                             interpolation=cv2.INTER_AREA) for p in row]  # fmt: skip
        gap = np.full((scaled[0].shape[0], GAP, 3), GROUND, np.uint8)
        laid.append(np.hstack([scaled[0], *(part for p in scaled[1:] for part in (gap, p))]))
        laid.append(np.full((GAP, laid[-1].shape[1], 3), GROUND, np.uint8))
    return np.vstack(laid[:-1])


@command
def main(argv: Sequence[str] | None = None) -> int:
    options: Options = parse_options(Options, __doc__, argv)
    if options.after is None:
        raise UserError("--after: a model that has learnt from the laboratory is wanted")
    how = HowToCount(cell_px=options.cell_size)
    before, after = (FieldCounter.load(f, how, 2) for f in (options.before, options.after))
    rows = []
    for path in options.images:
        both = [counter.count(path, counter.read(path)) for counter in (before, after)]
        say(tell_change(path.name, *both))
        rows.append([draw_counted(field, before.labels) for field in both])
    picture = cv2.cvtColor(lay_beside(rows), cv2.COLOR_RGB2BGR)
    cv2.imwrite(str(options.output), picture, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    say(f"{options.output}: {options.output.stat().st_size / 1e3:.0f} kB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
