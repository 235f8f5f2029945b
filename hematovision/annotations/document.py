"""Documents: a file -> an XML tree, JSON content or a table, with nothing expanded or fetched.

No external entity is ever fetched and none is expanded: a document with a DTD is refused (the
"billion laughs" are 1 KB that unpack to gigabytes; see the table in the documentation of Python's
xml package).
"""

from __future__ import annotations

import csv
import functools
import io
import json
import re
import xml.etree.ElementTree as ET
from collections import Counter, deque
from pathlib import Path
from typing import Any, NamedTuple

from hematovision.annotations.annotation import decode_text, read_bytes
from hematovision.program.console import UserError, first_line

BARE = re.compile(r"&(?!(?:amp|lt|gt|quot|apos|#\d{1,7}|#x[0-9a-fA-F]{1,6});)")
# What XML 1.0 forbids altogether.
FORBIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff\ud800-\udfff]")
MOST_KEYS = 20  # of an object whose keys say what it is, rather than name pictures
LONGEST_CELL = 1 << 20  # characters
DOCTYPE = re.compile("<!DOCTYPE", re.IGNORECASE)
ENTITY = re.compile("<!ENTITY", re.IGNORECASE)


def load_json(path: Path) -> Any:
    """What a JSON file holds; UserError where it is none, or says something twice."""
    text = decode_text(read_bytes(path))
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}: not JSON ({first_line(error)}); mend or remove it") from None
    if key := find_doubled(text, document):
        raise UserError(f"{path}: it has {key[:40]} twice, and one would be lost; join the two")
    return document


def find_doubled(text: str, document: Any) -> str:
    """A key that the outermost object of a JSON text has twice, of which Python keeps the last; ""
    where there is none, or the keys are too many to be those of a format."""
    if not isinstance(document, dict) or len(document) > MOST_KEYS:
        return ""
    if all(text.count(json.dumps(key)) < 2 for key in document):
        return ""
    outermost: list[tuple[str, Any]] = []

    def keep(pairs: list[tuple[str, Any]]) -> None:  # called for the outermost last
        outermost[:] = pairs

    json.loads(text, object_pairs_hook=keep)
    count = Counter(key for key, _ in outermost)
    return next((key for key, n in count.items() if n > 1), "")


def load_json_lines(path: Path) -> list[Any]:
    """What a file of a JSON a line holds; UserError where one is none."""
    try:
        return [json.loads(line) for line in load_lines(path)]
    except (ValueError, RecursionError) as error:
        raise UserError(
            f"{path}: not JSON lines ({first_line(error)}); mend or remove it"
        ) from None


def load_xml(path: Path) -> ET.Element:
    """The root element of a document that need not be flawless.

    Raises UserError where it can't be had, or holds a DTD.
    """
    data = read_bytes(path)
    try:
        if b"<!" not in data and b"\0" not in data:
            return ET.fromstring(data)
    except (ET.ParseError, ValueError, LookupError):
        pass  # what follows mends what can be mended
    text = FORBIDDEN.sub("", decode_text(data)).strip()
    text = re.sub(r"^<\?xml[^>]*\?>", "", text).lstrip()
    text = BARE.sub("&amp;", drop_doctype(path, text))
    try:
        return ET.fromstring(text)
    except ET.ParseError as error:
        first = error
    try:  # a prefix of a namespace that is never declared
        return ET.fromstring(re.sub(r"(</?|\s)[\w.-]+:(?=[\w.-]+[\s=/>])", r"\1", text))
    except (ET.ParseError, ValueError):
        raise UserError(f"{path}: not Pascal VOC XML ({first}); mend or remove it") from None


def drop_doctype(path: Path, text: str) -> str:
    """The text without a plain <!DOCTYPE ...>; UserError where entities are defined."""
    head = DOCTYPE.search(text)
    end = text.find(">", head.end()) if head else -1
    if ENTITY.search(text) or (head and "[" in text[head.end() : end if end >= 0 else len(text)]):
        raise UserError(f"{path}: it defines entities of its own (a DTD); remove them")
    return text[: head.start()] + text[end + 1 :] if head and end >= 0 else text


def load_lines(path: Path) -> list[str]:
    """The lines of a text that aren't blank."""
    return [line for line in decode_text(read_bytes(path, blank=True)).splitlines() if line.strip()]


def local(item: ET.Element) -> str:
    """An element's name without its namespace, in small letters."""
    return strip_namespace(item.tag) if isinstance(item.tag, str) else ""


@functools.lru_cache(1024)  # asked of each element
def strip_namespace(tag: str) -> str:
    return tag.rpartition("}")[2].casefold()


def child(item: ET.Element | None, *names: str) -> ET.Element | None:
    """The first of an element's children that has one of the names."""
    return next((k for k in item if local(k) in names), None) if item is not None else None


def text_of(item: ET.Element | None, *names: str) -> str:
    """The text of that child, without blanks around it; "" where there is none."""
    found = child(item, *names)
    return (found.text or "").strip() if found is not None else ""


def list_texts(document: Any, most: int = 2000) -> list[str]:
    """Some of the texts that a document of any kind holds, the outermost first."""
    if isinstance(document, Table):
        return [cell for row in document.rows[:most] for cell in row][:most]
    if isinstance(document, ET.Element):
        return [t for k in document.iter() for t in (k.text, *k.attrib.values()) if t][:most]
    found: list[str] = []
    waiting, seen = deque([document]), 0
    while waiting and len(found) < most and seen < 50 * most:
        item, seen = waiting.popleft(), seen + 1
        if isinstance(item, str):
            found.append(item)
        elif isinstance(item, dict):
            found += item.keys()
            waiting.extend(item.values())
        elif isinstance(item, list):
            waiting.extend(item)
    return found


class Table(NamedTuple):
    """A table as its file holds it; without names of columns `header` is the first row too."""

    header: list[str]  # in small letters, words joined by _
    rows: list[list[str]]  # the header's own among them


def load_table(path: Path) -> Table:
    """The lines of a table with cells between , ; or tabs; UserError where it is none."""
    text = decode_text(read_bytes(path))
    first, _, rest = text.partition("\n")
    if first.strip().casefold().startswith("sep=") and len(first.strip()) <= 5:  # Excel's own line
        text, delimiter = rest, first.strip()[4:] or "\t"
    else:
        delimiter = max(",;\t", key=first.count)
    csv.field_size_limit(LONGEST_CELL)
    try:
        rows = list(csv.reader(io.StringIO(text), delimiter=delimiter))
    except csv.Error as error:
        raise UserError(f"{path}: not a table ({error}); mend or remove it") from None
    rows = [row for row in rows if any(cell.strip() for cell in row)]
    header = rows[0] if rows else []
    header = [re.sub(r"[\s-]+", "_", cell.strip().lstrip("#").casefold()) for cell in header]
    return Table(header, rows)
