"""predict.py --field: what it prints, what it refuses, and the notice that names it."""

from __future__ import annotations

import json
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from conftest import (
    DEMONSTRATION,
    EXAMPLES,
    ROOT,
    SAMPLE,
    Run,
    SampleRun,
    answers,
    only_error,
    run_script,
    write_png,
)

from hematovision.networks.card import PRETRAINED
from hematovision.pictures.images import read_image

FIELDS = sorted((SAMPLE / "JPEGImages").iterdir())[:3]


def test_json_is_what_the_contract_says(count: Run) -> None:
    result = count(*FIELDS, "--json")
    assert result.status == 0, result
    found = answers(result)
    assert [a["image"] for a in found] == [str(f) for f in FIELDS]
    for answer in found:
        assert list(answer) == [
            "image", "width", "height", "counts", "cells", "differential", "doubts",
        ]  # fmt: skip
        assert all(isinstance(doubt, str) for doubt in answer["doubts"])
        height, width = read_image(Path(answer["image"])).shape[:2]
        assert (answer["width"], answer["height"]) == (width, height)
        assert answer["cells"]
        for cell in answer["cells"]:
            of_type = ["type", "type_probabilities"] if cell["label"] == "WBC" else []
            known = ["label", "probability", "box", "counted", "cut", "look"]
            assert list(cell) == [*known, *of_type]
            assert isinstance(cell["look"], bool)
            x0, y0, x1, y1 = cell["box"]
            assert 0 <= x0 < x1 <= width and 0 <= y0 < y1 <= height
            assert all(isinstance(v, int) for v in cell["box"])
            assert cell["counted"] is True
        for label, n in answer["counts"].items():
            assert n == sum(c["label"] == label for c in answer["cells"])


def test_less_certain_cells_are_listed_where_asked_for_and_not_counted(
    count: Run,
) -> None:
    sure = json.loads(count(FIELDS[0], "--json").out)
    more = json.loads(count(FIELDS[0], "--json", "--min-probability", 0.01).out)
    assert more["counts"] == sure["counts"]
    assert len(more["cells"]) > len(sure["cells"])
    assert [c for c in more["cells"] if c["counted"]] == sure["cells"]
    # It lists more cells, never fewer.
    assert json.loads(count(FIELDS[0], "--json", "--min-probability", 0.99).out) == sure


def test_a_table_of_counts_with_a_row_for_all(count: Run) -> None:
    result = count(*FIELDS)
    lines = [line.split() for line in result.out.splitlines()]
    header, rows, total = lines[0], lines[1:4], lines[4]
    assert header == ["field", "Platelets", "RBC", "WBC"]
    assert [row[0] for row in rows] == [str(f) for f in FIELDS]
    counts = np.array([row[1:] for row in rows], int)
    assert total == ["all", *map(str, counts.sum(axis=0))]
    assert "white cells" in result.out.splitlines()[5]
    assert "all" not in count(FIELDS[0]).out


@pytest.mark.parametrize("size", [(1, 1), (3, 500), (480, 640)])
def test_a_field_without_a_cell_is_a_result_of_zero(
    count: Run, tmp_path: Path, size: tuple[int, int]
) -> None:
    blank = write_png(tmp_path / "blank.png", np.full((*size, 3), 222, np.uint8))
    result = count(blank, "--json", "--output", tmp_path / "out")
    assert result.status == 0, result
    assert json.loads(result.out)["counts"] == {"Platelets": 0, "RBC": 0, "WBC": 0}
    assert (tmp_path / "out" / "cells.csv").read_text().count("\n") == 1


def test_a_large_field_is_looked_at_in_tiles(count: Run, tmp_path: Path) -> None:
    field = read_image(FIELDS[0])
    one = json.loads(count(FIELDS[0], "--json").out)["counts"]["RBC"]
    many = write_png(tmp_path / "many.png", np.tile(field, (4, 4, 1)))
    found = json.loads(count(many, "--json").out)["counts"]["RBC"]
    assert found == pytest.approx(16 * one, rel=0.25)  # where fields meet, cells are cut and joined


def test_answers_do_not_depend_on_workers_or_company(count: Run) -> None:
    alone = count(FIELDS[1], "--json", "--workers", 1).out
    together = count(*FIELDS, "--json", "--workers", 2).out.splitlines()
    assert alone == together[1] + "\n"


