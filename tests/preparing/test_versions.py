"""Versions of one picture, told by names."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hematovision.datasets.field import Field, Mask
from hematovision.preparing.versions import find_versions, name_source

HASH = "0123456789abcdef0123456789abcdef"


def make(*names: str, lab: str = "lab") -> list[Field]:
    free = Mask.pack(np.ones((4, 4), bool))
    return [Field(Path(name), [], free, name=name, lab=lab) for name in names]


@pytest.mark.parametrize(
    "source, names",
    [
        ("a", f"A.jpg a_jpg.rf.{HASH}.jpg a_png.rf.{HASH}.jpg a.rf.{HASH}.jpg"),
        ("smear 1", "smear 1.png|smear 1_aug_3.png|smear 1-aug3.png|aug_smear 1.png"),
        ("x7", "x7.jpg x7_rot90.jpg x7_flip.jpg x7_hflip_2.jpg x7_flip_lr.jpg flipped_x7.jpg"),
        ("x_1", "x_1.jpg x_1_bright.jpg x_1_rotated_15_dark.jpg x_1-zoomed.jpg"),
        ("f 01", "f 01.jpg|f 01 - Copy.jpg|f 01 copy.jpg"),
    ],
)
def test_versions_have_the_name_of_their_source(source: str, names: str) -> None:
    of = names.split("|") if "|" in names else names.split()
    assert {name_source(name) for name in of} == {source}


@pytest.mark.parametrize(
    "first, second",
    [
        ("slide_bright_01.jpg", "slide_bright_02.jpg"),
        ("rot90.jpg", "rot180.jpg"),
        ("smear (1).jpg", "smear (2).jpg"),
        ("IMG_0001.JPG", "IMG_0002.JPG"),
        ("aug_1.jpg", "aug_2.jpg"),
        ("robot1.jpg", "robot2.jpg"),
    ],
)
def test_other_pictures_stay_apart(first: str, second: str) -> None:
    assert name_source(first) != name_source(second)


def test_they_are_paired_within_a_laboratory() -> None:
    here = make("a.jpg", "b.jpg", "a_aug_1.jpg", "a_aug_2.jpg")
    there = make("a_rot90.jpg", "c.jpg", lab="other")
    assert find_versions(here + there) == [(0, 2), (0, 3)]


def test_pictures_of_one_name_in_two_folders_are_two() -> None:
    free = Mask.pack(np.ones((4, 4), bool))
    paths = ("EOS/1.png", "BAS/1.png", "EOS/1_aug_2.png", "BAS/1_rot90.png", "EOS/2.png")
    fields = [Field(Path(p), [], free, name=p, lab="lab") for p in paths]
    assert find_versions(fields) == [(0, 2), (1, 3)]
    paths = (f"train/x.rf.{HASH}.jpg", f"valid/images/x.rf.{HASH[::-1]}.jpg", "train/y.jpg")
    fields = [Field(Path(p), [], free, name=p, lab="lab") for p in paths]
    assert find_versions(fields) == [(0, 1)]


def test_names_that_would_make_all_one_source_say_something_else() -> None:
    assert find_versions(make("x_flip_1.jpg", "x_flip_2.jpg", "x_flip_3.jpg")) == []
