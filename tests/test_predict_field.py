"""predict.py --field: what it prints and writes, and what it refuses."""

from __future__ import annotations

import csv
import json
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from conftest import SAMPLE, Outcome, SampleRun, only_error, run_script, write_png

import predict
from preprocess_data import read_image
from train_model import PRETRAINED

FIELDS = sorted((SAMPLE / "JPEGImages").iterdir())[:3]


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str]) -> Callable[..., Outcome]:
    """Run predict.py --field with the bundled model in this process."""

    def call(*args: object, model: Path = PRETRAINED) -> Outcome:
        status = predict.main(["--field", *map(str, args), "--model", str(model)])
        return Outcome(status, *capfd.readouterr())

    return call


def test_json_is_what_the_contract_says(run: Callable[..., Outcome]) -> None:
    result = run(*FIELDS, "--json")
    assert result.status == 0, result
    answers = [json.loads(line) for line in result.out.splitlines()]
    assert [a["image"] for a in answers] == [str(f) for f in FIELDS]
    for answer in answers:
        assert list(answer) == ["image", "width", "height", "counts", "cells"]
        height, width = read_image(Path(answer["image"])).shape[:2]
        assert (answer["width"], answer["height"]) == (width, height)
        assert answer["cells"]
        for cell in answer["cells"]:
            assert list(cell) == ["label", "probability", "box", "counted"]
            x0, y0, x1, y1 = cell["box"]
            assert 0 <= x0 < x1 <= width and 0 <= y0 < y1 <= height
            assert all(isinstance(v, int) for v in cell["box"])
            assert cell["counted"] is True
        for label, n in answer["counts"].items():
            assert n == sum(c["label"] == label for c in answer["cells"])


def test_less_certain_cells_are_listed_where_asked_for_and_not_counted(
    run: Callable[..., Outcome],
) -> None:
    sure = json.loads(run(FIELDS[0], "--json").out)
    more = json.loads(run(FIELDS[0], "--json", "--min-probability", 0.01).out)
    assert more["counts"] == sure["counts"]
    assert len(more["cells"]) > len(sure["cells"])
    assert [c for c in more["cells"] if c["counted"]] == sure["cells"]
    # It lists more cells, never fewer.
    assert json.loads(run(FIELDS[0], "--json", "--min-probability", 0.99).out) == sure


def test_a_table_of_counts_with_a_row_for_all(run: Callable[..., Outcome]) -> None:
    result = run(*FIELDS)
    header, *rows, total = (line.split() for line in result.out.splitlines())
    assert header == ["field", "Platelets", "RBC", "WBC"]
    assert [row[0] for row in rows] == [str(f) for f in FIELDS]
    counts = np.array([row[1:] for row in rows], int)
    assert total == ["all", *map(str, counts.sum(axis=0))]
    assert len(run(FIELDS[0]).out.splitlines()) == 2


def test_output_holds_pictures_cells_and_a_summary(
    run: Callable[..., Outcome], tmp_path: Path
) -> None:
    result = run(*FIELDS, "--json", "--output", tmp_path / "out", "--show-probability")
    answers = [json.loads(line) for line in result.out.splitlines()]
    names = {f"{f.stem}_cells.png" for f in FIELDS} | {"cells.csv", "summary.csv", "sizes.png"}
    assert {p.name for p in (tmp_path / "out").iterdir()} == names
    for field in FIELDS:
        drawn, plain = read_image(tmp_path / "out" / f"{field.stem}_cells.png"), read_image(field)
        assert drawn.shape[1] >= plain.shape[1]
    with open(tmp_path / "out" / "cells.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    cells = [(a["image"], c) for a in answers for c in a["cells"]]
    assert len(rows) == len(cells)
    for row, (image, cell) in zip(rows, cells, strict=True):
        box = [int(row[k]) for k in ("xmin", "ymin", "xmax", "ymax")]
        assert (row["image"], row["label"], box) == (image, cell["label"], cell["box"])
        assert int(row["area_px"]) == (box[2] - box[0]) * (box[3] - box[1])
    with open(tmp_path / "out" / "summary.csv", newline="") as file:
        for row, answer in zip(csv.DictReader(file), answers, strict=True):
            assert {k: int(row[k]) for k in answer["counts"]} == answer["counts"]


def test_fields_of_the_same_name_get_pictures_of_their_own(
    run: Callable[..., Outcome], tmp_path: Path
) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / FIELDS[0].name).write_bytes(FIELDS[0].read_bytes())
    run(tmp_path / "a", tmp_path / "b", "--output", tmp_path / "out")
    assert len(list((tmp_path / "out").glob("*_cells.png"))) == 2


