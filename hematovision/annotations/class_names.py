"""Class names: what YOLO's numbers stand for, by ``classes.txt`` and its like, ``data.yaml`` or
Label Studio's ``notes.json``."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from hematovision.annotations.annotation import decode_text, read_bytes
from hematovision.annotations.document import load_json
from hematovision.cells.labels import clean_label, letters_of
from hematovision.program.console import UserError

NAME_FILES = ("classes.txt", "obj.names", "class.names", "labels.txt", "_darknet.labels",
              "predefined_classes.txt", "_classes.txt", "notes.json")  # fmt: skip
SUFFIXES = (".yaml", ".yml", ".names")
LONGEST = 1 << 20  # characters: a longer YAML is no list of classes
KEYPOINTS = re.compile(r"^kpt_shape\s*:\s*\[\s*(\d{1,3})\s*,\s*(\d)\s*\]", re.M)
QUOTES = "\"' \t"


class Names(NamedTuple):
    """By class number its name; and how many numbers of keypoints follow each box."""

    of: dict[str, str]
    keypoints: int = 0


NO_NAMES = Names({})


def is_name_file(name: str) -> bool:
    """Whether a file may hold class names, by its own name."""
    return name.casefold() in NAME_FILES or name.casefold().endswith(SUFFIXES)


def read_names(path: Path) -> Names:
    """Class names of a text, one a line, of the `names:` of a YAML, or of Label Studio's notes.

    Of YAML only that key is read, by hand: it has a few forms only, and a whole parser would
    expand aliases of aliases.
    """
    if path.suffix.lower() == ".json":
        content = load_json(path)
        rows = content.get("categories") if isinstance(content, dict) else None
        rows = rows if isinstance(rows, list) else []
        named = [r for r in rows if isinstance(r, dict) and "id" in r and "name" in r]
        return Names({str(r["id"]): clean_label(str(r["name"])) for r in named})
    text = decode_text(read_bytes(path))
    if path.suffix.lower() not in (".yaml", ".yml"):
        return number_names([clean_label(line) for line in text.splitlines() if line.strip()])
    if len(text) > LONGEST:
        raise UserError(f"{path}: over {LONGEST >> 20} million characters; no list of classes")
    shape = KEYPOINTS.search(text)
    keypoints = int(shape[1]) * int(shape[2]) if shape else 0
    pairs = [p for item in list_items(text) if (p := split_item(item))]
    if pairs and all(key for key, _ in pairs):
        return Names({key: name for key, name in pairs}, keypoints)
    return Names(number_names([name for _, name in pairs]).of, keypoints)


def list_items(text: str) -> Iterator[str]:
    """The items of a YAML's `names:`, be they in brackets or one a line."""
    lines = iter(text.splitlines())
    first = next((s[5:].lstrip() for s in lines if re.match(r"names\s{0,9}:", s)), None)
    if first is None:
        return
    body = [strip_comment(first.removeprefix(":"))]
    for line in lines:
        if line.strip() and line[0] not in " \t-#]}":
            break
        body.append(strip_comment(line))
    flow = "\n".join(body).strip()
    if flow[:1] in ("[", "{"):
        yield from split_flow(flow)
    else:
        yield from (re.sub(r"^-\s", "", line.strip()) for line in body)


def strip_comment(line: str) -> str:
    """A line without what follows a # that begins a word."""
    at = re.search(r"(?:^|\s)#", line)
    return line[: at.start()] if at else line


def split_flow(flow: str) -> Iterator[str]:
    """The items between the brackets of ``[a, "b, c"]`` or ``{0: a}``, up to the closing one."""
    item, quote = "", ""
    for c in flow[1:]:
        if quote:
            quote = "" if c == quote else quote
        elif c in "\"'":
            quote = c
        elif c in ",]}":
            yield item
            item = ""
            if c != ",":
                return
            continue
        item += " " if c == "\n" else c
    yield item


def split_item(item: str) -> tuple[str, str] | None:
    """An item's class number, "" where it has none, and its name; None where it is blank."""
    item = item.strip()
    key, colon, name = item.partition(":")
    key = key.strip(QUOTES)
    if colon and key.isdecimal() and len(key) < 9 and name[:1] in ("", *QUOTES):
        return str(int(key)), unquote(name)
    return ("", unquote(item)) if item else None


def unquote(name: str) -> str:
    """A name without its quotes; within double ones JSON's escapes are YAML's too."""
    name = name.strip()
    if len(name) > 1 and name[0] == name[-1] == '"':
        try:
            return clean_label(json.loads(name))
        except ValueError:
            pass
    return clean_label(name.strip(QUOTES))


def number_names(names: Sequence[str]) -> Names:
    return Names({str(i): name for i, name in enumerate(names)})


def contradict(first: Names, second: Names) -> bool:
    """Whether two files call a class by different names."""
    shared = first.of.keys() & second.of.keys()
    return any(letters_of(first.of[k]) != letters_of(second.of[k]) for k in shared)


def add_names(nearest: Names, others: Iterable[Names]) -> Names:
    """The names of the nearest file, and what else those say that don't contradict it."""
    for other in others:
        if not contradict(nearest, other):
            keypoints = nearest.keypoints or other.keypoints
            nearest = Names({**other.of, **nearest.of}, keypoints)
    return nearest


def format_names(labels: Sequence[str]) -> str:
    """``data.yaml`` of a folder that holds images/ and labels/."""
    names = "".join(
        f"  {i}: {json.dumps(name, ensure_ascii=False)}\n" for i, name in enumerate(labels)
    )
    return f"train: images\nval: images\nnames:\n{names}"
