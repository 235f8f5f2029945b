"""Cut at any moment: one line, the usual status, files whole or as they were, no child left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from conftest import EXAMPLES, ROOT, SAMPLE, start_weights

from hematovision.networks.card import PRETRAINED
from hematovision.program.signals import Stopped, stop, stoppable

pytestmark = pytest.mark.skipif(os.name == "nt", reason="Windows has other signals")
ENDS = {
    signal.SIGINT: "interrupted",
    signal.SIGTERM: "terminated",
    signal.SIGHUP: "terminal closed",
}
STARTED = 0.08  # seconds that Python itself needs until it is at our first line, at least


def start(script: str, *args: object, cwd: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, str(ROOT / script), *map(str, args)],
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A test run in the background of a shell is started with Ctrl-C switched off.
        preexec_fn=lambda: [signal.signal(number, signal.SIG_DFL) for number in ENDS],
    )


def cut(process: subprocess.Popen[str], after: float, number: signal.Signals) -> bool:
    """Send a signal; whether it came before the end. Checks what the cut run says."""
    time.sleep(STARTED)
    while process.poll() is None and not is_prepared(process.pid):
        time.sleep(0.01)
    time.sleep(after - STARTED)
    process.send_signal(number)
    _, err = process.communicate(timeout=120)
    if process.returncode == 0:
        return False
    assert process.returncode == 128 + number, err
    assert err.rstrip().splitlines()[-1].partition(";")[0].endswith(ENDS[number]), err
    assert "Traceback" not in err and "Exception" not in err
    return True


def is_prepared(pid: int) -> bool:
    """Whether a process catches signals: on a busy machine Python takes longer to get there."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:  # no Linux
        return True
    (caught,) = (line.split()[1] for line in status.splitlines() if line.startswith("SigCgt"))
    return bool(int(caught, 16) >> (signal.SIGTERM - 1) & 1)


def moments(last: float, count: int) -> list[tuple[float, signal.Signals]]:
    """Moments from the first line to `last` seconds, each with the next of the signals."""
    every = np.linspace(STARTED, last, count).tolist()
    return [(after, list(ENDS)[i % 3]) for i, after in enumerate(every)]


def hidden_files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob(".*") if path.is_file()]


def test_predict_at_twenty_moments(tmp_path: Path) -> None:
    options = ("--field", "--model", PRETRAINED, "--output", "out")
    for after, number in moments(0.8, 20):
        cut(start("predict.py", *[EXAMPLES] * 4, *options, cwd=tmp_path), after, number)
        assert hidden_files(tmp_path) == []


def test_preprocessing_at_twenty_moments(tmp_path: Path) -> None:
    """With archives of two seeds: what stood before, and what a whole run leaves."""
    archive = tmp_path / "a.npz"
    options = ("--data-dir", SAMPLE, "--output", archive)
    made = []
    for seed in (1, 42):
        _, err = start("preprocess_data.py", *options, "--seed", seed, cwd=tmp_path).communicate()
        assert archive.exists(), err
        made.append(archive.read_bytes())
    before, whole = made
    assert before != whole
    archive.write_bytes(before)
    for after, number in moments(2.0, 20):
        was_cut = cut(start("preprocess_data.py", *options, cwd=tmp_path), after, number)
        assert hidden_files(tmp_path) == []
        assert archive.read_bytes() == (before if was_cut else whole)
        archive.write_bytes(before)


@pytest.mark.parametrize("script", ["train_model.py", "evaluate_model.py"])
def test_training_and_evaluation_at_some_moments(script: str, tiny: Path, tmp_path: Path) -> None:
    more = ("--weights", start_weights(), "--field-epochs", 0)
    options = {"train_model.py": more, "evaluate_model.py": ("--model", PRETRAINED)}[script]
    for i, (after, number) in enumerate(moments(9.0, 5)):
        out = tmp_path / str(i)  # a run that wasn't cut leaves what it is to leave
        process = start(script, "--data", tiny, *options, "--output-dir", out, cwd=tmp_path)
        if cut(process, after, number):
            assert not list(out.rglob("hematovision.json"))
            assert not list(out.rglob("metrics.json"))
        assert hidden_files(tmp_path) == []


def test_a_second_signal_ends_at_once(tmp_path: Path) -> None:
    process = start("predict.py", *[EXAMPLES] * 500, "--field", "--model", PRETRAINED, cwd=tmp_path)
    assert process.stdout is not None
    process.stdout.readline()
    begun = time.monotonic()
    for number in (signal.SIGTERM, signal.SIGINT):
        process.send_signal(number)
        time.sleep(0.05)
    process.communicate(timeout=20)
    assert process.returncode in (143, 130)
    assert time.monotonic() - begun < 10


