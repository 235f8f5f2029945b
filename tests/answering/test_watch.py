"""A watched folder: each new picture once, when it is whole; a signal ends it with whole tables."""

from __future__ import annotations

import csv
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import PRETRAINED, ROOT, SAMPLE, Run, only_error

from hematovision.answering.watch import PATIENCE, PERIOD, Watch
from hematovision.program.marks import mark_picture

FIELDS = sorted((SAMPLE / "JPEGImages").iterdir())[:4]


def names(paths: list[Path]) -> list[str]:
    return [path.name for path in paths]


def test_a_picture_is_given_out_once_when_it_has_stopped_growing(tmp_path: Path) -> None:
    data = FIELDS[0].read_bytes()
    (tmp_path / "known.jpg").write_bytes(data)
    watch = Watch([tmp_path])
    watch.know([tmp_path / "known.jpg"])
    growing = tmp_path / "deep" / "a.jpg"
    growing.parent.mkdir()
    growing.write_bytes(b"")
    assert watch.list_new(0) == []
    for k in (1, 2, 3):  # a camera that writes slowly
        growing.write_bytes(data[: k * len(data) // 4])
        assert watch.list_new(k * PERIOD) == []
    assert watch.list_new(4 * PERIOD) == []  # as long as before, but cut
    growing.write_bytes(data)
    assert watch.list_new(5 * PERIOD) == []
    assert names(watch.list_new(6 * PERIOD)) == ["a.jpg"]
    assert watch.list_new(99 * PERIOD) == []


def test_what_never_becomes_a_picture_is_given_out_to_be_told(tmp_path: Path) -> None:
    (tmp_path / "cut.jpg").write_bytes(FIELDS[0].read_bytes()[:900])
    (tmp_path / "notes.txt").write_text("no picture")
    watch = Watch([tmp_path])
    assert watch.list_new(0) == []
    assert watch.list_new(PATIENCE / 2) == []
    assert names(watch.list_new(PATIENCE + PERIOD)) == ["cut.jpg"]


def test_what_we_drew_is_no_new_picture(tmp_path: Path) -> None:
    (tmp_path / "a_cells.jpg").write_bytes(mark_picture(FIELDS[0].read_bytes()))
    (tmp_path / "b.jpg").write_bytes(FIELDS[0].read_bytes())
    watch = Watch([tmp_path])
    assert watch.list_new(0) == []
    assert names(watch.list_new(PERIOD)) == ["b.jpg"]


class Watching:
    """predict.py watching a folder, as a process."""

    def __init__(self, folder: Path, *more: object) -> None:
        command = [sys.executable, ROOT / "predict.py", "--field", folder, "--watch",
                   "--model", PRETRAINED, *more]  # fmt: skip
        self.process = subprocess.Popen(
            list(map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            # A test run in the background of a shell is started with Ctrl-C switched off.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )  # fmt: skip

    def read_line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline()

    def stop(self) -> tuple[int, str, str]:
        self.process.send_signal(signal.SIGINT)
        out, err = self.process.communicate(timeout=120)
        return self.process.returncode, out, err


@pytest.mark.skipif(os.name == "nt", reason="no SIGINT to send on Windows")
def test_ctrl_c_ends_with_whole_tables_and_resume_goes_on(tmp_path: Path) -> None:
    folder, out = tmp_path / "in", tmp_path / "in" / "found"
    folder.mkdir()
    args = ("--output", out, "--annotations", "voc", "--resume")
    shutil.copy(FIELDS[2], folder)
    run = Watching(folder, *args)
    assert run.read_line().startswith("field")
    assert FIELDS[2].name in run.read_line()
    shutil.copy(FIELDS[0], folder / "part")  # as a camera's program does that renames
    (folder / "part").rename(folder / FIELDS[0].name)
    assert FIELDS[0].name in run.read_line()
    status, rest, said = run.stop()
    assert status == 130 and "interrupted" in said
    assert rest.splitlines()[0].startswith("all")

    def list_fields() -> list[str]:
        with open(out / "summary.csv", newline="") as file:
            return [Path(row["image"]).name for row in csv.DictReader(file)]

    assert list_fields() == [FIELDS[2].name, FIELDS[0].name, "all 2 fields"]
    shutil.copy(FIELDS[1], folder)
    run = Watching(folder, *args)
    lines = [run.read_line() for _ in range(4)]  # what was answered is printed again, not asked
    assert FIELDS[1].name in lines[3]
    status, _, said = run.stop()
    assert status == 130 and "going on after 2 of 3" in said
    assert list_fields() == [*(FIELDS[k].name for k in (2, 0, 1)), "all 3 fields"]


@pytest.mark.skipif(os.name == "nt", reason="no SIGINT to send on Windows")
def test_an_empty_folder_is_waited_at(tmp_path: Path) -> None:
    run = Watching(tmp_path, "--json")
    time.sleep(1)
    shutil.copy(FIELDS[0], tmp_path)
    assert FIELDS[0].name in run.read_line()
    assert run.stop()[0] == 130


def test_it_wants_whole_fields(run: Run) -> None:
    assert "--field" in only_error(run("predict.py", FIELDS[0], "--watch"))
