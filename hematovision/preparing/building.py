"""Building: the fields of one split -> the arrays that the archive holds of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from hematovision.archive.metadata import SPLITS
from hematovision.cells.cells import BACKGROUND, Segment
from hematovision.datasets.field import Field
from hematovision.datasets.findings import Example, Findings
from hematovision.preparing.background import place_background
from hematovision.preparing.classes import drop_hidden_rbc
from hematovision.preparing.description import Whole
from hematovision.preparing.writing import Crops, Files, pack_fields
from hematovision.program.share import Share


def add_background(
    fields: Sequence[Field], split: str, share: Share | None, whole: Whole
) -> tuple[dict[str, list[Segment]], int]:
    """Cell-free patches for each field, by name, as large as its laboratory's boxes; and how many
    found no room."""
    patches: dict[str, list[Segment]] = {f.name: [] for f in fields}
    unplaced = 0
    for number, lab in enumerate(dict.fromkeys(f.lab for f in fields)):
        members = [f for f in fields if f.lab == lab and not f.whole]
        seeds = [whole.seed, SPLITS.index(split), *([number] if number or share else [])]
        seeds += [share.number] if share else []
        found, lacking = place_background(members, whole.background, np.random.default_rng(seeds))
        patches |= found
        unplaced += lacking
    return patches, unplaced


def build_splits(
    fields: Sequence[Field], share: Share | None, whole: Whole, findings: Findings
) -> dict[str, Any]:
    """The arrays of all splits, see `build_split`."""
    arrays: dict[str, Any] = {}
    for split in SPLITS:
        of_split = [f for f in fields if f.is_in(split)]
        arrays |= build_split(of_split, split, share, whole, findings)
    return arrays


def lacks_ground(arrays: Mapping[str, Any], whole: Whole, how: str) -> bool:
    """Whether some split shows background and another none, where it is a class and each split has
    to show each: windows around single cells leave hardly any room."""
    if how == "test" or whole.task == "binary":
        return False
    shown = [BACKGROUND in arrays[f"label_{split}"] for split in SPLITS]
    return any(shown) and not all(shown)


def build_split(
    fields: Sequence[Field],
    split: str,
    share: Share | None,
    whole: Whole,
    findings: Findings,
) -> dict[str, np.ndarray | Crops | Files]:
    """The arrays of one split but for `y`; what is left out of it goes to `findings`.

    Beside the crops go the fields as they are, see `pack_fields`: what finds cells in a whole field
    is trained on those.
    """
    patches, unplaced = add_background(fields, split, share, whole)
    if unplaced:
        reason = "background patch for which no cell-free room was found"
        findings.add("left out", reason, None, unplaced)
    chosen = []
    for field in fields:
        segments = field.segments
        if whole.task == "binary":
            segments, hidden = drop_hidden_rbc(segments)
            if hidden:
                reason = "other cell's box that holds a red cell's centre"
                findings.add("left out", reason, Example(field.name, field.path), hidden)
        chosen.append((field, [*segments, *patches[field.name]]))
    flat = [(f, s) for f, segments in chosen for s in segments]
    arrays = {
        "X": Crops(chosen, whole.image_size),
        "label": np.array([s.label for _, s in flat], str),
        "source": np.array([f.name for f, _ in flat], str),
        "box": np.array([s.box for _, s in flat], np.int64).reshape(-1, 4),
        "lab": np.array([f.lab for f, _ in flat], str),
        **pack_fields(fields),
    }
    return {f"{name}_{split}": array for name, array in arrays.items()}
