"""Score how a model finds and counts the cells of whole fields that are boxed in Pascal VOC.

    python3 tests/benchmarks/fields.py --data-dir raabin
    python3 tests/benchmarks/fields.py --data-dir bccd --notes tests/complete_val
    python3 tests/benchmarks/fields.py --data-dir bccd --split test

Prints AP50 and AP50:95 (COCO's code), cells annotated and counted, and counting accuracy,
1 - sum |counted - annotated| / sum annotated. Read it as what it is: where boxes are missing, a
found cell is called a false alarm.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np

from hematovision.annotations.reading import read_annotations
from hematovision.archive.contents import FieldSplit, find_starts
from hematovision.datasets.field import Field, Mask
from hematovision.datasets.findings import Example
from hematovision.datasets.opening import find_default
from hematovision.datasets.placing import place_boxes
from hematovision.evaluation.field_scores import ask_fields, measure_fields
from hematovision.networks.card import PRETRAINED, read_card
from hematovision.networks.detector import Detector
from hematovision.pictures.images import read_image
from hematovision.preparing.writing import pack_fields
from hematovision.program.console import UserError, command
from hematovision.program.files import survey
from hematovision.program.options import option, parse_options


@dataclass(frozen=True)
class Options:
    data_dir: Path | None = option(None, "Pascal VOC dataset (default: data/, else data/sample/)")
    notes: Path | None = option(None, "folder of annotations to use instead of the dataset's own")
    split: str | None = option(None, "only the fields of this official list: train, val or test")
    model: Path = option(PRETRAINED, "folder of the model")
    workers: int = option(2, "threads")


def score_folder(
    model: Path, images: Path, notes: Path, stems: Sequence[str] | None = None, workers: int = 2
) -> dict[str, Any]:
    """Figures by label (`measure_fields`) of the fields that `notes` annotates."""
    detector = Detector.load(model, read_card(model), workers)
    return measure_fields(ask_fields(detector, read_boxed(images, notes, stems)))["labels"]


def read_boxed(images: Path, notes: Path, stems: Sequence[str] | None = None) -> FieldSplit:
    """The fields that `notes` annotates, as an archive would hold them."""
    paths = {path.stem: path for path in survey(images)[0]}
    fields = []
    for note in sorted(notes.glob("*.xml")):
        if stems is None or note.stem in stems:
            data = paths[note.stem].read_bytes()
            image = read_image(paths[note.stem], data)
            (noted,) = read_annotations(note)
            segments = place_boxes(noted, image, Example(note.name)).segments
            nowhere, name = Mask.pack(np.empty((0, 0), bool)), paths[note.stem].name
            fields.append(Field(paths[note.stem], segments, nowhere, name, size=len(data)))
    columns = pack_fields(fields)
    columns["field_file"] = np.frombuffer(b"".join(f.read() for f in fields), np.uint8)
    unsaid = np.full(len(fields), "")  # laboratory, and what is boxed completely
    starts = find_starts(columns["field_end"])
    keys = ("field", "field_file", "field_end", "field_box", "field_label", "field_index")
    return FieldSplit(*(columns[key] for key in keys), unsaid, unsaid, starts)


@command
def main(argv: Sequence[str] | None = None) -> int:
    options: Options = parse_options(Options, __doc__, argv)
    root = options.data_dir or find_default()
    stems = None
    if options.split:
        listed = root / "ImageSets" / "Main" / f"{options.split}.txt"
        if not listed.is_file():
            raise UserError(f"{listed}: no such list; leave --split out")
        stems = listed.read_text().split()
    notes = options.notes or root / "Annotations"
    found = score_folder(options.model, root / "JPEGImages", notes, stems, options.workers)
    print(f"{'':<12}{'AP50':>8}{'AP50:95':>9}{'annotated':>11}{'counted':>9}{'accuracy':>10}"
          f"{'precision':>11}{'recall':>8}")  # fmt: skip
    for label, row in found.items():
        print(f"{label:<12}{row['ap50']:>8.3f}{row['ap50_95']:>9.3f}{row['annotated']:>11}"
              f"{row['counted']:>9}{row['counting_accuracy'] or 0:>10.3f}{row['precision']:>11.3f}"
              f"{row['recall'] or 0:>8.3f}")  # fmt: skip
    print(f"mean AP50 {np.nanmean([row['ap50'] for row in found.values()]):.3f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
