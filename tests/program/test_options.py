"""The command line: what isn't understood is said in a line that helps."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest
from conftest import EXAMPLES, Run, only_error

from hematovision.program.options import MOST_WORKERS, option, parse_options

CELL = EXAMPLES / "red_cell.png"


@pytest.mark.parametrize(
    ("typed", "meant"), [("--feild", "--field"), ("--jsn", "--json"), ("--modle=x", "--model")]
)
def test_of_an_option_that_is_not_there_the_nearest_is_named(
    typed: str, meant: str, run: Run
) -> None:
    assert f"{meant} is meant?" in only_error(run("predict.py", CELL, typed))


def test_of_one_like_none_nothing_is_guessed(run: Run) -> None:
    assert "is meant" not in only_error(run("predict.py", CELL, "--zzzzz"))


@pytest.mark.parametrize("args", [("",), (CELL, "--model", ""), (CELL, "--explain", "")])
def test_an_empty_name_is_not_the_working_folder(args: tuple, run: Run) -> None:
    assert "an empty name" in only_error(run("predict.py", *args))


@pytest.mark.parametrize("workers", [0, -1, MOST_WORKERS + 1, 100_000])
def test_threads_are_bounded(workers: int, run: Run) -> None:
    assert f"wants 1 to {MOST_WORKERS}" in only_error(run("predict.py", CELL, "--workers", workers))


@pytest.mark.parametrize("name", ["", "a\0.npz"])
def test_a_name_that_is_none_is_refused(name: str, run: Run) -> None:
    assert "name a file or a folder" in only_error(run("preprocess_data.py", "--output", name))


def test_what_may_be_given_several_times_has_its_default() -> None:
    @dataclass(frozen=True)
    class Several:
        seed: tuple[int, ...] = option((0, 1), "seeds")
        files: tuple[Path, ...] = option((), "files")

    assert parse_options(Several, "x", []).seed == (0, 1)
    assert parse_options(Several, "x", ["--seed", "5", "--seed", "6"]).seed == (5, 6)
    assert parse_options(Several, "x", []).files == ()
