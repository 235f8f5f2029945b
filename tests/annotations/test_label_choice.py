"""Which attribute is the label: where one is plain, and where it is asked for."""

from __future__ import annotations

from pathlib import Path

import pytest

from hematovision.annotations.label_choice import choose_label_key
from hematovision.program.console import UserError


@pytest.mark.parametrize(
    "values, key",
    [
        ({"whatever": ["x"]}, "whatever"),
        ({"quality": ["good", "bad"], "zelle": ["RBC", "weiße Blutkörperchen"]}, "zelle"),
        ({"class": ["cell"], "kind_of_cell": ["RBC", "Platelet", "dirt"]}, "kind_of_cell"),
        ({"class": ["a", "b"], "who": ["Ann", "Bo"]}, "class"),
        ({"type": ["Neutrophil"], "label": ["WBC"]}, "label"),
        ({"note": [""], "x": ["RBC"]}, "x"),
        ({}, ""),
    ],
)
def test_the_plain_one(values: dict[str, list[str]], key: str) -> None:
    assert choose_label_key(Path("a.json"), values) == key


def test_where_none_is_plain_all_are_named() -> None:
    with pytest.raises(UserError, match=r"a\.json.*Q1, Q2.*label"):
        choose_label_key(Path("a.json"), {"Q1": ["x"], "Q2": ["y"]})
