"""Shares gathered: as a whole run leaves its tables, and refused where one lacks."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import PRETRAINED, ROOT, SAMPLE, Run, only_error, run_script

from hematovision.answering.gather import Done, find_shares, gather
from hematovision.program.console import UserError

FIELDS = sorted((SAMPLE / "JPEGImages").iterdir())[:5]
TABLES = ("cells.csv", "summary.csv", "differential.csv")


@pytest.fixture(scope="module")
def shares(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three shares of five fields by processes of their own; the second was killed and resumed."""
    out = tmp_path_factory.mktemp("shares") / "out"
    args = ["--field", *map(str, FIELDS), "--model", str(PRETRAINED), "--output", str(out)]

    def start(k: int) -> subprocess.Popen:
        command = [sys.executable, str(ROOT / "predict.py"), *args, "--shard", f"{k}/3", "--resume"]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    first, second, third = (start(k) for k in (1, 2, 3))
    assert second.stdout is not None
    second.stdout.readline()  # it has counted a field
    second.kill()
    for process in (first, second, third):
        process.communicate(timeout=300)
    assert (first.returncode, third.returncode) == (0, 0)
    with pytest.raises(UserError, match="2/3 hasn't ended"):
        find_shares(out)
    again = start(2)
    _, said = again.communicate(timeout=300)
    assert again.returncode == 0, said
    return out


@pytest.fixture
def copied(shares: Path, tmp_path: Path) -> Path:
    return shutil.copytree(shares, tmp_path / "out")


def test_gathered_tables_are_those_of_a_whole_run(
    copied: Path, count: Run, run: Run, tmp_path: Path
) -> None:
    result = run("predict.py", "--gather", copied)
    assert (result.status, result.err) == (0, "")
    assert "3 shares, 5 fields" in result.out
    assert count(*FIELDS, "--output", tmp_path / "whole").status == 0
    for name in TABLES:
        assert (copied / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    assert run("predict.py", "--gather", copied).status == 0  # once more


def test_a_share_that_lacks_is_named(copied: Path, run: Run) -> None:
    (copied / "run-00002-of-00003.json").unlink()
    assert "--shard 2/3 --resume" in only_error(run("predict.py", "--gather", copied))
    assert not (copied / "cells.csv").exists()
    assert "no share" in only_error(run("predict.py", "--gather", copied.parent))


@pytest.mark.parametrize("name", TABLES)
def test_a_table_that_was_changed_or_lost_is_refused(name: str, copied: Path) -> None:
    table = copied / name.replace(".", "-00003-of-00003.")
    table.write_text(table.read_text() + "x\n")
    with pytest.raises(UserError, match="--shard 3/3"):
        gather(copied)
    table.unlink()
    with pytest.raises(UserError, match="--shard 3/3"):
        gather(copied)


def test_shares_of_other_runs_are_refused(copied: Path) -> None:
    path = copied / "run-00001-of-00003.json"
    told = json.loads(path.read_text())
    path.write_text(json.dumps(told | {"run": "0" * 64}))
    with pytest.raises(UserError, match="another model"):
        gather(copied)
    path.write_text("{}")
    with pytest.raises(UserError, match="not what a share leaves"):
        Done.read(path)
    path.rename(copied / "run-00001-of-00004.json")
    with pytest.raises(UserError, match="shares of 3 and 4"):
        gather(copied)


def test_more_shares_than_fields_leave_empty_ones(count: Run, run: Run, tmp_path: Path) -> None:
    for k in (1, 2, 3):
        assert count(*FIELDS[:2], "--output", tmp_path, "--shard", f"{k}/3").status == 0
    assert "3 shares, 2 fields" in run("predict.py", "--gather", tmp_path).out


def test_it_gathers_and_no_more() -> None:
    assert "leave" in only_error(run_script("predict.py", "--gather", ".", FIELDS[0]))
