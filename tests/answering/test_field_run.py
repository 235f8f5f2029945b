"""A run over fields: their order, their names, and what fails among them."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from field_answers import ANSWER

from hematovision.answering.counting import CountedField
from hematovision.answering.field_run import FieldRun
from hematovision.answering.output_folder import Output
from hematovision.cells.cells import Cells
from hematovision.program.console import UserError
from hematovision.program.locks import release

NOTHING = Cells(np.empty((0, 4)), np.empty(0, int), np.empty(0))
LABELS = ["Platelets", "RBC", "WBC"]


def read(path: Path) -> np.ndarray:
    if path.stem == "bad":
        raise UserError(f"{path}: damaged")
    return np.full((40, 60, 3), 200, np.uint8)


def count(path: Path, image: np.ndarray) -> CountedField:
    answer = type(ANSWER)(str(path), 60, 40, dict.fromkeys(LABELS, 0), ())
    return CountedField(path, image, NOTHING, answer)


COUNTER: Any = SimpleNamespace(read=read, count=count)


def test_names_of_drawings_go_on_from_group_to_group_and_from_share_to_share(
    tmp_path: Path,
) -> None:
    run = FieldRun(COUNTER, None, Output(tmp_path / "out", LABELS, [], {}))
    run.pass_by([Path("other/a.jpg")])
    run.count([Path("x/a.jpg"), Path("bad.jpg")], [], alone=False)
    run.count([Path("y/A.jpg"), Path("y/b.jpg")], [], alone=False)
    run.finish()
    release()
    assert {path.name for path in (tmp_path / "out").glob("*_cells.png")} == {
        "a_2_cells.png", "A_3_cells.png", "b_cells.png",
    }  # fmt: skip
    assert run.failed == 1


def test_where_nothing_can_be_read_no_folder_is_made(tmp_path: Path) -> None:
    run = FieldRun(COUNTER, None, Output(tmp_path / "out", LABELS, [], {}))
    run.count([Path("bad.jpg"), Path("bad.png")], [], alone=False)
    run.finish()
    assert run.failed == 2 and not (tmp_path / "out").exists()
    with pytest.raises(UserError, match="damaged"):
        run.count([Path("bad.jpg")], [], alone=True)


def test_what_was_answered_is_taken_up_in_the_order_in_which_it_was(tmp_path: Path) -> None:
    paths = [tmp_path / f"{name}.jpg" for name in "cab"]
    for path in paths:
        path.write_bytes(b"x")
    output = Output(tmp_path / "out", LABELS, [], {}, resume=True)
    run = FieldRun(COUNTER, None, output)
    run.count(paths[:2], [], alone=False)
    release()
    again = FieldRun(COUNTER, None, output)
    assert again.take_up(sorted(paths), in_their_order=True) == [paths[2]]
    assert again.given == paths[:2]
    release()
