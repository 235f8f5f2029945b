"""Red cells without a box: found by the network itself while it is trained, and learnt from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from hematovision.cells.cells import is_sliver, overlap, sides
from hematovision.networks.tiles import find_cells
from hematovision.program.console import progress, say
from hematovision.training.fields.fields import TrainingField
from hematovision.training.fields.network import make_run
from hematovision.training.fields.views.windows import MIN_SHOWN

if TYPE_CHECKING:
    import keras

MOST_ADDED = 0.2  # of the red cells, that finds without a box may add
MOST_ANEW = 40  # fields of a laboratory that are searched for unboxed cells at a time


def label_anew(
    network: keras.Model,
    fields: Sequence[TrainingField],
    red: np.ndarray,
    rng: np.random.Generator,
) -> list[TrainingField]:
    """The fields with the red cells that the network finds where boxes may be missing.

    Of each laboratory no more than MOST_ANEW fields, at random: the others stay as they were.
    """
    run, labelled = make_run(network), list(fields)
    labs = np.array([f.lab for f in fields])
    open_ended = np.array([bool((red & ~f.complete).any()) for f in fields])
    chosen = [rng.permutation(np.flatnonzero(open_ended & (labs == lab)))[:MOST_ANEW]
              for lab in np.unique(labs)]  # fmt: skip
    chosen = np.concatenate(chosen).tolist()
    for i in progress(chosen, len(chosen), "finding cells without a box"):
        source = fields[i]
        image = source.image()
        size = image.shape[1], image.shape[0]
        box, label = source.box[: source.annotated], source.label[: source.annotated]
        found = find_cells(run, image, source.cell_px, 0.35)
        large = box[sides(box) > source.cell_px / 2]
        new = (red & ~source.complete)[found.label]
        if len(large):
            new &= overlap(found.box, large).max(axis=1, initial=0) < 0.5
        sliver = is_sliver(found.box, *size, MIN_SHOWN * source.cell_px)
        labelled[i] = replace(
            source,
            box=np.concatenate([box, found.box[new & ~sliver]]),
            label=np.append(label, found.label[new & ~sliver]),
            dismissed=found.box[new & sliver],
        )
    return doubt_finds(labelled, red)


def doubt_finds(fields: Sequence[TrainingField], red: np.ndarray) -> list[TrainingField]:
    """The fields (f) without what was found in those laboratories where it would raise the number
    of red cells by more than MOST_ADDED.

    That is over what is annotated, or what the model that is gone on from counts there: ghosts and
    mottled ground, once learnt as cells, are found ever oftener. Where there is no such model,
    nothing tells cells without a box from these.
    """
    kept = list(fields)
    for lab in dict.fromkeys(f.lab for f in fields if f.counted):
        mine = [i for i, f in enumerate(fields) if f.lab == lab and f.counted]
        boxed = sum(int(red[fields[i].label[: fields[i].annotated]].sum()) for i in mine)
        before = max(boxed, sum(fields[i].counted for i in mine))
        after = sum(int(red[fields[i].label].sum()) for i in mine)
        if after <= (1 + MOST_ADDED) * before:
            continue
        say(
            f"warning: {lab or 'fields'}: with what was found without a box {after} red cells, "
            f"annotated {boxed}, counted before training {before}: not believed; if each has its "
            "box, say so (preprocess_data.py --complete)"
        )
        for i in (i for i, f in enumerate(fields) if f.lab == lab):
            f = fields[i]
            box, label = f.box[: f.annotated], f.label[: f.annotated]
            kept[i] = replace(f, box=box, label=label, dismissed=f.dismissed[:0])
    return kept
