"""Class names: what YOLO's numbers stand for, by ``classes.txt`` and its like or ``data.yaml``."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from hematovision.annotations.annotation import decode_text, read_bytes
from hematovision.cells.labels import clean_label

NAME_FILES = ("classes.txt", "obj.names", "class.names", "labels.txt", "_darknet.labels",
              "predefined_classes.txt", "_classes.txt")  # fmt: skip
YAML = (".yaml", ".yml")

Names = dict[str, str]  # class number -> name


def read_names(path: Path) -> Names:
    """Class names of a text, one a line, or of the `names:` of a YAML.

    Of YAML only that key is read, by hand: it has a few forms only, and a whole parser would
    expand aliases of aliases.
    """
    text = decode_text(read_bytes(path))
    if path.suffix.lower() not in YAML:
        return number_names([clean_label(line) for line in text.splitlines() if line.strip()])
    found = re.search(
        r"^names\s*:[ \t]*(.*(?:\n(?:[ \t]+|[ \t]*-|[ \t]*#|[ \t]*$).*)*)", text, re.M
    )
    body = re.sub(r"(^|\s)#.*", "", found[1]) if found else ""
    flow = body.strip()
    items: Iterable[str]
    if flow[:1] in ("[", "{"):
        items = re.findall(r"""(?:[^,\[\]{}"']|"[^"]*"|'[^']*')+""", flow)
    else:
        items = (re.sub(r"^\s*-\s+", "", line) for line in body.splitlines())
    pairs = [
        re.fullmatch(
            r"""(?:["']?(\d{1,9})["']?\s*:\s+|["']?(\d{1,9})["']?\s*:(?=["']))?(.*)""", item.strip()
        )
        for item in items
        if item.strip()
    ]
    names = [(p[1] or p[2], clean_label(p[3].strip("\"' \t"))) for p in pairs if p]
    if names and all(key for key, _ in names):
        return {str(int(key)): name for key, name in names}
    return number_names([name for _, name in names])


def number_names(names: Sequence[str]) -> Names:
    return {str(i): name for i, name in enumerate(names)}


def format_names(labels: Sequence[str]) -> str:
    """``data.yaml`` of a folder that holds images/ and labels/."""
    names = "".join(f"  {i}: {json.dumps(name)}\n" for i, name in enumerate(labels))
    return f"train: images\nval: images\nnames:\n{names}"
