"""cells.csv and summary.csv: a row a cell, and a row a field."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from hematovision.answering.field_answer import FieldAnswer

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
)


def list_rows(answer: FieldAnswer) -> Iterator[dict[str, Any]]:
    """The rows of cells.csv for one field."""
    for cell in answer.cells:
        x0, y0, x1, y1 = cell.box
        yield {
            "image": answer.image,
            "label": cell.label,
            "probability": f"{cell.probability:.4f}",
            **{"xmin": x0, "ymin": y0, "xmax": x1, "ymax": y1},
            "area_px": (x1 - x0) * (y1 - y0),
            "counted": cell.counted,
            "type": (cell.typed and cell.typed.type) or "",
        }


def sum_up(answer: FieldAnswer) -> dict[str, Any]:
    """The row of summary.csv for one field."""
    return {"image": answer.image, **answer.counts}
