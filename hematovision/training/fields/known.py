"""What a model that is gone on from knows of fields: its labels, sizes, network, what it finds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from hematovision.archive.contents import FieldSplit
from hematovision.cells.cells import overlap
from hematovision.cells.labels import is_rbc
from hematovision.cells.taxonomy import lineage
from hematovision.networks.detector import find_in_field, run_network
from hematovision.networks.litert import Network
from hematovision.networks.tiles import Run
from hematovision.program.console import progress
from hematovision.training.fields.fields import TrainingField, measure_typical
from hematovision.training.fields.network import POPULATION, build_field_network, make_run
from hematovision.training.fields.unboxed import MOST_ANEW
from hematovision.training.shrinkage import shrink
from hematovision.training.start import (
    KnownModel,
    draw_picture,
    fill,
    hold_against,
    start_field_backbone,
)

if TYPE_CHECKING:
    import keras

# Cells of a label that move its typical size half of the way from the known one.
HALF_WAY_SIZE = 20
MOST_RECOUNTED = 20  # fields that are counted before and after
# More or fewer cells by such a share, of so many, are a jump.
JUMP, TELLING = 0.2, 20


def list_labels(fields: FieldSplit, model: KnownModel | None) -> list[str]:
    """What is to be found: the roots of the labels annotated, and what a model finds already."""
    roots = ([*lineage(label)][-1] for label in np.unique(fields.label).tolist())
    return sorted({*roots, *(model.labels if model else ())})


def settle_typical(
    fields: Sequence[TrainingField], labels: Sequence[str], model: KnownModel | None
) -> np.ndarray:
    """Side of a cell of each label in parts of a red cell's (labels,), near what a model knows
    where few are annotated."""
    typical = measure_typical(((f.box, f.label, f.lab, f.cell_px) for f in fields), len(labels))
    if model is not None and model.fields:
        known = model.of_fields.typical_side
        for k, label in enumerate(labels):
            if label in known:
                count = sum(int((f.label == k).sum()) for f in fields)
                found = np.nan_to_num(typical[k], nan=known[label])
                typical[k] = shrink(found, known[label], count, HALF_WAY_SIZE)
    typical[[is_rbc(name) for name in labels]] = 1.0
    return typical


def build_known(model: KnownModel, labels: Sequence[str]) -> keras.Model:
    """A model's network for fields, to be trained on; labels new to it have a head as usual."""
    network = build_field_network(start_field_backbone(model), len(labels), norms=False)
    names = [name for name in model.fields if name.startswith("conv2d")]
    names.sort(key=lambda name: int(name.rpartition("_")[2]) if "_" in name else 0)
    blocks = [layer for layer in network.layers if layer.name.startswith("conv2d")]
    blocks.sort(key=lambda layer: int(layer.name.rpartition("_")[2]) if "_" in layer.name else 0)
    renamed = {b.name: model.fields[n] for b, n in zip(blocks, names, strict=False)}
    of_many = [layer for layer in network.layers
               if layer.name.startswith(POPULATION) and layer.name in model.fields]  # fmt: skip
    known = [*blocks, *of_many, network.get_layer("reach")]
    fill(known, model.fields | renamed, model.name)
    head = network.get_layer("heat")
    kernel, bias = head.get_weights()
    for k, label in enumerate(labels):
        if label in model.labels:
            place = model.labels.index(label)
            kernel[..., k] = model.fields["heat"][0][..., place]
            bias[k] = model.fields["heat"][1][place]
    head.set_weights((kernel, bias))
    picture = draw_picture(128, 160)
    built, _ = make_run(network)(picture)
    asked, _ = run_network(Network(model.exported_fields), picture)
    at = [labels.index(label) for label in model.labels]
    hold_against(built[..., at], asked, model.name)
    return network


def recall_known(
    run: Run, fields: Sequence[TrainingField], labels: Sequence[str], thresholds: dict[str, float]
) -> list[TrainingField]:
    """The fields with the cells that a trained network finds in them, above its `thresholds`, of
    labels that aren't boxed completely anywhere: what isn't annotated isn't unlearnt (Li and Hoiem,
    2016). Pale platelets that the network misses aren't ground either.

    Red cells are counted only, in some of the fields: `label_anew` looks for these.
    """
    lowest = np.array([thresholds.get(label, 1.0) for label in labels])
    red, recalled = np.array([is_rbc(label) for label in labels]), []
    wanted = ~red & ~np.any([f.complete for f in fields], axis=0)
    annotated = np.isin(np.arange(len(labels)), np.concatenate([f.label for f in fields]))
    seen: Counter[str] = Counter()
    for source in progress(fields, len(fields), "finding what is known"):
        asked = not source.complete[red].all() and seen[source.lab] < MOST_ANEW
        if wanted.any() or asked:
            seen[source.lab] += asked
            found = find_in_field(run, source.image(), lowest, source.cell_px)
            new = wanted[found.label]
            new &= overlap(found.box, source.box).max(axis=1, initial=0) < 0.5
            box, label = found.box[new], found.label[new]
            source = replace(
                source,
                box=np.concatenate([source.box, box]),
                label=np.append(source.label, label),
                annotated=source.annotated + int(new.sum()),
                counted=int((red & ~source.complete)[found.label].sum()) if asked else 0,
                unboxed=wanted & ~annotated,
            )
        recalled.append(source)
    return recalled


def count_again(
    fields: Sequence[TrainingField], model: KnownModel, exported: bytes,
    thresholds: dict[str, float],
) -> dict[str, tuple[int, int]]:  # fmt: skip
    """How many cells of each label the model counted in some of the fields, and how many the
    network does that has learnt from them."""
    counts: list[Counter[str]] = []
    for network, names, of in (
        (model.exported_fields, model.labels, model.of_fields.thresholds),
        (exported, [*thresholds], thresholds),
    ):
        run, lowest = partial(run_network, Network(network)), np.array([of[n] for n in names])
        cells = (find_in_field(run, f.image(), lowest, f.cell_px) for f in fields)
        counts.append(Counter(names[k] for found in cells for k in found.label.tolist()))
    before, after = counts
    return {label: (before[label], after[label]) for label in thresholds}


def tell_jumps(counts: dict[str, tuple[int, int]], fields: int) -> list[str]:
    """What to say of labels of which clearly more or fewer cells are counted than before."""
    return [
        f"after training {after} {label} are counted in {fields} of the fields that were learnt "
        f"from, before it {before}: look at them (predict.py --field --output) before you rely on "
        "it"
        for label, (before, after) in counts.items()
        if max(before, after) >= TELLING and max(before, after) > (1 + JUMP) * min(before, after)
    ]
