"""No output takes the place of a file of a dataset."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from hematovision.datasets.opening import open_datasets
from hematovision.preparing.outputs import check_outputs
from hematovision.program.console import UserError


def test_files_of_a_dataset_are_known_by_any_name(
    voc_dataset: Callable[..., Path], tmp_path: Path
) -> None:
    datasets = open_datasets([voc_dataset(2)])
    picture = datasets[0].layout.path(datasets[0].layout.pictures[0])
    (tmp_path / "link.png").symlink_to(picture)
    os.link(picture, tmp_path / "hard.png")
    note = datasets[0].layout.path(datasets[0].layout.annotations[0])
    for path in (picture, tmp_path / "link.png", tmp_path / "hard.png", note):
        with pytest.raises(UserError, match="name another output"):
            check_outputs([None, path], datasets)
    (tmp_path / "other.npz").write_bytes(b"x")
    check_outputs([tmp_path / "other.npz", tmp_path / "new.npz"], datasets)
