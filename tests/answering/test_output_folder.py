"""What predict.py --field --output leaves in its folder."""

from __future__ import annotations

import csv
from pathlib import Path

from conftest import SAMPLE, Run, answers

from hematovision.pictures.images import read_image

FIELDS = sorted((SAMPLE / "JPEGImages").iterdir())[:3]


def test_output_holds_pictures_cells_and_a_summary(count: Run, tmp_path: Path) -> None:
    result = count(*FIELDS, "--json", "--output", tmp_path / "out", "--show-probability")
    found = answers(result)
    names = {f"{f.stem}_cells.png" for f in FIELDS} | {"cells.csv", "summary.csv", "sizes.png"}
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
    with open(tmp_path / "out" / "summary.csv", newline="") as file:
        for row, answer in zip(csv.DictReader(file), found, strict=True):
            assert {k: int(row[k]) for k in answer["counts"]} == answer["counts"]


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
