"""cells.csv, summary.csv and differential.csv: a row a cell, a field, a type of white cells."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from hematovision.answering.field_answer import FieldAnswer
from hematovision.networks.differential import Differential
from hematovision.program.tables import round_to

COLUMNS = (
    "image",
    "label",
    "probability",
    "xmin",
    "ymin",
    "xmax",
    "ymax",
    "area_px",
    "counted",
    "type",
    "cut",
    "look",
)
TYPE_COLUMNS = ("type", "count", "share", "ci95_low", "ci95_high", "confirmed")


def list_rows(answer: FieldAnswer) -> Iterator[dict[str, Any]]:
    """The rows of cells.csv for one field."""
    for cell in answer.cells:
        x0, y0, x1, y1 = cell.box
        yield {
            "image": answer.image,
            "label": cell.label,
            "probability": round_to(cell.probability, 4),
            **{"xmin": x0, "ymin": y0, "xmax": x1, "ymax": y1},
            "area_px": (x1 - x0) * (y1 - y0),
            "counted": cell.counted,
            "type": (cell.typed and cell.typed.type) or "",
            "cut": cell.cut,
            "look": cell.look,
        }


def sum_up(answer: FieldAnswer) -> dict[str, Any]:
    """The row of summary.csv for one field."""
    return {"image": answer.image, **answer.counts}


def add_up(counts: Mapping[str, int], fields: int) -> dict[str, Any]:
    """The last row of summary.csv: all fields together."""
    return {"image": f"all {fields} fields", **counts}


def list_types(found: Differential) -> Iterator[dict[str, Any]]:
    """The rows of differential.csv; intervals stand there once the types are checked."""
    for name, row in found.types.items():
        told: dict[str, Any] = {"type": name, "count": row.count, "confirmed": row.confirmed}
        if row.share is not None:
            told["share"] = round_to(row.share, 4)
        if found.is_checked:
            low, high = row.ci95
            told |= {"ci95_low": round_to(low, 4), "ci95_high": round_to(high, 4)}
        yield told
    yield {"type": "untyped", "count": found.untyped}
    yield {"type": "erythroblasts", "count": found.erythroblasts.count}


class Totals:
    """What the tables say of all fields."""

    def __init__(self) -> None:
        self.fields = 0
        self.counts: Counter[str] = Counter()
        self.named: Counter[str | None] = Counter()  # white cells by type

    def add(self, answer: FieldAnswer) -> None:
        self.fields += 1
        self.counts.update(answer.counts)
        self.named.update(answer.list_types())
