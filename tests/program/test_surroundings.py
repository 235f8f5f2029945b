"""What the scripts are started in changes no answer and no archive, and ends in no traceback."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import EXAMPLES, ROOT, SAMPLE, Outcome, answers, write_png
from drawing import draw_field

from hematovision.program.signals import SCRIPTS
from hematovision.program.surroundings import printable

RED_CELL = EXAMPLES / "red_cell.png"
NOTEBOOK = {"MPLBACKEND": "module://matplotlib_inline.backend_inline"}


def run_in(surroundings: dict[str, str | None], script: str, *args: object, **how) -> Outcome:
    """Run a script with these variables changed, or (None) taken away."""
    environment = {**os.environ, **surroundings}
    done = subprocess.run(
        [sys.executable, str(ROOT / script), *map(str, args)],
        env={name: value for name, value in environment.items() if value is not None},
        capture_output=True, text=True, errors="replace", timeout=300, **how,
    )  # fmt: skip
    assert "Traceback" not in done.stderr
    return Outcome(done.returncode, done.stdout, done.stderr)


def test_names_become_one_line_that_no_terminal_obeys() -> None:
    assert printable("cell 1.png") == "cell 1.png"
    assert printable("血细胞\u3000É.png") == "血细胞\u3000É.png"
    assert printable("a\nerror: b\x1b[31m\r\u2028") == r"a\nerror: b\x1b[31m\r\u2028"
    assert printable("\u202egnp.exe\u200b") == r"\u202egnp.exe\u200b"
    assert printable(os.fsdecode(b"Pr\xe4parat.jpg")) == r"Pr\xe4parat.jpg"


@pytest.mark.parametrize(
    "terminal",
    [
        {"PYTHONIOENCODING": "cp1252"},
        {"PYTHONIOENCODING": "cp437"},
        {"PYTHONIOENCODING": "ascii"},
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    ],
    ids=["cp1252", "cp437", "ascii", "C"],
)
def test_any_name_goes_through_any_terminal(tmp_path: Path, terminal: dict[str, str]) -> None:
    names = ["血细胞 1.png", "two\nlines.png", "\u202egnp.png", os.fsdecode(b"Pr\xe4parat.png")]
    for name in names:
        (tmp_path / name).write_bytes(RED_CELL.read_bytes())
    text = run_in(terminal, "predict.py", tmp_path)
    assert (text.status, len(text.out.splitlines())) == (0, len(names))
    asked = run_in(terminal, "predict.py", tmp_path, "--json")
    assert asked.status == 0
    if "LC_ALL" not in terminal:  # the name in the JSON is the file's own
        assert {a["image"] for a in answers(asked)} == {str(tmp_path / name) for name in names}
    missing = run_in(terminal, "predict.py", tmp_path / "no\n\x1b[31m血.png")
    assert missing.status == 2
    assert missing.err.startswith("error: ") and missing.err.count("\n") == 1
    assert "\x1b" not in missing.err


def test_fields_with_names_that_are_no_utf_8_are_drawn_and_listed(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    field = SAMPLE / "JPEGImages" / "drawn_000.jpg"
    for name in (b"Pr\xe4parat.jpg", b"b.jpg"):
        Path(os.fsdecode(bytes(folder) + b"/" + name)).write_bytes(field.read_bytes())
    out = tmp_path / "out"
    assert run_in(NOTEBOOK, "predict.py", "--field", folder, "--output", out).status == 0
    table = (out / "cells.csv").read_text("utf-8")
    assert r"Pr\udce4parat.jpg" in table
    assert len(list(out.glob("*_cells.png"))) == 2


@pytest.mark.parametrize("backend", [*NOTEBOOK.values(), "TkAgg", "no such backend"])
def test_a_notebooks_backend_is_not_ours(tmp_path: Path, backend: str) -> None:
    plain, odd = tmp_path / "plain.png", tmp_path / "odd.png"
    assert run_in({}, "predict.py", RED_CELL, "--explain", plain).status == 0
    said = run_in({"MPLBACKEND": backend}, "predict.py", RED_CELL, "--explain", odd)
    assert said.status == 0
    assert odd.read_bytes() == plain.read_bytes()


def test_style_files_in_the_working_folder_change_no_figure(tmp_path: Path) -> None:
    (tmp_path / "matplotlibrc").write_text("font.size: 40\naxes.facecolor: red\nno.such.key: 1\n")
    plain, odd = tmp_path / "plain.png", tmp_path / "odd.png"
    first = run_in({}, "predict.py", RED_CELL, "--explain", plain)
    second = run_in({}, "predict.py", RED_CELL, "--explain", odd, cwd=tmp_path)
    assert (first.status, second.status) == (0, 0)
    assert second.err == first.err
    assert odd.read_bytes() == plain.read_bytes()


def test_without_home_display_or_temporary_cache_nothing_is_said_of_it(tmp_path: Path) -> None:
    bare = dict.fromkeys(("HOME", "DISPLAY", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "MPLCONFIGDIR"))
    told = run_in(bare, "predict.py", RED_CELL, "--explain", tmp_path / "a.png")
    usual = run_in({}, "predict.py", RED_CELL, "--explain", tmp_path / "b.png")
    nowhere = run_in(
        {"HOME": "/nonexistent"}, "predict.py", RED_CELL, "--explain", tmp_path / "c.png"
    )
    assert told == usual == nowhere


def test_the_same_archive_whatever_the_surroundings(tmp_path: Path) -> None:
    odd = {"TZ": "Pacific/Kiritimati", "LC_ALL": "C", "PYTHONHASHSEED": "7", "HOME": "/nonexistent",
           "KERAS_BACKEND": "jax", "OPENCV_IO_MAX_IMAGE_PIXELS": "1000", **NOTEBOOK}  # fmt: skip
    for name, surroundings in (("a", {}), ("b", odd)):
        args = ("--data-dir", SAMPLE, "--output", tmp_path / f"{name}.npz", "--image-size", 32)
        assert run_in(surroundings, "preprocess_data.py", *args, cwd=tmp_path).status == 0
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


@pytest.mark.parametrize(
    "settings",
    [
        {"backend": "torch", "image_data_format": "channels_first", "floatx": "float16"},
        {"floatx": "no such number"},
    ],
    ids=["another backend", "nonsense"],
)
def test_a_keras_json_of_another_project(tmp_path: Path, settings: dict[str, str]) -> None:
    (tmp_path / ".keras").mkdir()
    (tmp_path / ".keras" / "keras.json").write_text(json.dumps(settings))
    code = (
        "from hematovision.program.console import command\n"
        "@command\n"
        "def main(argv=None):\n"
        "    from hematovision.training.backbone import start_tensorflow\n"
        "    start_tensorflow(0)\n"
        "    import keras\n"
        "    c = keras.config\n"
        "    print(c.backend(), c.floatx(), c.image_data_format())\n"
        "    return 0\n"
        "raise SystemExit(main())\n"
    )
    environment = {**os.environ, "HOME": str(tmp_path), "KERAS_BACKEND": "jax"}
    environment.pop("KERAS_HOME", None)
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    if "backend" in settings:
        assert (done.returncode, done.stdout) == (0, "tensorflow float32 channels_last\n"), done
    else:
        assert done.returncode == 2
        assert done.stderr.startswith("error: Keras: can't start (")
        assert done.stderr.count("\n") == 1 and "keras.json" in done.stderr


def test_with_its_stderr_closed_a_script_says_nothing_on_stdout(tmp_path: Path) -> None:
    write_png(tmp_path / "field.png", draw_field([]))
    shell = f"'{sys.executable}' '{ROOT / 'predict.py'}' '{tmp_path / 'none.png'}' 2>&-"
    done = subprocess.run(["sh", "-c", shell], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (2, "", "")


CRASH = (
    "import ctypes\n"
    "from hematovision.program.surroundings import settled\nwith settled():\n    {}\n"
)


def test_a_crash_is_reported_though_libraries_are_quiet() -> None:
    chatter = CRASH.format("import os; os.write(2, b'chatter')")
    crash = CRASH.format("ctypes.string_at(0)")
    said = [
        subprocess.run(
            [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60
        ).stderr
        for code in (chatter, crash)
    ]
    assert said[0] == ""
    assert "Segmentation fault" in said[1] or "access violation" in said[1]


@pytest.mark.parametrize(
    "setting", [{"PYTHONSAFEPATH": "1"}, {"PYTHONOPTIMIZE": "2"}, {"PYTHONOPTIMIZE": "1"}], ids=str
)
@pytest.mark.parametrize("script", SCRIPTS)
def test_settings_of_the_interpreter_change_nothing(setting: dict[str, str], script: str) -> None:
    assert run_in(setting, script, "--help").status == 0


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no full disk to be had")
def test_a_full_disk_for_notices_costs_no_result(tmp_path: Path) -> None:
    with open("/dev/full", "w") as full:
        for args, status in (((RED_CELL, "--json"), 0), ((tmp_path / "nix.png",), 2)):
            done = subprocess.run(
                [sys.executable, str(ROOT / "predict.py"), *map(str, args)],
                stdout=subprocess.PIPE, stderr=full, text=True, timeout=300,
            )  # fmt: skip
            assert done.returncode == status
            assert bool(done.stdout) == (status == 0)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no full disk to be had")
def test_a_full_disk_for_results_is_said() -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, str(ROOT / "predict.py"), str(RED_CELL)],
            stdout=full, stderr=subprocess.PIPE, text=True, timeout=300,
        )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith("error: standard output: ")


@pytest.mark.skipif(os.name == "nt", reason="streams are closed by a shell's words here")
@pytest.mark.parametrize("closed", ["2>&-", ">&-", "<&-", "<&- >&- 2>&-"])
def test_without_streams_what_is_written_is_written(closed: str, tmp_path: Path) -> None:
    field = SAMPLE / "JPEGImages" / "drawn_000.jpg"
    command = '"$0" predict.py --field "$1" --output "$2" ' + closed
    done = subprocess.run(
        ["sh", "-c", command, sys.executable, str(field), str(tmp_path / "out")],
        cwd=ROOT, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0 and "Traceback" not in done.stderr
    assert (tmp_path / "out" / "cells.csv").read_text().count("\n") > 5
