"""The file that says which pictures of a dataset were gone through: ``complete.json`` at its root.

    {"hematovision": "complete 1", "labels": ["Platelets", "RBC", "WBC"], "pictures": ["a.jpg"]}

In these pictures every cell of these labels has its box, a kind counting as what it is a kind of.
Programs to annotate with leave the file alone, so what a person has gone through stays known.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from hematovision.annotations.document import load_json
from hematovision.cells.labels import clean_label
from hematovision.program.console import UserError

NAME = "complete.json"
MARK = "complete 1"
OF_SHARE = re.compile(r"complete(?:-\d{5}-of-\d{5})?\.json")


class Complete(NamedTuple):
    """Of which labels no cell lacks its box, and in which pictures, by the names of their files."""

    labels: tuple[str, ...]
    pictures: tuple[str, ...]


def is_complete_file(name: str) -> bool:
    """Whether a file is called as such a file is, or as a share of one."""
    return bool(OF_SHARE.fullmatch(name.casefold()))


def read_complete(path: Path) -> Complete:
    """What a file says; UserError where it is damaged or of another kind."""
    content = load_json(path)
    lists = []
    if isinstance(content, dict) and content.get("hematovision") == MARK:
        lists = [content.get("labels"), content.get("pictures")]
    if not lists or not all(isinstance(of, list) for of in lists):
        raise UserError(f'{path}: doesn\'t say {{"hematovision": "{MARK}", ...}}; remove it')
    labels, pictures = ([v for v in of if isinstance(v, str)] for of in lists if of is not None)
    return Complete(tuple(filter(None, map(clean_label, labels))), tuple(pictures))


def format_complete(labels: Sequence[str], pictures: Sequence[str]) -> str:
    """The file's text, the same for the same labels and pictures in whatever order."""
    content = {"hematovision": MARK, "labels": sorted(labels), "pictures": sorted(pictures)}
    return json.dumps(content, ensure_ascii=False, indent=1) + "\n"