def test_nohup_is_obeyed(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, ROOT / "predict.py", *[EXAMPLES] * 3, "--model", PRETRAINED, "--field"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN),
    )
    time.sleep(0.3)
    process.send_signal(signal.SIGHUP)
    process.communicate(timeout=120)
    assert process.returncode == 0


def test_a_reader_that_leaves_early_leaves_the_tables_whole(tmp_path: Path) -> None:
    process = start(
        "predict.py", *[EXAMPLES / "field.jpg"] * 4, "--field", "--model", PRETRAINED,
        "--output", "out", cwd=tmp_path,
    )  # fmt: skip
    assert process.stdout is not None
    process.stdout.readline()
    process.stdout.close()
    process.wait(120)
    rows = (tmp_path / "out" / "cells.csv").read_text().splitlines()[1:]
    assert len(rows) > 40 and len(rows) % 4 == 0
    assert (tmp_path / "out" / "summary.csv").is_file()


class TornDown:
    """Something whose end takes a while; a signal comes meanwhile, if `met`."""

    def __init__(self, met: bool) -> None:
        self.met = met

    def __del__(self) -> None:
        if self.met:
            os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(0.01)


@pytest.mark.parametrize("many", [0, 500])
def test_a_signal_met_while_something_is_torn_down_is_not_lost(
    many: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is raised in a destructor Python drops; where there are many, it is met there again."""
    before, hook = signal.getsignal(signal.SIGTERM), sys.unraisablehook
    with pytest.raises(Stopped) as caught, stoppable():
        TornDown(True)
        for k in range(500):
            time.sleep(0.01)
            if k < many:
                TornDown(False)
    assert caught.value.status == 143
    assert (signal.getsignal(signal.SIGTERM), sys.unraisablehook) == (before, hook)
    assert capsys.readouterr().err == ""


def test_a_signal_that_a_library_makes_an_error_of_is_a_signal_still() -> None:
    """As an extension in C does, while it is imported."""
    with pytest.raises(Stopped) as caught, stoppable():
        try:
            stop(signal.SIGTERM, None)
        except Stopped as stopped:
            raise ImportError("initialization failed") from stopped
    assert caught.value.status == 143
    with pytest.raises(ImportError), stoppable():
        raise ImportError("another")


def test_a_signal_met_while_a_library_in_c_is_loaded_ends_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    left: list[int] = []

    def leave(number: int, frame: object = None) -> None:
        left.append(number)
        raise SystemExit(128 + number)  # what ends the process, here only the test

    monkeypatch.setattr("hematovision.program.signals.leave", leave)
    # As importlib calls what a library does at its first moment.
    loading = "def create_module(first):\n    first()\n"
    place: dict[str, object] = {}
    exec(compile(loading, "<frozen importlib._bootstrap_external>", "exec"), place)
    create = place["create_module"]
    assert callable(create)
    with stoppable():
        with pytest.raises(SystemExit):
            create(lambda: os.kill(os.getpid(), signal.SIGTERM))
        assert left == [signal.SIGTERM]
        with pytest.raises(Stopped):
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(1)
    assert len(left) == 1


@pytest.mark.parametrize("way", ["stop", "leave"])
def test_a_signal_on_any_line_of_making_a_file_leaves_none(way: str, tmp_path: Path) -> None:
    """On each line in turn of what makes and takes away locks and unfinished files."""
    done = subprocess.run(
        [sys.executable, "-c", AT_EACH_LINE, str(tmp_path), way],
        cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    *cut, whole = [line.split() for line in done.stdout.splitlines()]
    assert len(cut) > 30 and whole == ["0", "cells.csv"]
    assert {line[0] for line in cut} == {str(128 + signal.SIGTERM)}
    assert {name for line in cut for name in line[1:]} <= {"cells.csv"}
    assert set(done.stderr.splitlines()) == {"terminated"}


AT_EACH_LINE = """
import os, signal, sys
from pathlib import Path
import filelock
from hematovision.program import files, locks, signals
from hematovision.program.console import command

FOLDER, WAY = Path(sys.argv[1]), sys.argv[2]
ROOMS = (files.__file__, locks.__file__)

@command
def main(argv):
    lines = iter(range(argv[0], -1, -1))
    def trace(frame, event, value):
        if frame.f_code.co_filename not in ROOMS:
            return None
        if event == "line" and next(lines, None) == 0:
            os.kill(os.getpid(), signal.SIGTERM)
        return trace
    if WAY == "leave":
        signal.signal(signal.SIGTERM, signals.leave)
    sys.settrace(trace)
    locks.hold(FOLDER / "cells.csv")
    files.write_bytes(FOLDER / "cells.csv", b"whole")
    locks.release()
    sys.settrace(None)
    return 0

for moment in range(1000):
    child = os.fork()
    if child == 0:
        os._exit(main([moment]))
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    print(status, *os.listdir(FOLDER))
    if status == 0:
        break
"""
