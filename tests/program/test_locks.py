"""Two runs into one output refuse each other; a killed one leaves no lock behind."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT

from hematovision.program.console import UserError
from hematovision.program.locks import hold, release

HOLD = """
import sys, time
from pathlib import Path
from hematovision.program.locks import hold
hold(Path(sys.argv[1]))
print("held", flush=True)
time.sleep(60)
"""


def start(path: Path) -> subprocess.Popen[str]:
    other = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert other.stdout is not None and other.stdout.readline() == "held\n"
    return other


def test_another_run_is_refused_at_once_until_the_first_is_killed(tmp_path: Path) -> None:
    path = tmp_path / "new" / "cells.csv"
    other = start(path)
    try:
        with pytest.raises(UserError, match=r"cells\.csv: another run is writing it"):
            hold(path)
        hold(path.with_name("cells-00002-of-00002.csv"))  # a share of its own
    finally:
        other.send_signal(signal.SIGKILL if hasattr(signal, "SIGKILL") else signal.SIGTERM)
        other.wait()
    hold(path)
    hold(path)  # twice by one run is once
    release()
    assert not list(path.parent.iterdir())


def test_a_lock_that_can_not_be_deleted_while_it_is_open_is_given_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on Windows: mocked, since nothing else here refuses to delete what is open."""
    unlink = Path.unlink

    def refuse(path: Path, missing_ok: bool = False) -> None:
        if path.name.endswith(".lock"):
            raise PermissionError(13, "is used by another process", str(path))
        unlink(path, missing_ok)

    path = tmp_path / "new" / "cells.csv"
    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", refuse)
        hold(path)
        release()
    other = start(path)
    other.kill()
    other.wait()


def test_folders_made_for_a_lock_go_with_it_if_nothing_was_written(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    hold(tmp_path / "there" / "cells.csv")
    for name in ("first", "second"):
        hold(tmp_path / "new" / "inner" / name)
    hold(tmp_path / "results" / "inner" / "cells.csv")
    (tmp_path / "results" / "summary.csv").touch()
    release()
    left = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")}
    assert left == {"there", "results", str(Path("results", "summary.csv"))}


def test_where_nothing_can_be_written_no_other_run_is_blamed(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="can't be written"):
        hold(tmp_path / "file" / "cells.csv")
    if Path("/proc/self").exists():
        with pytest.raises(UserError, match="can't be written"):
            hold(Path("/proc/cells.csv"))


LEAVE = """
import signal, sys
from pathlib import Path
from hematovision.program.locks import hold
from hematovision.program.signals import leave
hold(Path(sys.argv[1]))
leave(signal.SIGTERM)
"""


def test_a_run_that_a_signal_ends_at_once_leaves_no_lock(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", LEAVE, str(tmp_path / "cells.csv")], cwd=ROOT)
    assert done.returncode == 128 + signal.SIGTERM
    assert list(tmp_path.iterdir()) == []
