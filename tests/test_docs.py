"""README and docs/ speak of files, options, keys and commands that are there."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT, SampleRun, run_script

from hematovision.networks.card import PRETRAINED

SCRIPTS = ("preprocess_data.py", "train_model.py", "evaluate_model.py", "predict.py")
PAGES = sorted(
    [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), ROOT / "data" / "README.md"],
    key=lambda path: path.name,
)
# Options of other programs that the pages name.
FOREIGN = {"--array", "--cpus-per-task", "--dependency", "--requeue", "--sshlogin", "--wrap"}


def heading_anchor(heading: str) -> str:
    """The anchor that a heading gets where Markdown is shown."""
    kept = re.sub(r"[^\w\s-]", "", heading.lower().replace("`", ""))
    return re.sub(r"\s", "-", kept.strip())


def list_options() -> set[str]:
    """All that `--help` of the scripts, the tools and the benchmarks would list."""
    sources = [ROOT / name for name in SCRIPTS]
    sources += [*(ROOT / "tools").glob("*.py"), *(ROOT / "tests" / "benchmarks").glob("*.py")]
    sources.append(ROOT / "hematovision" / "page" / "build.py")
    fields = "\n".join(path.read_text("utf-8") for path in sources)
    named = re.findall(r"^    (\w+): [^\n]*(?:=|Annotated)", fields, re.M)
    return {"--help"} | {"--" + name.replace("_", "-") for name in named}


def test_the_readme_is_for_people_who_use_it() -> None:
    assert len((ROOT / "README.md").read_text("utf-8").splitlines()) <= 170


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.stem)
def test_links_lead_somewhere(page: Path) -> None:
    text = page.read_text("utf-8")
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"\w+:", target):
            continue
        name, _, anchor = target.partition("#")
        linked = page.parent / name if name else page
        assert linked.exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.*)$", linked.read_text("utf-8"), re.M)
            assert anchor in map(heading_anchor, headings), target


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.stem)
def test_nothing_waits_to_be_filled_in(page: Path) -> None:
    assert not re.findall(r"^[A-Z]+(?:-[A-Z]+)*$|TODO|FIXME|XXX", page.read_text("utf-8"), re.M)


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.stem)
def test_options_that_are_named_exist(page: Path) -> None:
    text = page.read_text("utf-8")
    commands = re.findall(r"`[^`\n]*`|^    .*|^\w.*\.py .*|^\$ .*", text, re.M)
    spoken = {o for line in commands for o in re.findall(r"(?<![\w-])--[a-z][a-z-]+", line)}
    ours = {o for o in spoken if not re.search(rf"(pip|pytest|git|apt\S*) [^`]*{o}", text)}
    assert ours - list_options() - FOREIGN == set()


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.stem)
def test_make_knows_the_targets_that_are_named(page: Path) -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text("utf-8"), re.M))
    named = set(re.findall(r"`make ([a-z]+)", page.read_text("utf-8")))
    assert named <= targets


def test_every_option_of_a_script_is_explained() -> None:
    """By task in docs/: `--help` alone lists them by the order of their declaration."""
    pages = "".join(path.read_text("utf-8") for path in (ROOT / "docs").glob("*.md"))
    for script in SCRIPTS:
        options = set(re.findall(r"^  (--[a-z-]+)", run_script(script, "--help").out, re.M))
        assert options, script
        missing = {o for o in options if not re.search(rf"{o}(?![\w-])", pages)}
        assert missing == set(), script


def test_keys_of_archive_and_card_are_those_written(sample_run: SampleRun) -> None:
    text = (ROOT / "docs" / "formats.md").read_text("utf-8")
    listed = {key.replace("<split>", "train") for key in re.findall(r"`(\w+_<split>)`", text)}
    with np.load(sample_run.archive, allow_pickle=False) as file:
        held = {key for key in file.files if key.endswith("_train")}
        metadata = json.loads(str(file["metadata"]))
    assert held == listed
    card = json.loads((PRETRAINED / "hematovision.json").read_text("utf-8"))
    for key in (*metadata, *card, *card["fields"]):
        assert f"`{key}`" in text, key
