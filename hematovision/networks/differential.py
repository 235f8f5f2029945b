"""The differential count: the type of each white cell that was found, and the shares of the types.

The field network finds the cells, the network for crops names the type: where it answers with a
kind of what was found ("Neutrophil" of a "WBC"), that is the cell's type; where no kind is likely
enough (the card's `kind_threshold`), the cell is left untyped. Erythroblasts are found as white
cells are, and counted apart from them: for each hundred of them, as laboratories do.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from hematovision.cells.cells import Cells
from hematovision.cells.taxonomy import IMMATURE, NUCLEATED_RED, is_a
from hematovision.networks.card import PRETRAINED, Card, read_card
from hematovision.networks.classifier import Classifier
from hematovision.program.console import UserError

TELLING = 5  # fields that are named to be looked at first
NORMAL_95 = 1.959964  # standard deviations on either side that hold 95 % of a normal distribution
# White cells of the user's own stain, typed by hand, from which shares are more than proposed: the
# number that a differential is counted to.
CHECKED = 100


def list_types(classes: Sequence[str], labels: Sequence[str]) -> list[str]:
    """Those of a model's classes that are a kind of what its field network finds."""
    return [name for name in classes if any(is_a(name, of) and name != of for of in labels)]


@dataclass(frozen=True)
class Typed:
    """What kind of white cell a cell is."""

    type: str | None  # None: no kind is likely enough
    type_probabilities: dict[str, float]  # of the kinds of its label


@dataclass(frozen=True)
class TypeShare:
    """How many white cells are of a type."""

    count: int
    share: float | None  # of the typed cells; None where there are none
    ci95: tuple[float, float]  # what the share may be of so few cells, were each typed rightly
    confirmed: int = 0  # cells of the type that a person named in the user's own stain


@dataclass(frozen=True)
class Erythroblasts:
    """Nucleated red cells, which are counted apart from the white ones that they look like."""

    count: int
    per_100_white: float | None  # for each hundred white cells, typed or not; None without any


@dataclass(frozen=True)
class Differential:
    """White cells by type: numbers of cells, and the shares of the typed ones."""

    typed: int
    untyped: int
    immature: int  # with the erythroblasts
    types: dict[str, TypeShare]
    erythroblasts: Erythroblasts

    @property
    def confirmed(self) -> int:
        """White cells that a person named in the user's own stain."""
        return sum(row.confirmed for row in self.types.values())

    @property
    def is_checked(self) -> bool:
        """Whether so many were named that the types are more than proposed."""
        return self.confirmed >= CHECKED

    def describe(self) -> dict[str, Any]:
        """As the JSON of predict.py promises."""
        return asdict(self) | {"checked": self.is_checked}

    @classmethod
    def read(cls, told: Mapping[str, Any]) -> Differential:
        """Back from its JSON; KeyError or TypeError where it isn't one."""
        types = {
            name: TypeShare(
                row["count"], row["share"], (row["ci95"][0], row["ci95"][1]), row["confirmed"]
            )
            for name, row in told["types"].items()
        }
        red = told["erythroblasts"]
        erythroblasts = Erythroblasts(red["count"], red["per_100_white"])
        return cls(told["typed"], told["untyped"], told["immature"], types, erythroblasts)


def count_confirmed(card: Card, types: Sequence[str]) -> dict[str, int]:
    """How many cells of each type a person named in the user's own stain: those of the archive that
    the model was trained on. What the bundled model has learnt from is nobody's own."""
    try:
        bundled = read_card(PRETRAINED).seal
    except UserError:
        bundled = None
    if card.seal is None or card.seal == bundled:
        return dict.fromkeys(types, 0)
    return {name: sum(split.get(name, 0) for split in card.counts.values()) for name in types}


