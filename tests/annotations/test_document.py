"""Documents: what is mended in XML, how tables are cut, which texts are shown of any."""

from __future__ import annotations

from pathlib import Path

import pytest

from hematovision.annotations.document import (
    list_texts,
    load_json,
    load_json_lines,
    load_lines,
    load_table,
    load_xml,
    local,
    text_of,
)
from hematovision.program.console import UserError


def put(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "a"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    "text",
    [
        "<a><B>R&D</B></a>",
        "<!DOCTYPE a><a><b>R&amp;D</b></a>",
        '<!doctype a SYSTEM "a.dtd" ><a><b>R&amp;D</b></a>',
        "<a><x:b>R&amp;D</x:b></a>",
        "<!-- <hint> --><a><b>R&amp;D\x0b</b></a>",
    ],
)
def test_flaws_that_tools_leave_are_mended(tmp_path: Path, text: str) -> None:
    root = load_xml(put(tmp_path, text))
    assert local(root) == "a" and text_of(root, "b") == "R&D"


@pytest.mark.parametrize(
    "text",
    ['<!DOCTYPE a [<!ENTITY b "c">]><a/>', '<a><!ENTITY b "c"></a>', "<!DOCTYPE a [<a/>"],
)
def test_a_document_that_defines_entities_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(UserError, match="DTD"):
        load_xml(put(tmp_path, text))


@pytest.mark.parametrize(
    "text, header, rows",
    [
        ("File Name,x-min\na,1\n\n , \n", ["file_name", "x_min"], 2),
        ("#a;b;c,d\n1;2\n", ["a", "b", "c,d"], 2),
        ("\ufeffsep=;\r\na;b\r\n1,5;2\r\n", ["a", "b"], 2),
        ("SEP=\t\na\tb\n", ["a", "b"], 1),
        ("\n\n", [], 0),
    ],
)
def test_tables_however_they_are_cut(
    tmp_path: Path, text: str, header: list[str], rows: int
) -> None:
    if not text.strip():
        with pytest.raises(UserError, match="empty"):
            load_table(put(tmp_path, text))
        return
    table = load_table(put(tmp_path, text))
    assert table.header == header and len(table.rows) == rows


def test_lines_and_what_is_no_json(tmp_path: Path) -> None:
    assert load_json_lines(put(tmp_path, '{"a": 1}\n\n[2]\n')) == [{"a": 1}, [2]]
    with pytest.raises(UserError, match="JSON lines"):
        load_json_lines(put(tmp_path, "{}\n{"))
    assert load_lines(put(tmp_path, "a\n\n  \nb c\n")) == ["a", "b c"]
    with pytest.raises(UserError, match="not JSON"):
        load_json(put(tmp_path, "{'a': 1}"))


def test_the_texts_of_any_document_are_not_without_end(tmp_path: Path) -> None:
    assert list_texts({"a": ["b", {"c": "d"}], "e": 3}) == ["a", "e", "b", "c", "d"]
    assert list_texts(load_xml(put(tmp_path, '<a n="x"><b>y</b></a>'))) == ["x", "y"]
    assert list_texts(load_table(put(tmp_path, "a,b\nc,d\n"))) == ["a", "b", "c", "d"]
    assert len(list_texts([["x"] * 100] * 1000)) <= 2100


def test_a_document_that_says_something_twice_is_refused(tmp_path: Path) -> None:
    """As files joined by hand do; JSON's readers keep the last and tell nobody."""
    with pytest.raises(UserError, match="has annotations twice"):
        load_json(put(tmp_path, '{"annotations": [{"a": 1}], "images": [], "annotations": []}'))
    inner = '{"shapes": [{"flags": 1}, {"flags": 2, "flags": 3}], "flags": {}}'
    assert load_json(put(tmp_path, inner))["shapes"] == [{"flags": 1}, {"flags": 3}]
    many = ", ".join(f'"{k}.jpg": {{"0.jpg": 1}}' for k in range(99))
    assert len(load_json(put(tmp_path, f"{{{many}}}"))) == 99
