"""The differential count: the type of each white cell that was found, and the shares of the types.

The field network finds the cells, the network for crops names the type: where it answers with a
kind of what was found ("Neutrophil" of a "WBC"), that is the cell's type; where no kind is likely
enough (the card's `kind_threshold`), the cell is left untyped.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from hematovision.cells.cells import Cells
from hematovision.cells.taxonomy import IMMATURE, is_a
from hematovision.networks.classifier import Classifier

NORMAL_95 = 1.959964  # standard deviations on either side that hold 95 % of a normal distribution


def list_types(classes: Sequence[str], labels: Sequence[str]) -> list[str]:
    """Those of a model's classes that are a kind of what its field network finds."""
    return [name for name in classes if any(is_a(name, of) and name != of for of in labels)]


def type_cell(
    classifier: Classifier, image: np.ndarray, box: np.ndarray, label: str, types: Sequence[str]
) -> dict[str, Any]:
    """`type` of one cell, or None, and `type_probabilities` of the types of its label.

    `image` (height, width, 3) uint8, `box` (4,) in its pixels.
    """
    low = np.maximum(np.floor(box[:2]), 0).astype(int)
    high = np.minimum(np.ceil(box[2:]), image.shape[1::-1]).astype(int)
    high = np.maximum(high, low + 1)
    answer = classifier.answer(classifier.crop(image[low[1] : high[1], low[0] : high[0]]))
    kinds = [name for name in types if is_a(name, label)]
    return {
        "type": answer["label"] if answer["label"] in kinds else None,
        "type_probabilities": {name: answer["probabilities"][name] for name in kinds},
    }


def type_cells(
    classifier: Classifier, image: np.ndarray, cells: Cells, labels: Sequence[str]
) -> list[dict[str, Any]]:
    """`type_cell` of each of the cells (n); nothing of those whose label has no types."""
    types = list_types(classifier.classes, labels)
    typed = {k for k, label in enumerate(labels) if any(is_a(name, label) for name in types)}
    return [
        type_cell(classifier, image, box, labels[k], types) if k in typed else {}
        for box, k in zip(cells.box, cells.label, strict=True)
    ]


def wilson(count: int, total: int) -> tuple[float, float]:
    """95 % interval of a share (Wilson, 1927), which stays within 0 and 1 and is right for few.

    That a hundred cells say little is Rumke's point (1985): 5 of 100 may be 2 to 11 in 100.
    """
    if total == 0:
        return 0.0, 1.0
    share, z2 = count / total, NORMAL_95**2
    middle = (share + z2 / (2 * total)) / (1 + z2 / total)
    reach = np.sqrt(share * (1 - share) / total + z2 / (4 * total**2)) * NORMAL_95
    reach /= 1 + z2 / total
    return max(float(middle - reach), 0.0), min(float(middle + reach), 1.0)


def count_types(named: Sequence[str | None], types: Sequence[str]) -> dict[str, Any]:
    """The differential of cells by their types, None for the untyped.

    Shares are of the typed cells, with 95 % intervals; `untyped` and `immature` are numbers.
    """
    count = Counter(named)
    untyped = count.pop(None, 0)
    total = count.total()
    return {
        "typed": total,
        "untyped": untyped,
        "immature": sum(count[name] for name in types if name in IMMATURE),
        "types": {
            name: {
                "count": count[name],
                "share": count[name] / total if total else None,
                "ci95": list(wilson(count[name], total)),
            }
            for name in types
        },
    }


def add_types(
    answer: dict[str, Any],
    classifier: Classifier,
    image: np.ndarray,
    cells: Cells,
    labels: Sequence[str],
) -> None:
    """Add the types of the counted white cells to a field's answer, and its differential."""
    counted = np.array([cell["counted"] for cell in answer["cells"]], bool)
    rows = [cell for cell in answer["cells"] if cell["counted"]]
    for row, typed in zip(
        rows, type_cells(classifier, image, cells.pick(counted), labels), strict=True
    ):
        row |= typed
    named = [row["type"] for row in rows if "type" in row]
    answer["differential"] = count_types(named, list_types(classifier.classes, labels))


def format_differential(found: dict[str, Any]) -> str:
    """A differential as a table for a person to read."""
    cells = found["typed"] + found["untyped"]
    width = max(map(len, (*found["types"], "no type sure enough"))) + 2
    lines = [f"{'white cells by type':<{width}}{'count':>6}{'share':>9}   95 % interval"]
    for name, row in found["types"].items():
        low, high = (100 * end for end in row["ci95"])
        share = "-" if row["share"] is None else f"{100 * row['share']:.1f} %"
        lines.append(f"{name:<{width}}{row['count']:>6}{share:>9}   {low:.1f} to {high:.1f} %")
    if found["untyped"]:
        lines.append(f"{'no type sure enough':<{width}}{found['untyped']:>6}   of {cells}")
    if found["immature"]:
        lines.append(f"look at them: {found['immature']} immature or nucleated red cells proposed")
    return "\n".join(lines)
