"""Pictures of a folder a class: training sees the cell that the folder names, cut out."""

from __future__ import annotations

import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from conftest import EXAMPLES, Run, load, metadata, read_dataset, write_png

from hematovision.cells.cells import overlap
from hematovision.datasets.findings import Findings
from hematovision.pictures.images import read_image
from hematovision.preparing.named_cells import CUT, cut_to_named_cells, pick_middle

WHITE = (164, 20, 362, 205)  # a white cell of the example field, as BCCD boxes it


def around(box: tuple[int, ...], width: int, height: int) -> tuple[np.ndarray, np.ndarray]:
    """A part of the example field with a box in its middle, as far as that goes; the box there."""
    image = read_image(EXAMPLES / "field.jpg")
    x = int(np.clip((box[0] + box[2] - width) / 2, 0, image.shape[1] - width))
    y = int(np.clip((box[1] + box[3] - height) / 2, 0, image.shape[0] - height))
    return image[y : y + height, x : x + width], np.array(box) - (x, y, x, y)


def add_single_cell(folder: Path) -> None:
    """A second class, without which a folder's name is no class."""
    (folder / "Monocyte").mkdir()
    shutil.copy(EXAMPLES / "white_cell.png", folder / "Monocyte" / "single.png")


@pytest.mark.parametrize("scale", [0.6, 1.0])
def test_a_white_cell_among_red_ones_is_cut_out(scale: float, tmp_path: Path) -> None:
    part, box = around(WHITE, 420, 360)
    size = round(420 * scale), round(360 * scale)
    (tmp_path / "NEUTROPHIL").mkdir()
    write_png(tmp_path / "NEUTROPHIL" / "a.png", cv2.resize(part, size))
    add_single_cell(tmp_path)
    fields, _ = read_dataset(tmp_path)
    findings = Findings(1)
    fields = cut_to_named_cells(fields, findings)
    by_name = {field.name: field.segments for field in fields}
    (segment,) = by_name["a.png"]
    assert segment.label == "Neutrophil"
    assert overlap(np.array([segment.box], float), box[np.newaxis] * scale).item() > 0.7
    assert findings.of("put right") == {CUT: 1}


def test_one_cell_stays_whole_and_so_does_a_class_that_the_model_does_not_know(
    tmp_path: Path,
) -> None:
    for folder in ("Monocyte", "Crystal"):
        (tmp_path / folder).mkdir()
    shutil.copy(EXAMPLES / "white_cell.png", tmp_path / "Monocyte" / "a.png")
    shutil.copy(EXAMPLES / "field.jpg", tmp_path / "Crystal" / "b.jpg")
    fields, _ = read_dataset(tmp_path)
    before = [field.segments for field in fields]
    findings = Findings(1)
    fields = cut_to_named_cells(fields, findings)
    assert [field.segments for field in fields] == before
    assert not findings.counts


def test_many_cells_none_of_which_is_of_the_kind_stay_whole_and_are_said(tmp_path: Path) -> None:
    image = read_image(EXAMPLES / "field.jpg")[:, 400:]  # red cells alone
    (tmp_path / "basophils").mkdir()
    write_png(tmp_path / "basophils" / "a.png", image)
    add_single_cell(tmp_path)
    fields, _ = read_dataset(tmp_path)
    findings = Findings(1)
    fields = cut_to_named_cells(fields, findings)
    assert {f.name: f.segments[0].box for f in fields}["a.png"] == (0, 0, *image.shape[1::-1])
    assert not findings.counts
    (notice,) = findings.notices
    assert "a.png" in notice and "whole" in notice


def test_of_several_the_one_in_the_middle_is_meant() -> None:
    boxes = np.array([[0, 0, 30, 30], [40.2, 41, 70, 69.5], [80, 80, 120, 130]])
    assert pick_middle(boxes, (0, 0, 110, 110)) == (40, 41, 70, 70)
    assert pick_middle(boxes[2:], (0, 0, 110, 110)) == (80, 80, 110, 110)


def test_it_is_done_by_the_script_and_said(tmp_path: Path, run: Run) -> None:
    part, _ = around(WHITE, 420, 360)
    for folder in ("neutrophil", "lymphocyte"):
        (tmp_path / "set" / folder).mkdir(parents=True)
        write_png(tmp_path / "set" / folder / f"{folder}.png", part)
    result = run("preprocess_data.py", "--data-dir", tmp_path / "set", "--split", "test",
                 "--output", tmp_path / "a.npz", "--task", "multiclass")  # fmt: skip
    assert result.status == 0, result.err
    assert CUT in result.out
    arrays = load(tmp_path / "a.npz")
    sides = arrays["box_test"][:, 2:] - arrays["box_test"][:, :2]
    assert (sides < 300).all() and (sides > 100).all()
    assert metadata(arrays)["put_right"][CUT] == 2