def test_as_a_command_there_is_no_chatter_and_no_tensorflow(sample_run: SampleRun) -> None:
    # A model that has seen the sample twice can't tell how large cells are.
    options = ("--model", sample_run.model, "--cell-size", 60)
    result = run_script("predict.py", "--field", FIELDS[0], *options)
    assert (result.status, result.err) == (0, DEMONSTRATION)
    probe = (
        "import sys, predict\n"
        f"predict.main(['--field', {str(FIELDS[0])!r}, '--model', {str(PRETRAINED)!r}])\n"
        "slow = {'tensorflow', 'keras', 'sklearn', 'matplotlib'} & set(sys.modules)\n"
        "sys.exit(f'imported {slow}' if slow else 0)\n"
    )
    done = subprocess.run([sys.executable, "-c", probe], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_one_bad_field_among_many_is_skipped_with_a_warning(count: Run, tmp_path: Path) -> None:
    bad = tmp_path / "bad.jpg"
    bad.write_bytes(b"no image")
    result = count(FIELDS[0], bad, FIELDS[1], "--json")
    assert result.status == 1
    assert len(result.out.splitlines()) == 2
    assert f"warning: {bad}" in result.err and "1 of 3" in result.err
    only_error(count(bad))


def test_a_slide_too_large_for_memory_is_refused_unread(count: Run, tmp_path: Path) -> None:
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
    assert "20000 x 20000" in only_error(count(slide))


def test_a_model_that_learnt_no_fields_says_so(count: Run, multiclass_run: SampleRun) -> None:
    assert "--field-epochs" in only_error(count(FIELDS[0], model=multiclass_run.model))


def test_a_damaged_network_is_an_error_line(
    count: Run, sample_run: SampleRun, tmp_path: Path
) -> None:
    card = (sample_run.model / "hematovision.json").read_bytes()
    (tmp_path / "hematovision.json").write_bytes(card)
    (tmp_path / "hematovision_fields.tflite").write_bytes(b"TFL3 no network")
    only_error(count(FIELDS[0], model=tmp_path))


def test_a_whole_field_without_the_option_gets_a_notice(run: Run) -> None:
    result = run("predict.py", FIELDS[0], "--model", PRETRAINED)
    assert result.status == 0
    assert "notice" in result.err and f"--field {FIELDS[0]}" in result.err
    assert len(result.out.splitlines()) == 1
    segment = EXAMPLES / "red_cell.png"
    result = run("predict.py", segment, "--model", PRETRAINED)
    assert result.status == 0
    assert "notice" not in result.err


@pytest.mark.parametrize("size", [(320, 240), (240, 320), (256, 192)])
def test_a_small_field_gets_the_notice_too(
    run: Run, tmp_path: Path, size: tuple[int, int], bccd: Path
) -> None:
    field = read_image(bccd / "JPEGImages" / "BloodImage_00004.jpg")
    field = field if size[0] > size[1] else np.ascontiguousarray(field.transpose(1, 0, 2))
    small = write_png(tmp_path / "a.png", cv2.resize(field, size, interpolation=cv2.INTER_AREA))
    result = run("predict.py", small, "--model", PRETRAINED)
    assert result.status == 0
    assert f"notice: {small} looks like a whole field (" in result.err


def test_the_notice_is_said_once_however_many_fields(run: Run) -> None:
    result = run("predict.py", *FIELDS[:3], "--model", PRETRAINED, "--workers", 3)
    assert (result.status, result.err.count("looks like a whole field")) == (0, 1)


def test_one_large_cell_gets_no_notice(run: Run, tmp_path: Path) -> None:
    cell = cv2.resize(read_image(EXAMPLES / "red_cell.png"), (400, 400))
    result = run("predict.py", write_png(tmp_path / "cell.png", cell), "--model", PRETRAINED)
    assert result.status == 0
    assert "notice" not in result.err


def test_the_size_of_cells_can_be_stated(count: Run) -> None:
    found, stated = (
        json.loads(count(FIELDS[0], "--json", *more).out)["cells"]
        for more in ((), ("--cell-size", 24))
    )
    assert found != stated


def test_a_field_that_no_size_of_cells_explains_is_warned_of(tmp_path: Path, count: Run) -> None:
    rng = np.random.default_rng(4)
    blobs = cv2.GaussianBlur(rng.integers(0, 255, (240, 320, 3)).astype(np.uint8), (0, 0), 12)
    write_png(tmp_path / "blobs.png", cv2.normalize(blobs, None, 0, 255, cv2.NORM_MINMAX))
    error = count(tmp_path / "blobs.png").err
    assert "warning: " in error and "--cell-size" in error
    assert "warning: " not in count(tmp_path / "blobs.png", "--cell-size", 40).err


@pytest.mark.parametrize(("name", "told"), [("a.jpg", True), ("b.png", False)])
def test_that_jpeg_costs_small_cells_is_said_once(
    name: str, told: bool, tmp_path: Path, count: Run
) -> None:
    field = read_image(EXAMPLES / "field.jpg")
    field = cv2.resize(field, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA)
    paths = [write_png(tmp_path / f"{i}{name}", field) for i in range(2)]
    error = count(*paths).err
    assert error.count("in a JPEG of so small cells") == told
    assert "JPEG" not in count(EXAMPLES / "field.jpg").err


def test_a_size_of_cells_that_would_take_hours_is_refused(tmp_path: Path, count: Run) -> None:
    wide = write_png(tmp_path / "wide.png", np.full((4200, 12000, 3), 220, np.uint8))
    assert "tiles" in only_error(count(wide, "--cell-size", 6))
    result = count(FIELDS[0], wide, "--cell-size", 6)
    assert result.status == 1 and "warning: " in result.err and "tiles" in result.err


def test_the_fields_that_would_teach_most_are_picked_and_written(
    count: Run, tmp_path: Path
) -> None:
    """Of three pictures of which two are one, the twin isn't among two picked."""
    image = read_image(EXAMPLES / "field.jpg")
    first, twin = (write_png(tmp_path / f"{name}.png", image) for name in ("a", "b"))
    other = write_png(tmp_path / "c.png", np.ascontiguousarray(image[:240, ::-1]))
    picked = count(first, twin, other, "--pick", 2)
    assert picked.status == 0
    names = [Path(line).name for line in picked.out.splitlines()]
    assert sorted(names) in (["a.png", "c.png"], ["b.png", "c.png"])
    assert picked.err.count("picked ") == 2
    out = tmp_path / "out"
    written = count(first, twin, other, "--pick", 2, "--output", out, "--annotations", "voc")
    assert written.out == picked.out
    assert {p.stem for p in (out / "Annotations").iterdir()} == {name[0] for name in names}


def test_picking_wants_whole_fields(run: Run, count: Run) -> None:
    assert "--field" in only_error(run("predict.py", FIELDS[0], "--pick", 1))
    assert "--json" in only_error(count(FIELDS[0], "--pick", 1, "--json"))
