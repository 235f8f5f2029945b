"""Files: written whole or not at all, as readable as a user's files are, found by name."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path, PureWindowsPath

import pytest
from conftest import EXAMPLES, Run, files_below

from hematovision.program.console import UserError
from hematovision.program.files import (
    LIMITS,
    check_writable,
    describe_others,
    name_apart,
    read_file,
    survey,
    write_text,
    written_whole,
)
from hematovision.program.tables import csv_table


def test_a_failure_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "table.csv"
    write_text(path, "old")
    with pytest.raises(KeyError), csv_table(path, ["a", "b"]) as table:
        table.writerow({"a": 1, "b": 2})
        raise KeyError
    assert files_below(tmp_path) == {"deep/table.csv": b"old"}
    with csv_table(path, ["a", "b"]) as table:
        table.writerow({"a": 1})
    assert path.read_text() == "a,b\n1,\n"


def test_a_folder_is_not_written_over(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is a folder"), written_whole(tmp_path):
        pass


@pytest.mark.skipif(os.name == "nt", reason="Windows has no umask")
def test_a_file_follows_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write_text(tmp_path / "a.txt", "mine")
    finally:
        os.umask(before)
    assert (tmp_path / "a.txt").stat().st_mode & 0o777 == 0o640


def test_images_are_found_by_name_and_hidden_ones_are_not(tmp_path: Path) -> None:
    for name in ("b.PNG", "a.jpeg", "._a.jpeg", "notes.txt", "c.webp"):
        (tmp_path / name).write_bytes(b"")
    assert [p.name for p in survey(tmp_path)[0]] == ["a.jpeg", "b.PNG", "c.webp"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_a_named_pipe_is_refused_at_once_alone_and_in_a_folder(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.png")
    with pytest.raises(UserError, match="not a regular file"):
        read_file(tmp_path / "a.png", "picture")
    assert survey(tmp_path) == ([], Counter({".png": 1}))


@pytest.mark.parametrize("name", ["/dev/zero", "/dev/null"])
def test_a_device_is_refused(name: str) -> None:
    if not Path(name).exists():
        pytest.skip(f"no {name} here")
    with pytest.raises(UserError, match=f"{name}: not a regular file"):
        read_file(Path(name), "picture")


def test_what_is_missing_or_no_file_is_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "none.png", tmp_path, tmp_path / "a\0b.png"):
        with pytest.raises(UserError, match="name the file of a picture"):
            read_file(path, "picture")


@pytest.mark.parametrize("kind", LIMITS)
def test_a_file_larger_than_its_kind_may_be_is_not_read(tmp_path: Path, kind: str) -> None:
    with open(tmp_path / "large", "wb") as file:
        file.truncate(LIMITS[kind] + 1)  # sparse: it takes no room
    with pytest.raises(UserError, match=rf"larger than an? {kind} may be \(\d+ MiB\)"):
        read_file(tmp_path / "large", kind)


def test_folders_are_looked_into_to_any_depth_without_litter(tmp_path: Path) -> None:
    wanted = ["a.JPG", "deep/er/still/b.tiff", "deep/c.png"]
    litter = ["._a.jpg", ".hidden/d.png", "__MACOSX/a.jpg", "deep/.DS_Store", "Thumbs.db"]
    other = ["notes.txt", "deep/slide.svs", "deep/er/phone.heic", "README"]
    for name in [*wanted, *litter, *other]:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "deep" / "again").symlink_to(tmp_path, target_is_directory=True)
    (tmp_path / "gone.png").symlink_to(tmp_path / "nowhere.png")
    images, others = survey(tmp_path)
    assert images == sorted(tmp_path / name for name in wanted)
    assert others == Counter({".txt": 1, ".svs": 1, ".heic": 1, "no suffix": 1, ".png": 1})


def test_other_files_are_told_the_most_frequent_first() -> None:
    others = Counter({".heic": 9, ".xml": 3, ".svs": 2, ".dcm": 2, ".a": 1, ".b": 1})
    assert describe_others(others) == "9 .heic, 3 .xml, 2 .svs, 2 .dcm, 2 of other kinds"


def test_a_folder_that_cannot_be_written_is_told_before_the_work(tmp_path: Path) -> None:
    check_writable(tmp_path / "new" / "deeper")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(UserError, match=r"stands in the way|can't be written"):
            check_writable(path)


ASKED = {  # what each script opens, given a path that never ends
    "archive to train": ("train_model.py", "--data", "{}", "--output-dir", "{out}"),
    "archive to score": ("evaluate_model.py", "--data", "{}", "--output-dir", "{out}"),
    "weights": ("train_model.py", "--data", "{tiny}", "--weights", "{}", "--output-dir", "{out}"),
    "picture": ("predict.py", "{}"),
    "card": ("predict.py", str(EXAMPLES / "red_cell.png"), "--model", "{folder}"),
}


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
@pytest.mark.parametrize("endless", ["pipe", "/dev/zero"])
@pytest.mark.parametrize("what", ASKED)
def test_no_script_waits_for_a_file_that_never_ends(
    what: str, endless: str, tiny: Path, tmp_path: Path, run: Run
) -> None:
    folder = tmp_path / "given"
    folder.mkdir()
    path = folder / ("hematovision.json" if what == "card" else "a.weights.h5")
    if endless == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to(endless)
    fill = {"tiny": tiny, "out": tmp_path / "out", "folder": folder}
    result = run(*(part.format(path, **fill) for part in ASKED[what]))
    assert result.status == 2 and result.out == ""
    assert result.err.splitlines()[-1].startswith("error: ")
    assert "not a regular file" in result.err


def test_a_file_that_another_program_holds_open_stays_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on Windows: mocked, since nothing else here refuses to be replaced."""
    path = tmp_path / "cells.csv"
    path.write_text("theirs")

    def refuse(source: str, target: Path) -> None:
        raise PermissionError(13, "is used by another process", str(target))

    monkeypatch.setattr("os.replace", refuse)
    with pytest.raises(PermissionError), written_whole(path) as temporary:
        temporary.write_text("ours")
    assert [p.name for p in tmp_path.iterdir()] == ["cells.csv"]
    assert path.read_text() == "theirs"


def test_no_name_of_ours_is_one_of_windows_devices() -> None:
    """By what Python knows of Windows: a drawing written to aux.png would be lost there."""
    given = [Path(name) for name in ("AUX.png", "nul.tar.jpg", "Com7 .png", "aux.jpg", "cone.png")]
    assert PureWindowsPath(given[0]).is_reserved()
    named = [*name_apart(given)]
    assert named == ["_AUX", "_nul.tar", "_Com7 ", "_aux_2", "cone"]
    assert not [name for name in named if PureWindowsPath(f"{name}_cells.png").is_reserved()]
