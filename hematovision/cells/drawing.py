"""How cells are drawn: a field in, the field with its boxes, labels and counts out.

    draw_cells(image, cells, labels)    # (h, w, 3) uint8 RGB, enlarged where it is small

Colours are those that colour-blind readers can tell apart.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from hematovision.cells.cells import Cells
from hematovision.program.figures import AMBER, BLUE, GREEN, ORANGE, PINK, SKY, YELLOW

Colour = tuple[int, int, int]  # red, green, blue
FONT = cv2.FONT_HERSHEY_SIMPLEX


def choose_colours(labels: Sequence[str]) -> dict[str, Colour]:
    """An RGB colour for each label."""
    colours = {"RBC": BLUE, "WBC": AMBER, "Platelets": GREEN}
    others = (PINK, SKY, ORANGE, YELLOW)
    rest = [label for label in labels if label not in colours]
    colours |= {label: others[i % len(others)] for i, label in enumerate(rest)}
    return {label: parse_colour(colour) for label, colour in colours.items()}


def parse_colour(colour: str) -> Colour:
    """The numbers of "#rrggbb"."""
    red, green, blue = bytes.fromhex(colour[1:])
    return red, green, blue


def write_label(
    canvas: np.ndarray, text: str, at: tuple[int, int], colour: Colour, unit: float
) -> int:
    """Write onto a patch of `colour` whose lower left corner is `at`, or as near as the canvas
    allows; returns where the patch ends on the right. `unit`: how large, 1 for a width of 1280.

    Tells colours by lightness too: in black or white, whichever stands out.
    """
    size, ink = 0.45 * unit, max(1, round(unit))
    (w, h), base = cv2.getTextSize(text, FONT, size, ink)
    x, y = min(at[0], canvas.shape[1] - w - 4), max(at[1], h + base + 2)
    cv2.rectangle(canvas, (x, y - h - base), (x + w + 4, y + 2), colour, -1)
    paper = (0, 0, 0) if np.dot(colour, (0.3, 0.6, 0.1)) > 110 else (255, 255, 255)
    cv2.putText(canvas, text, (x + 2, y - base // 2), FONT, size, paper, ink, cv2.LINE_AA)
    return x + w + 4


def draw_cells(
    image: np.ndarray,
    cells: Cells,
    labels: Sequence[str],
    with_probability: bool = False,
    names: Sequence[str] | None = None,
) -> np.ndarray:
    """The field with a box around each cell, labelled, and a line beneath that counts them.

    `names` (n): what to write at each cell, where that isn't its label.

    Small fields are enlarged so that the labels stay legible.
    """
    colours = choose_colours(labels)
    scale = max(1, round(1280 / max(image.shape[:2])))
    canvas = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
    height, width = canvas.shape[:2]
    unit = max(width, height) / 1280
    boxes = np.rint(cells.box * scale).astype(int).tolist()
    for (x0, y0, x1, y1), k in zip(boxes, cells.label, strict=True):
        cv2.rectangle(canvas, (x0, y0), (x1, y1), colours[labels[k]], max(2, round(2 * unit)))
    names = [labels[k] for k in cells.label] if names is None else names
    for (x0, y0, _, _), name, k, p in zip(
        boxes, names, cells.label, cells.probability, strict=True
    ):  # after all boxes, so that none crosses a label
        text = f"{name} {p:.2f}" if with_probability else name
        write_label(canvas, text, (x0, y0), colours[labels[k]], unit)
    canvas = np.vstack([canvas, np.full((round(34 * unit), width, 3), 255, np.uint8)])
    x, y = round(8 * unit), len(canvas) - round(8 * unit)
    for k, label in enumerate(labels):
        text = f"{label}: {int((cells.label == k).sum())}"
        x = write_label(canvas, text, (x, y), colours[label], unit) + round(10 * unit)
    return canvas
