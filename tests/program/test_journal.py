"""A cut run of predict.py --field --output goes on where it was; its shares make up the whole."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from conftest import SAMPLE, Run, answers, files_below

from hematovision.networks.detector import Detector
from hematovision.program.console import UserError
from hematovision.program.journal import Journal

SOME = sorted((SAMPLE / "JPEGImages").iterdir())[:4]


@pytest.fixture
def images(tmp_path: Path) -> list[Path]:
    """Four fields, two of one name, and what is no picture between them."""
    paths = [tmp_path / name for name in ("a/x.jpg", "b/x.jpg", "c.jpg", "d.jpg", "e.jpg")]
    for path, source in zip(paths, [*SOME[:2], None, *SOME[2:]], strict=True):
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(source.read_bytes() if source else b"no picture")
    return paths


class Searches(list):
    """One entry for each field that was searched for cells; the run is cut at `cut_at`'s."""

    cut_at = 0


@pytest.fixture
def searched(monkeypatch: pytest.MonkeyPatch) -> Searches:
    search, done = Detector.search, Searches()

    def search_or_cut(*args: Any) -> Any:
        done.append(1)
        if len(done) == done.cut_at:
            raise KeyboardInterrupt
        return search(*args)

    monkeypatch.setattr(Detector, "search", search_or_cut)
    return done


@pytest.mark.parametrize("kind", ["coco", "voc"])
def test_a_cut_run_goes_on_and_ends_as_an_uncut_one(
    kind: str, images: list[Path], count: Run, tmp_path: Path, searched: Searches
) -> None:
    args = (*images, "--json", "--annotations", kind, "--output")
    whole = count(*args, tmp_path / "whole")
    assert whole.status == 1  # for what is no picture
    searched.cut_at = len(searched) + 4
    assert count(*args, tmp_path / "cut").status == 130
    assert not (tmp_path / "cut" / "cells.csv").exists()
    searched.cut_at = 0
    searched.clear()
    gone_on = count(*args, tmp_path / "cut", "--resume")
    assert (len(searched), gone_on.status) == (1, 1)
    assert "going on after 4 of 5 images" in gone_on.err
    assert answers(gone_on) == answers(whole)
    again = files_below(tmp_path / "cut")
    journal = again.pop("answers.jsonl")
    assert again == files_below(tmp_path / "whole")
    searched.clear()
    assert answers(count(*args, tmp_path / "cut", "--resume")) == answers(whole)
    assert not searched
    assert files_below(tmp_path / "cut") == again | {"answers.jsonl": journal}


def test_of_another_run_or_changed_pictures_nothing_is_taken(
    images: list[Path], count: Run, tmp_path: Path, searched: Searches
) -> None:
    args = (*images[:2], "--resume", "--output", tmp_path / "out")
    assert count(*args).status == 0
    searched.clear()
    assert "starting anew" in count(*args, "--min-probability", 0.2).err
    assert len(searched) == 2
    images[1].write_bytes(SOME[3].read_bytes())
    searched.clear()
    assert "going on after 1 of 2" in count(*args, "--min-probability", 0.2).err
    assert len(searched) == 1


def test_a_torn_line_is_cut_off(tmp_path: Path, images: list[Path]) -> None:
    journal = Journal(tmp_path / "a.jsonl", {"model": 1}, resume=True)
    for path in images[:3]:
        journal.add(path, {"answer": {}})
    whole = journal.path.read_bytes()
    journal.path.write_bytes(whole[:-5])
    again = Journal(journal.path, {"model": 1}, resume=True)
    assert again.take_up(images) == 2
    again.add(images[2], {"answer": {}})
    assert journal.path.read_bytes() == whole
    assert len([*again]) == 3


def test_shares_in_order_make_up_the_whole(images: list[Path], count: Run, tmp_path: Path) -> None:
    whole = count(*images, "--json", "--output", tmp_path / "whole", "--annotations", "voc")
    told, rows, pictures = [], [], {}
    for k in (1, 2, 3):
        folder = tmp_path / "shares"
        args = ("--json", "--output", folder, "--annotations", "voc", "--shard", f"{k}/3")
        told += answers(count(*images, *args))
        table = (folder / f"cells-0000{k}-of-00003.csv").read_text().splitlines(keepends=True)
        rows += table if k == 1 else table[1:]
        pictures = {n: d for n, d in files_below(folder).items() if n[-4:] in (".png", ".xml")}
    assert told == answers(whole)
    assert "".join(rows) == (tmp_path / "whole" / "cells.csv").read_text()
    of_whole = files_below(tmp_path / "whole")
    named = {n: d for n, d in pictures.items() if not n.startswith("sizes")}
    assert named == {n: d for n, d in of_whole.items() if n in named} and len(named) == 8


def test_segments_are_shared_too(run: Run, images: list[Path]) -> None:
    whole = run("predict.py", *images, "--json")
    shares = [run("predict.py", *images, "--json", "--shard", f"{k}/2") for k in (1, 2)]
    assert "".join(s.out for s in shares) == whole.out


@pytest.mark.parametrize("how", ["changed", "moved", "taken out"])
def test_an_answer_that_somebody_changed_is_not_taken(
    how: str, tmp_path: Path, images: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    journal = Journal(tmp_path / "a.jsonl", {"model": 1}, resume=True)
    for k, path in enumerate(images[:4]):
        journal.add(path, {"answer": {"count": k}})
    head, *lines = journal.path.read_text().splitlines(keepends=True)
    if how == "changed":
        lines[2] = lines[2].replace('"count": 2', '"count": 9')
    elif how == "moved":
        lines[2], lines[3] = lines[3], lines[2]
    else:
        del lines[2]
    journal.path.write_text("".join([head, *lines]))
    assert Journal(journal.path, {"model": 1}, resume=True).take_up(images) == 2
    assert "has changed; asking anew" in capsys.readouterr().err


def test_wherever_it_is_cut_it_goes_on_to_the_same_bytes(
    tmp_path: Path, images: list[Path]
) -> None:
    def run(path: Path, resume: bool) -> bytes:
        journal = Journal(path, {"model": 1}, resume)
        for k in range(journal.take_up(images), 4):
            journal.add(images[k], {"answer": {"count": k}} if k != 2 else {})
        return path.read_bytes()

    whole = run(tmp_path / "whole.jsonl", False)
    cut = tmp_path / "cut.jsonl"
    for end in range(0, len(whole) + 1, 7):
        cut.write_bytes(whole[:end])
        if 0 < end <= whole.index(b"\n"):  # the head is written whole: this is no journal of ours
            with pytest.raises(UserError, match="no journal of ours"):
                run(cut, True)
        else:
            assert run(cut, True) == whole


@pytest.mark.parametrize("what", ["text", "json", "a link", "a pipe", "a folder"])
def test_what_is_no_journal_is_neither_read_nor_replaced(
    what: str, tmp_path: Path, images: list[Path]
) -> None:
    path, theirs = tmp_path / "answers.jsonl", tmp_path / "theirs"
    theirs.write_text("precious")
    if what == "a folder":
        path.mkdir()
    elif what == "a link":
        path.symlink_to(theirs)
    elif what == "a pipe":
        if not hasattr(os, "mkfifo"):
            pytest.skip("no named pipes here")
        os.mkfifo(path)
    else:
        path.write_text("mine\n" if what == "text" else '{"answer": 1}\n')
    before = path.read_bytes() if path.is_file() else b""
    for resume in (True, False):
        with pytest.raises(UserError):
            Journal(path, {"model": 1}, resume)
    assert theirs.read_text() == "precious"
    assert before == (path.read_bytes() if path.is_file() else b"")
