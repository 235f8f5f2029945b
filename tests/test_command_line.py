"""The command line of all four scripts: help, bad options, the one line of an error."""

from __future__ import annotations

import dataclasses
import importlib
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import SAMPLE, Run, SampleRun, only_error, run_script

SCRIPTS = ["preprocess_data.py", "train_model.py", "evaluate_model.py", "predict.py"]
FIELD = str(SAMPLE / "JPEGImages" / "drawn_000.jpg")


# --- help -----------------------------------------------------------------------------------------

# What the help says of an option, beside each default.
HELP = {
    "preprocess_data.py": {
        "--data-dir": "(default: data/ or data/sample/)",
        "--output": "(default: preprocessed_data.npz;",
        "--task": "{binary,multiclass}",
        "--split": "{auto,official,random,folds,test}",
        "--image-size": "pixels",
        "--background": "0 to 10",
        "--download": "BCCD",
        "--preview": ".png",
    },
    "train_model.py": {
        "--data": "(default: preprocessed_data.npz)",
        "--output-dir": "(default: model;",
        "--weights": "(default: auto)",
        "--epochs": "0 to 1000",
        "--seed": "(default: 42)",
    },
    "evaluate_model.py": {
        "--data": "(default: preprocessed_data.npz)",
        "--model": "(default: model/, else the bundled model)",
        "--output-dir": "(default: report;",
        "--resamples": "0 to 10000",
    },
    "predict.py": {"--model": "default: model/", "--json": "JSON", "--field": "whole fields"},
}


@pytest.mark.parametrize("script", SCRIPTS)
def test_help_lists_every_option_with_its_default(
    script: str, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    status, out, err = run(script, "--help")
    assert (status, err) == (0, "")
    options = re.split(r"^  (?=-)", out, flags=re.M)
    by_name = {re.split(r"[ \n]", text)[0]: text for text in options[1:]}
    declared = dataclasses.fields(importlib.import_module(script.removesuffix(".py")).Options)
    for field in declared:
        if "nargs" in field.metadata:
            assert f"\n  {field.metadata['metavar']} " in options[0]
            continue
        text = by_name["--" + field.name.replace("_", "-")]
        assert field.default in (None, False, ()) or f"(default: {field.default})" in text
    for name, words in HELP[script].items():
        assert words in by_name[name]


@pytest.mark.parametrize("script", SCRIPTS)
def test_help_and_an_unknown_option_as_commands(script: str, tmp_path: Path) -> None:
    usage = run_script(script, "--help", cwd=tmp_path)
    assert (usage.status, usage.err) == (0, "")
    assert script in usage.out
    assert "--nonsense" in only_error(run_script(script, "x", "--nonsense", cwd=tmp_path))


# --- options --------------------------------------------------------------------------------------

# By script: what is refused, and what the error line names of it (the first word, if nothing).
BAD: dict[str, list[str]] = {
    "preprocess_data.py": [
        "--image-size 31",
        "--image-size 513",
        "--image-size big",
        "--image-size -5",
        "--image-size 64.5",
        "--task ternary",
        "--split half",
        "--seed -1",
        "--seed 4294967296",
        "--seed x",
        "--background -0.1",
        "--background 11",
        "--background nan",
        "--workers 0",
        "--no-such-option",
        "stray",
        "--output",
    ],
    "train_model.py": [
        "--epochs -1",
        "--field-epochs 1001",
        "--epochs few",
        "--seed -1",
        "--seed 4294967296",
        "--nonsense",
    ],
    "evaluate_model.py": ["--resamples -1", "--resamples many", "--workers 0", "--nonsense"],
    "predict.py": [
        "",
        "--nonsense a.png",
        "--workers 0 a.png",
        "--workers x a.png",
        f"--output out {FIELD}",
        f"--min-probability 0.5 {FIELD}",
        f"--min-probability 0 --field {FIELD}",
        f"--min-probability 1.5 --field {FIELD}",
        f"--min-probability nan --field {FIELD}",
        f"--cell-size 40 {FIELD}",
        f"--cell-size 2 --field {FIELD}",
        f"--cell-size big --field {FIELD}",
        f"--explain why.png --field {FIELD}",
        f"--show-probability --field {FIELD}",
        f"--output {__file__} --field {FIELD}",
    ],
}


@pytest.mark.parametrize(("script", "words"), [(k, words) for k in SCRIPTS for words in BAD[k]])
def test_bad_options_are_refused_by_name(
    script: str,
    words: str,
    voc_dataset: Callable[..., Path],
    run: Run,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    root = voc_dataset(4)
    args = words.split()
    given = ("--data-dir", root) if script == "preprocess_data.py" else ()
    assert (args[0] if args else "IMAGE") in only_error(run(script, *given, *args))
    assert list(tmp_path.iterdir()) == [root]


# --- what isn't there -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("script", "words", "named"),
    [
        ("preprocess_data.py", "--data-dir nowhere", "nowhere"),
        ("train_model.py", "--data no.npz", "no.npz"),
        ("evaluate_model.py", "--data no.npz --model MODEL", "no.npz"),
        ("evaluate_model.py", "--data ARCHIVE --model nowhere", "nowhere"),
        ("evaluate_model.py", "--data ARCHIVE --model MODEL --compare nowhere", "nowhere"),
        ("predict.py", "nothing.png --model MODEL", "nothing.png"),
        ("predict.py", f"{FIELD} --model nowhere", "nowhere"),
        ("predict.py", f"{FIELD} --model nowhere --field", "nowhere"),
        ("predict.py", "nothing.png --model MODEL --field", "nothing.png"),
    ],
)
def test_what_is_missing_is_named_in_the_error(
    script: str,
    words: str,
    named: str,
    run: Run,
    sample_run: SampleRun,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    there = {"MODEL": sample_run.model, "ARCHIVE": sample_run.archive}
    assert named in only_error(run(script, *(there.get(word, word) for word in words.split())))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("script", SCRIPTS[1:3])
def test_without_an_archive_or_model_there_is_one_error_line(script: str, tmp_path: Path) -> None:
    only_error(run_script(script, cwd=tmp_path))
    assert list(tmp_path.iterdir()) == []