def type_cell(
    classifier: Classifier, image: np.ndarray, box: np.ndarray, label: str, types: Sequence[str]
) -> Typed:
    """The type of one cell of a label.

    `image` (height, width, 3) uint8, `box` (4,) in its pixels.
    """
    low = np.maximum(np.floor(box[:2]), 0).astype(int)
    high = np.minimum(np.ceil(box[2:]), image.shape[1::-1]).astype(int)
    high = np.maximum(high, low + 1)
    answer = classifier.answer(classifier.crop(image[low[1] : high[1], low[0] : high[0]]))
    kinds = [name for name in types if is_a(name, label)]
    return Typed(
        answer.label if answer.label in kinds else None,
        {name: answer.probabilities[name] for name in kinds},
    )


def type_cells(
    classifier: Classifier, image: np.ndarray, cells: Cells, labels: Sequence[str]
) -> list[Typed | None]:
    """`type_cell` of each of the cells (n); None of those whose label has no types."""
    types = list_types(classifier.classes, labels)
    typed = {k for k, label in enumerate(labels) if any(is_a(name, label) for name in types)}
    return [
        type_cell(classifier, image, box, labels[k], types) if k in typed else None
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


def count_types(
    named: Iterable[str | None], types: Sequence[str], confirmed: Mapping[str, int] | None = None
) -> Differential:
    """The differential of cells by their types, None for the untyped; `confirmed`: how many cells
    of each type a person named in the user's own stain."""
    count = Counter(named)
    untyped, red = count.pop(None, 0), count.pop(NUCLEATED_RED, 0)
    total = count.total()
    white = total + untyped

    def share(name: str) -> TypeShare:
        n = count[name]
        of_typed = n / total if total else None
        return TypeShare(n, of_typed, wilson(n, total), (confirmed or {}).get(name, 0))

    return Differential(
        typed=total,
        untyped=untyped,
        immature=red + sum(count[name] for name in types if name in IMMATURE),
        types={name: share(name) for name in types if name != NUCLEATED_RED},
        erythroblasts=Erythroblasts(red, 100 * red / white if white else None),
    )


def rank_fields(asked: Mapping[str, int]) -> list[tuple[str, int]]:
    """The TELLING fields whose cells ask most to be looked at, most first: name, and how many of
    its cells are untyped or immature. `asked`: that number by field."""
    ranked = sorted((item for item in asked.items() if item[1]), key=lambda item: -item[1])
    return ranked[:TELLING]


def format_differential(found: Differential, look_at: Sequence[tuple[str, int]] = ()) -> str:
    """A differential as a table for a person to read, and which fields to look at first.

    Until the types are checked no interval is printed, which would speak of few cells alone.
    """
    apart, untyped = found.erythroblasts, "no type sure enough"
    width = max(map(len, (*found.types, untyped))) + 2
    interval = "   95 % interval" if found.is_checked else ""
    lines = [f"{'white cells by type':<{width}}{'count':>6}{'share':>9}{'confirmed':>11}{interval}"]
    for name, row in found.types.items():
        low, high = (100 * end for end in row.ci95)
        share = "-" if row.share is None else f"{100 * row.share:.1f} %"
        interval = f"   {low:.1f} to {high:.1f} %" if found.is_checked else ""
        lines.append(f"{name:<{width}}{row.count:>6}{share:>9}{row.confirmed:>11}{interval}")
    if found.untyped:
        lines.append(f"{untyped:<{width}}{found.untyped:>6}   of {found.typed + found.untyped}")
    if apart.count:
        rate = "-" if apart.per_100_white is None else f"{apart.per_100_white:.1f}"
        lines.append(f"{NUCLEATED_RED:<{width}}{apart.count:>6}   {rate} per 100 white cells")
    if not found.is_checked:
        lines.append(
            f"proposed, not checked in your stain: {found.confirmed} of {CHECKED} white cells "
            "confirmed (correct their types, and train on them)"
        )
    if found.immature:
        lines.append(f"look at them: {found.immature} immature or nucleated red cells proposed")
    if look_at:
        named = ", ".join(f"{name} ({n})" for name, n in look_at)
        lines.append(f"look first at the untyped and immature cells of: {named}")
    return "\n".join(lines)
