"""Outputs: no file that is written takes the place of one that was read."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from hematovision.datasets.dataset import Dataset
from hematovision.program.console import UserError


def check_outputs(outputs: Iterable[Path | None], datasets: Sequence[Dataset]) -> None:
    """UserError where an output is one of the files of a dataset, by whatever name or link."""
    for output in outputs:
        if output is None or not output.exists():
            continue
        for dataset in datasets:
            layout = dataset.layout
            files = (*layout.pictures, *layout.annotations, *layout.names, *layout.completes)
            if any(os.path.samefile(output, layout.path(file)) for file in files):
                raise UserError(
                    f"{output}: is a file of the dataset {dataset.root}; name another output"
                )
