"""Validation: what is found in held-out fields settles, thresholds and the figures of the card."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from hematovision.cells.cells import Cells
from hematovision.cells.labels import is_rbc
from hematovision.networks.detector import find_in_field, run_network
from hematovision.networks.litert import Network
from hematovision.networks.reliance import is_found
from hematovision.program.console import progress
from hematovision.training.fields.fields import TrainingField
from hematovision.training.fields.thresholds import judge
from hematovision.training.shrinkage import shrink
from hematovision.training.start import KnownModel

MOST_JUDGES = 100  # fields of a laboratory that thresholds are chosen on


def choose_judges(labs: np.ndarray, seed: int) -> np.ndarray:
    """Which fields (f,) bool thresholds are chosen on: MOST_JUDGES of each laboratory at most."""
    rng, chosen = np.random.default_rng([seed, 6]), np.zeros(len(labs), bool)
    for lab in np.unique(labs):
        chosen[rng.permutation(np.flatnonzero(labs == lab))[:MOST_JUDGES]] = True
    return chosen


def find_held_out(exported: bytes, fields: Sequence[TrainingField], labels: int) -> list[Cells]:
    """What an exported network finds in fields of known scale, down to probability 0."""
    run: Callable[..., Any] = partial(run_network, Network(exported))
    return [
        find_in_field(run, f.image(), np.zeros(labels), f.cell_px)
        for f in progress(fields, len(fields), "thresholds")
    ]


def shrink_thresholds(
    best: np.ndarray, fields: Sequence[TrainingField], labels: Sequence[str],
    model: KnownModel | None,
) -> np.ndarray:  # fmt: skip
    """The threshold of each label (labels,), the best here, moved towards the known one (else 0.5)
    where few cells were annotated."""
    known = model.of_fields.thresholds if model else {}
    start = np.array([known.get(label, 0.5) for label in labels])
    count = np.array([sum(int((f.label == k).sum()) for f in fields) for k in range(len(labels))])
    return shrink(best, start, count)


def score_held_out(
    found: Sequence[Cells], fields: Sequence[TrainingField], thresholds: dict[str, float]
) -> dict[str, dict[str, float]]:
    """By label the cells `annotated`, those `counted` from its threshold up, and those that are
    `both` (IoU 0.5), of the held-out fields where all have their boxes, else of all."""
    scores: dict[str, dict[str, float]] = {}
    for k, (label, threshold) in enumerate(thresholds.items()):
        rows = [row for of_lab in judge(found, fields, k)[0].values() for row in of_lab]
        counted = [row.probability >= threshold for row in rows]
        scores[label] = {
            "fields": len(rows),
            "annotated": sum(row.annotated for row in rows),
            "counted": sum(int(c.sum()) for c in counted),
            "both": sum(int((c & row.hit).sum()) for c, row in zip(counted, rows, strict=True)),
        }
    return scores


def list_failures(scores: dict[str, dict[str, float]]) -> list[str]:
    """The labels that the network doesn't find to speak of."""
    return [
        label
        for label, of in scores.items()
        if not is_found(of["annotated"], of["counted"], of["both"])
    ]


def tell_failures(scores: dict[str, dict[str, float]]) -> list[str]:
    """What to warn of, a line for each label that isn't found to speak of."""
    return [
        f"don't rely on its counts of {label}: in held-out fields it counted "
        f"{scores[label]['counted']:.0f} for {scores[label]['annotated']:.0f} annotated, "
        f"{scores[label]['both']:.0f} of them in their place"
        for label in list_failures(scores)
    ]


def is_fit(scores: dict[str, dict[str, float]]) -> bool:
    """Whether a network may count: it finds red cells, and most of the labels that are there."""
    failed = list_failures(scores)
    there = [label for label, of in scores.items() if of["annotated"]]
    return not any(map(is_rbc, failed)) and 2 * len(failed) <= len(there)


def tell_scores(scores: dict[str, dict[str, float]]) -> str:
    """How it counts, label by label, for the screen."""
    return ", ".join(
        f"{label} {of['counted']:.0f} for {of['annotated']:.0f} annotated ({of['both']:.0f} in "
        "their place)"
        for label, of in scores.items()
        if of["annotated"]
    )
