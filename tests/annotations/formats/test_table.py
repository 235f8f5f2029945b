"""Tables: columns as people call them, corners however they are given, pictures without a cell."""

from __future__ import annotations

from pathlib import Path

import pytest
from annotated import read_one

from hematovision.annotations.document import Table
from hematovision.annotations.formats.table import is_table
from hematovision.annotations.reading import read_annotations


@pytest.mark.parametrize(
    "text",
    [
        "image_names,cell_type,xmin,xmax,ymin,ymax\na.jpg,RBC,1,3,2,4\n",
        "ImageID,Source,LabelName,XMin,XMax,YMin,YMax\na,x,RBC,1,3,2,4\n",
        "path;class;left;top;right;bottom\na.jpg;RBC;1,0;2;3;4\n",
        "filename,label,bbox_x,bbox_y,bbox_width,bbox_height\na.jpg,RBC,1,2,2,2\n",
        'file,category,bbox\na.jpg,RBC,"[1, 2, 2, 2]"\n',
        "class,cell,image,x1,y1,x2,y2\nobject,RBC,a.jpg,1,2,3,4\n",
    ],
)
def test_columns_however_they_are_called(tmp_path: Path, text: str) -> None:
    found = read_one(tmp_path, ".csv", text.encode())
    assert found.boxes == [("RBC", (1, 2, 3, 4))]


def test_a_picture_without_a_cell_first_or_last(tmp_path: Path) -> None:
    for text in ("b.jpg,,,,,\na.jpg,1,2,3,4,RBC\n", "a.jpg,1,2,3,4,RBC\nb.jpg,,,,,\n"):
        path = tmp_path / "a.csv"
        path.write_text(text)
        found = {note.picture: len(note.boxes) for note in read_annotations(path)}
        assert found == {"a.jpg": 1, "b.jpg": 0}
        assert all(not note.left_out for note in read_annotations(path))


@pytest.mark.parametrize("value", ["x", "1e308", "nan", "9" * 5000, "[1"])
def test_a_box_that_cannot_be_used_is_left_out(tmp_path: Path, value: str) -> None:
    for text in (f"file,class,x1,y1,x2,y2\na.jpg,RBC,{value},2,3,4\n",
                 f'file,class,bbox\na.jpg,RBC,"[{value}, 2, 3, 4]"\n'):  # fmt: skip
        found = read_one(tmp_path, ".csv", text.encode())
        assert found.boxes == [] and len(found.left_out) == 1


def test_what_is_none() -> None:
    assert not is_table(Table(["image", "label", "area_px", "counted", "x1", "y1", "x2", "y2"], []))
    assert not is_table(Table(["image", "rbc", "wbc"], []))
    assert not is_table(Table([], []))
