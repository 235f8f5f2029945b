"""What predict.py --field --output leaves in its folder."""

from __future__ import annotations

import csv
import os
from pathlib import Path

import pytest
from conftest import (
    EXAMPLES,
    PRETRAINED,
    SAMPLE,
    Run,
    answers,
    files_below,
    only_error,
    run_script,
    write_png,
)

from hematovision.answering.output_folder import Output, OutputFolder
from hematovision.pictures.images import read_image
from hematovision.program.locks import release

FIELDS = sorted((SAMPLE / "JPEGImages").iterdir())[:3]


def test_output_holds_pictures_cells_and_a_summary(count: Run, tmp_path: Path) -> None:
    result = count(*FIELDS, "--json", "--output", tmp_path / "out", "--show-probability")
    found = answers(result)
    names = {f"{f.stem}_cells.png" for f in FIELDS} | {"cells.csv", "summary.csv", "sizes.png"}
    names |= {"differential.csv", ".hematovision.sha256"}
    assert {p.name for p in (tmp_path / "out").iterdir()} == names
    for field in FIELDS:
        drawn, plain = read_image(tmp_path / "out" / f"{field.stem}_cells.png"), read_image(field)
        assert drawn.shape[1] >= plain.shape[1]
    with open(tmp_path / "out" / "cells.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    cells = [(a["image"], c) for a in found for c in a["cells"]]
    assert len(rows) == len(cells)
    for row, (image, cell) in zip(rows, cells, strict=True):
        box = [int(row[k]) for k in ("xmin", "ymin", "xmax", "ymax")]
        assert (row["image"], row["label"], box) == (image, cell["label"], cell["box"])
        assert int(row["area_px"]) == (box[2] - box[0]) * (box[3] - box[1])
        assert row["cut"] == str(cell["cut"])
        assert row["look"] == str(cell["look"])
    with open(tmp_path / "out" / "summary.csv", newline="") as file:
        *fields, total = csv.DictReader(file)
    for row, answer in zip(fields, found, strict=True):
        assert {k: int(row[k]) for k in answer["counts"]} == answer["counts"]
    assert total["image"] == "all 3 fields"
    assert all(int(total[k]) == sum(int(row[k]) for row in fields) for k in found[0]["counts"])


def test_fields_of_the_same_name_get_pictures_of_their_own(count: Run, tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / FIELDS[0].name).write_bytes(FIELDS[0].read_bytes())
    count(tmp_path / "a", tmp_path / "b", "--output", tmp_path / "out")
    assert len(list((tmp_path / "out").glob("*_cells.png"))) == 2


def test_numbered_names_do_not_collide_with_given_ones(count: Run, tmp_path: Path) -> None:
    for name in ("a/x.jpg", "b/x.jpg", "c/x_2.jpg", "d/X.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(FIELDS[0].read_bytes())
    folders = [tmp_path / name for name in "abcd"]
    assert count(*folders, "--output", tmp_path / "out").status == 0
    names = {path.name.casefold() for path in (tmp_path / "out").glob("*_cells.png")}
    assert len(names) == 4


def test_the_longest_name_that_a_file_may_have(count: Run, tmp_path: Path) -> None:
    field = tmp_path / ("ä" * 125 + ".jpg")  # 254 bytes
    field.write_bytes(FIELDS[0].read_bytes())
    assert count(field, "--output", tmp_path / "out").status == 0
    assert len(list((tmp_path / "out").glob("*_cells.png"))) == 1


@pytest.mark.parametrize("out", [".", "found"])
def test_what_a_run_wrote_is_not_the_next_ones_input(out: str, count: Run, tmp_path: Path) -> None:
    """Drawn fields, sizes.png, pictures beside annotations; with --resume too."""
    for field in FIELDS:
        (tmp_path / field.name).write_bytes(field.read_bytes())
    args = (tmp_path, "--output", tmp_path / out, "--annotations", "voc")
    first = count(*args)
    assert first.status == 0, first.err
    for more in ((), ("--resume",), ("--resume",)):
        again = count(*args, *more)
        assert (again.status, again.out) == (0, first.out), again.err


@pytest.mark.parametrize("name", ["drawn_000_cells.png", "cells.csv", "summary.csv", "sizes.png"])
def test_a_file_that_was_there_and_is_not_ours_stays(name: str, count: Run, tmp_path: Path) -> None:
    """Said before a field is looked at, and nothing else is written."""
    if name.endswith(".png"):
        write_png(tmp_path / name, read_image(FIELDS[0])[:40, :40])
    else:
        (tmp_path / name).write_text("image,notes\na.jpg,mine\n")
    before = files_below(tmp_path)
    assert name in only_error(count(*FIELDS, "--output", tmp_path))
    assert files_below(tmp_path) == before


def test_a_table_that_somebody_worked_on_stays(count: Run, tmp_path: Path) -> None:
    args = (*FIELDS[:2], "--output", tmp_path)
    assert count(*args).status == 0
    assert count(*args).status == 0  # what nobody touched is written anew
    with open(tmp_path / "cells.csv", "a") as file:
        file.write("a note\n")
    assert "cells.csv" in only_error(count(*args))
    assert (tmp_path / "cells.csv").read_text().endswith("a note\n")


def test_two_runs_into_one_folder_refuse_each_other(tmp_path: Path, count: Run) -> None:
    output = Output(tmp_path / "out", ["RBC"], [], {})
    OutputFolder(output)
    try:
        args = ("--field", FIELDS[0], "--output", tmp_path / "out", "--model", PRETRAINED)
        assert "another run" in only_error(run_script("predict.py", *args))
    finally:
        release()
    assert count(FIELDS[0], "--output", tmp_path / "out").status == 0


def test_drawings_of_another_run_are_told(count: Run, tmp_path: Path) -> None:
    assert count(*FIELDS, "--output", tmp_path).status == 0
    said = count(FIELDS[0], "--output", tmp_path).err
    assert "2 drawings are of another run (drawn_001_cells.png" in said


@pytest.mark.skipif(os.name == "nt", reason="links want a privilege on Windows")
def test_links_are_not_written_through(count: Run, tmp_path: Path) -> None:
    mine = tmp_path / "mine.csv"
    mine.write_text("mine")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "cells.csv").symlink_to(mine)
    assert "cells.csv" in only_error(count(FIELDS[0], "--output", tmp_path / "out"))
    assert mine.read_text() == "mine"


def test_tables_as_excel_wants_them(count: Run, tmp_path: Path) -> None:
    named = tmp_path / "Präparat.jpg"
    named.write_bytes(FIELDS[0].read_bytes())
    assert count(named, "--output", tmp_path / "plain").status == 0
    assert count(named, "--output", tmp_path / "excel", "--csv", "excel").status == 0
    plain, excel = (tmp_path / kind / "cells.csv" for kind in ("plain", "excel"))
    assert plain.read_bytes().startswith(b"\xef\xbb\xbfimage,label,")
    assert excel.read_bytes().startswith(b"\xef\xbb\xbfimage;label;")
    rows = [
        list(csv.DictReader(path.read_text("utf-8-sig").splitlines(), delimiter=of))
        for path, of in ((plain, ","), (excel, ";"))
    ]
    assert [row["probability"].replace(",", ".") for row in rows[1]] == [
        row["probability"] for row in rows[0]
    ]
    assert "," in rows[1][0]["probability"]


def test_an_explanation_does_not_replace_its_picture(run: Run, tmp_path: Path) -> None:
    cell, why = tmp_path / "cell.png", tmp_path / "why.png"
    cell.write_bytes((EXAMPLES / "red_cell.png").read_bytes())
    before = cell.read_bytes()
    args = ("predict.py", cell, "--model", PRETRAINED, "--explain")
    assert "cell.png" in only_error(run(*args, cell))
    assert cell.read_bytes() == before
    assert run(*args, why).status == 0
    assert run(*args, why).status == 0  # one of ours is
