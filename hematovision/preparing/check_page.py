"""The page of ``preprocess_data.py --check``: every kind of finding, with the fields drawn."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from hematovision.cells.cells import Segment
from hematovision.datasets.field import Field
from hematovision.datasets.findings import Example, Findings
from hematovision.pictures.images import read_image
from hematovision.program.console import UserError, tell
from hematovision.program.figures import BLUE, ORANGE
from hematovision.program.files import write_text

TEMPLATE = Path(__file__).with_suffix(".html")
MOST_DRAWN = 12  # fields of each reason
WIDTH = 480  # pixels of a drawn field


def write_check_page(path: Path, fields: Sequence[Field], findings: Findings) -> int:
    """Write the page; returns the exit status: 1 where there is something to mend, else 0."""
    from jinja2 import Environment

    segments = {field.path: field.segments for field in fields}
    groups: list[dict[str, Any]] = []
    for kind, reason, n, examples in findings.reasons():
        drawn = [{"name": e.name, "detail": e.detail, "image": draw(e, segments)} for e in examples]
        groups.append({"kind": kind, "reason": reason, "count": n, "examples": drawn})
    template = Environment(autoescape=True).from_string(TEMPLATE.read_text("utf-8"))
    boxes = sum(len(field.segments) for field in fields)
    page = template.render(
        groups=groups, fields=len(fields), boxes=boxes, blue=BLUE, orange=ORANGE,
        to_mend=findings.to_mend, notices=findings.notices,
    )  # fmt: skip
    write_text(path, page.encode("utf-8", "backslashreplace").decode("utf-8"))
    for line in findings.lines():
        tell(line)
    tell(f"{len(fields)} fields, {boxes} boxes, {findings.to_mend} thing(s) to mend: {path}")
    return 1 if findings.to_mend else 0


def draw(example: Example, segments: dict[Path, Sequence[Segment]]) -> str:
    """The example's picture with its boxes, those of the finding in another colour, as base64 of a
    JPEG; "" where there is none to show."""
    if example.picture is None:
        return ""
    try:
        image = read_image(example.picture)
    except UserError:
        return ""
    scale = min(1.0, WIDTH / image.shape[1])
    size = max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale))
    canvas = cv2.resize(image, size, interpolation=cv2.INTER_AREA)

    def outline(label: str, box: Sequence[float], colour: str, width: int) -> None:
        rgb = tuple(int(colour[i : i + 2], 16) for i in (1, 3, 5))
        x0, y0, x1, y1 = (round(float(np.clip(v * scale, -9999, 9999))) for v in box)
        cv2.rectangle(canvas, (x0, y0), (max(x1, x0 + 1), max(y1, y0 + 1)), rgb, width)
        if width > 1:
            at = (min(max(x0 + 2, 2), size[0] - 40), min(max(y0 - 4, 12), size[1] - 4))
            text = label.encode("ascii", "replace").decode()
            cv2.putText(canvas, text, at, cv2.FONT_HERSHEY_SIMPLEX, 0.4, rgb, 1, cv2.LINE_AA)

    for label, box in segments.get(example.picture, []):
        outline(label, box, BLUE, 1)
    for label, corners in example.boxes:
        outline(label, corners, ORANGE, 2)
    _, data = cv2.imencode(".jpg", cv2.cvtColor(canvas, cv2.COLOR_RGB2BGR), [1, 85])
    return base64.b64encode(data.tobytes()).decode()
