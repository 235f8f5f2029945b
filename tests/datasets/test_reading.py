"""Fields as they are read: names that stay apart, what is known of each, what can't be read."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from hematovision.datasets.opening import open_datasets, unify
from hematovision.datasets.reading import read_fields
from hematovision.program.console import UserError


def test_two_pictures_of_one_name_have_their_folders_in_it(
    voc_dataset: Callable[..., Path],
) -> None:
    root = voc_dataset(1)
    for part in ("a", "b"):
        shutil.copytree(root / "JPEGImages", root / part / "JPEGImages")
        shutil.copytree(root / "Annotations", root / part / "Annotations")
    shutil.rmtree(root / "JPEGImages")
    shutil.rmtree(root / "Annotations")
    (dataset,) = unify(open_datasets([root]), {})
    fields = read_fields(dataset, 2)
    assert [f.name for f in fields] == ["a/JPEGImages/field0.png", "b/JPEGImages/field0.png"]
    assert all(f.digest and f.look and f.lab == root.name and f.segments for f in fields)


def test_a_dataset_of_which_no_box_is_left_is_refused(
    voc_dataset: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    root = voc_dataset(2)
    for picture in (root / "JPEGImages").iterdir():
        picture.write_bytes(b"no picture")
    (dataset,) = unify(open_datasets([root]), {})
    with pytest.raises(UserError, match="2 x unreadable image"):
        read_fields(dataset, 1)
    assert capsys.readouterr().err.count("warning: ") == 2
