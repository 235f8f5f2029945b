"""The text of keras-yolo3 and its kin: one line a picture, "a.jpg x0,y0,x1,y1,class ..."."""

from __future__ import annotations

import math
from pathlib import Path

from hematovision.annotations.annotation import Annotation, number
from hematovision.program.files import IMAGE_SUFFIXES


def split_line(line: str) -> tuple[str, list[list[float]]] | None:
    """The picture's name, which may hold blanks, and its boxes; None where it is another text."""
    words = line.split()
    boxes: list[list[float]] = []
    while words and words[-1].count(",") == 4:
        boxes.append([number(v) for v in words.pop().split(",")])
    name = " ".join(words)
    if not name.lower().endswith(IMAGE_SUFFIXES) or any(math.isnan(v) for b in boxes for v in b):
        return None
    return name, boxes[::-1]


def is_keras_yolo(lines: list[str]) -> bool:
    """Whether each line is a picture's, and one at least has a box: else it is a list of names."""
    found = [split_line(line) for line in lines[:1000]]
    return all(found) and any(of and of[1] for of in found)


def read_keras_yolo(path: Path, lines: list[str]) -> list[Annotation]:
    """All pictures; the labels are class numbers still."""
    found = []
    for line in lines:
        name, boxes = split_line(line) or ("", [])
        note = Annotation(path, name)
        for *corners, kind in boxes:
            note.add(f"{kind:.0f}", corners)
        found.append(note)
    return found
