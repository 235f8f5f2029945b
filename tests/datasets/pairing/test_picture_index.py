"""Pictures found by what annotations call them: with hashes, addresses, endings, folders."""

from __future__ import annotations

from pathlib import PurePosixPath

import pytest

from hematovision.datasets.pairing.picture_index import PictureIndex, list_ways

PICTURES = [PurePosixPath(p) for p in (
    "one/smear 1.jpg", "two/smear 1.jpg", "one/a.jpg", "one/a.png", "two/Größe.jpg",
    "deadbeef-x.jpg",
)]  # fmt: skip
INDEX = PictureIndex(PICTURES)


@pytest.mark.parametrize(
    "name, where, found",
    [
        ("a.xml", ("one",), "one/a.jpg"),
        ("a.png.xml", ("one",), "one/a.png"),
        ("A.PNG", ("one",), "one/a.png"),
        ("größe", (), "two/Größe.jpg"),
        ("smear 1.jpg", (), None),  # in two folders
        ("two/smear 1.jpg", (), "two/smear 1.jpg"),
        (r"C:\data\two\smear 1.jpg", (), "two/smear 1.jpg"),
        ("/data/upload/3/0123abcd-a.png", ("one",), "one/a.png"),
        ("/data/upload/3/0123abcd-Gr%C3%B6%C3%9Fe.jpg", (), "two/Größe.jpg"),
        ("/data/local-files/?d=one/smear%201.jpg", (), "one/smear 1.jpg"),
        ("https://host/p/two/smear%201.jpg?sig=a%2Fb", (), "two/smear 1.jpg"),
        ("deadbeef-x.jpg", (), "deadbeef-x.jpg"),
        ("x" * 10_000, (), None),
        ("", (), None),
    ],
)
def test_by_any_way_to_call_them(name: str, where: tuple[str, ...], found: str | None) -> None:
    picture = INDEX.find(name, where)
    assert (str(picture) if picture else None) == found


def test_the_name_as_it_is_given_comes_first() -> None:
    assert list(list_ways("0123abcd-a.jpg")) == ["0123abcd-a.jpg", "a.jpg"]
    assert list(list_ways("a.jpg")) == ["a.jpg"]