@pytest.mark.parametrize("size", [(1, 1), (3, 500), (480, 640)])
def test_a_field_without_a_cell_is_a_result_of_zero(
    run: Callable[..., Outcome], tmp_path: Path, size: tuple[int, int]
) -> None:
    blank = write_png(tmp_path / "blank.png", np.full((*size, 3), 222, np.uint8))
    result = run(blank, "--json", "--output", tmp_path / "out")
    assert result.status == 0, result
    assert json.loads(result.out)["counts"] == {"Platelets": 0, "RBC": 0, "WBC": 0}
    assert (tmp_path / "out" / "cells.csv").read_text().count("\n") == 1


def test_one_bad_field_among_many_is_skipped_with_a_warning(
    run: Callable[..., Outcome], tmp_path: Path
) -> None:
    bad = tmp_path / "bad.jpg"
    bad.write_bytes(b"no image")
    result = run(FIELDS[0], bad, FIELDS[1], "--json")
    assert result.status == 1
    assert len(result.out.splitlines()) == 2
    assert f"warning: {bad}" in result.err and "1 of 3" in result.err
    only_error(run(bad))


def test_a_slide_too_large_for_memory_is_refused_unread(
    run: Callable[..., Outcome], tmp_path: Path
) -> None:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = struct.pack(">IIBBBBB", 20_000, 20_000, 8, 2, 0, 0, 0)
    slide = tmp_path / "slide.png"
    slide.write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", bytes(2 << 20))
        + chunk(b"IEND", b"")
    )  # fmt: skip
    assert "20000 x 20000" in only_error(run(slide))


def test_a_large_field_is_looked_at_in_tiles(run: Callable[..., Outcome], tmp_path: Path) -> None:
    field = read_image(FIELDS[0])
    one = json.loads(run(FIELDS[0], "--json").out)["counts"]["RBC"]
    many = write_png(tmp_path / "many.png", np.tile(field, (4, 4, 1)))
    found = json.loads(run(many, "--json").out)["counts"]["RBC"]
    assert found == pytest.approx(16 * one, rel=0.25)  # where fields meet, cells are cut and joined


def test_answers_do_not_depend_on_workers_or_company(run: Callable[..., Outcome]) -> None:
    alone = run(FIELDS[1], "--json", "--workers", 1).out
    together = run(*FIELDS, "--json", "--workers", 2).out.splitlines()
    assert alone == together[1] + "\n"


def test_a_model_that_learnt_no_fields_says_so(
    run: Callable[..., Outcome], multiclass_run: SampleRun
) -> None:
    assert "--field-epochs" in only_error(run(FIELDS[0], model=multiclass_run.model))


def test_a_damaged_network_is_an_error_line(
    run: Callable[..., Outcome], sample_run: SampleRun, tmp_path: Path
) -> None:
    card = (sample_run.model / "hematovision.json").read_bytes()
    (tmp_path / "hematovision.json").write_bytes(card)
    (tmp_path / "hematovision_fields.tflite").write_bytes(b"TFL3 no network")
    only_error(run(FIELDS[0], model=tmp_path))


@pytest.mark.parametrize(
    "args",
    [
        ("--output", "out"),
        ("--min-probability", "0.5"),
        ("--field", "--min-probability", "0"),
        ("--field", "--min-probability", "1.5"),
        ("--field", "--explain", "why.png"),
        ("--field", "--show-probability"),
        ("--field", "--output", __file__),
    ],
)
def test_options_that_make_no_sense_are_refused(
    args: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert predict.main([*args, str(FIELDS[0])]) == 2
    assert capsys.readouterr().err.startswith("error: ")


def test_a_whole_field_without_the_option_gets_a_notice(capsys: pytest.CaptureFixture[str]) -> None:
    assert predict.main([str(FIELDS[0]), "--model", str(PRETRAINED)]) == 0
    captured = capsys.readouterr()
    assert "notice" in captured.err and f"--field {FIELDS[0]}" in captured.err
    assert len(captured.out.splitlines()) == 1
    segment = SAMPLE / "segments" / "red_cell.png"
    assert predict.main([str(segment), "--model", str(PRETRAINED)]) == 0
    assert "notice" not in capsys.readouterr().err


def test_one_large_cell_gets_no_notice(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cell = cv2.resize(read_image(SAMPLE / "segments" / "red_cell.png"), (400, 400))
    path = write_png(tmp_path / "cell.png", cell)
    assert predict.main([str(path), "--model", str(PRETRAINED)]) == 0
    assert "notice" not in capsys.readouterr().err


def test_as_a_command_there_is_no_chatter_and_no_tensorflow(sample_run: SampleRun) -> None:
    result = run_script("predict.py", "--field", FIELDS[0], "--model", sample_run.model)
    assert (result.status, result.err) == (0, "")
    probe = (
        "import sys, predict\n"
        f"predict.main(['--field', {str(FIELDS[0])!r}, '--model', {str(PRETRAINED)!r}])\n"
        "slow = {'tensorflow', 'keras', 'sklearn', 'matplotlib'} & set(sys.modules)\n"
        "sys.exit(f'imported {slow}' if slow else 0)\n"
    )
    import subprocess
    import sys

    from conftest import ROOT

    done = subprocess.run([sys.executable, "-c", probe], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
