"""Pairs: pictures with their annotation, what is told of the rest, what was gone through."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from annotated import voc, voc_objects
from conftest import write_png

from hematovision.annotations.complete import format_complete
from hematovision.cells.labels import parse_renames
from hematovision.datasets.dataset import ALL
from hematovision.datasets.opening import open_datasets, unify
from hematovision.datasets.pairing.pairs import open_dataset
from hematovision.program.console import UserError
from hematovision.program.marks import mark_picture


def test_what_was_gone_through_is_known_by_file_or_mark(voc_dataset: Callable[..., Path]) -> None:
    root = voc_dataset(4)
    (root / "complete.json").write_text(format_complete(["RBC"], ["Field0.jpg", "gone.jpg"]))
    (root / "complete-00002-of-00002.json").write_text(format_complete(["WBC"], ["field1.png"]))
    mark = root / "Annotations" / "field2.xml"
    mark.write_text(mark.read_text().replace("<annotation>", '<annotation verified="yes">'))
    found = {n.picture.stem: n.gone_through for n in open_dataset(root, "lab").notes}
    assert found == {"field0": ("RBC",), "field1": ("WBC",), "field2": ALL, "field3": None}


def test_a_damaged_one_is_told_and_the_rest_goes_on(
    voc_dataset: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    root = voc_dataset(2)
    (root / "complete.json").write_text("{")
    dataset = open_dataset(root, "lab")
    assert len(dataset.notes) == 2 and "complete.json" in capsys.readouterr().err


@pytest.mark.parametrize(
    "name, text, said",
    [
        ("boxes.json", '{"frames": ["smear 0/0.png"]}', "of a kind that isn't read"),
        ("rows.ndjson", '{"data_row": {"external_id": "0.png"}}\n', "of a kind that isn't read"),
        ("coco.json", '{"images": [{"file_name"', "unreadable annotation"),
        ("boxes.xml", "<slide><cell/></slide>", "unreadable annotation"),
    ],
)
def test_json_of_another_kind_makes_no_classes_of_folders(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, text: str, said: str
) -> None:
    for k in range(4):
        folder = tmp_path / f"smear {k % 2}"
        folder.mkdir(exist_ok=True)
        write_png(folder / f"{k}.png", np.full((60, 60, 3), 200, np.uint8))
    (tmp_path / name).write_text(text)
    with pytest.raises(UserError, match=said):
        open_dataset(tmp_path, "lab")
    assert name in capsys.readouterr().err


def test_what_we_drew_is_no_picture_without_annotation(tmp_path: Path) -> None:
    write_png(tmp_path / "a.png", np.full((120, 160, 3), 200, np.uint8))
    (tmp_path / "a.xml").write_text(voc(voc_objects()).replace("a.jpg", "a.png"))
    drawn = write_png(tmp_path / "a_cells.png", np.full((120, 160, 3), 90, np.uint8))
    drawn.write_bytes(mark_picture(drawn.read_bytes()))
    assert not open_dataset(tmp_path, "lab").findings.counts


def test_labels_dropped_take_pictures_of_one_cell_with_them(tmp_path: Path) -> None:
    for folder in ("RBC", "WBC"):
        (tmp_path / folder).mkdir()
        for k in range(2):
            write_png(tmp_path / folder / f"{k}.png", np.full((60, 60, 3), 200, np.uint8))
    datasets = open_datasets([tmp_path])
    (kept,) = unify(datasets, parse_renames("WBC="))
    assert {n.picture.parent.name for n in kept.notes} == {"RBC"}
    with pytest.raises(UserError, match="no field with a usable box"):
        unify(open_datasets([tmp_path]), parse_renames("WBC=,RBC="))
