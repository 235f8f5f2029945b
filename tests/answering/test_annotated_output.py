"""What predict.py found, written as a dataset: opened by COCO's own code, read back as it was."""

from __future__ import annotations

import contextlib
import io
import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import cv2
import numpy as np
import pytest
from conftest import (
    EXAMPLES,
    SAMPLE,
    Run,
    answers,
    files_below,
    only_error,
    read_dataset,
    write_png,
)

from hematovision.annotations.complete import read_complete
from hematovision.answering.annotated_output import FORMATS, AnnotatedOutput
from hematovision.answering.counting import CountedField
from hematovision.answering.field_answer import FieldAnswer, FoundCell
from hematovision.cells.cells import Cells
from hematovision.pictures.images import read_image
from hematovision.program.left import Left

FIELDS = [EXAMPLES / "field.jpg", *sorted((SAMPLE / "JPEGImages").iterdir())[:2]]


def list_cells(answer: dict[str, Any]) -> list[tuple[str, list[int]]]:
    counted = (cell for cell in answer["cells"] if cell["counted"])
    return sorted((cell.get("type") or cell["label"], cell["box"]) for cell in counted)


@pytest.mark.parametrize("kind", FORMATS)
def test_it_is_read_back_as_it_was_written(kind: str, tmp_path: Path, count: Run) -> None:
    """Beside drawn fields and cells.csv, which are no annotations."""
    out = tmp_path / "out"
    result = count(*FIELDS, "--json", "--output", out, "--annotations", kind,
                   "--min-probability", 0.05)  # fmt: skip
    assert result.status == 0, result.err
    told = {Path(answer["image"]).stem: answer for answer in answers(result)}
    fields, left_out = read_dataset(out)
    assert left_out == {}
    assert {Path(field.name).stem for field in fields} == set(told)
    for field in fields:
        found = sorted((label, list(box)) for label, box in field.segments)
        wanted = list_cells(told[Path(field.name).stem])
        assert [label for label, _ in found] == [label for label, _ in wanted]
        boxes = [np.array([box for _, box in cells]) for cells in (found, wanted)]
        assert np.abs(boxes[0] - boxes[1]).max() <= (1 if kind == "yolo" else 0)


def test_coco_is_what_pycocotools_reads(tmp_path: Path, count: Run) -> None:
    from pycocotools.coco import COCO

    result = count(FIELDS[0], "--json", "--output", tmp_path, "--annotations", "coco")
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO(str(tmp_path / "annotations.json"))
    (image,) = coco.loadImgs(coco.getImgIds())
    assert (tmp_path / "images" / image["file_name"]).read_bytes() == FIELDS[0].read_bytes()
    rows = coco.loadAnns(coco.getAnnIds(imgIds=[image["id"]]))
    assert len(rows) == sum(json.loads(result.out)["counts"].values())


def turned(tmp_path: Path) -> Path:
    """A JPEG whose tag says that it is to be turned."""
    from PIL import Image

    exif = Image.Exif()
    exif[0x0112] = 6
    with Image.open(FIELDS[0]) as picture:
        picture.save(tmp_path / "a.jpg", exif=exif)
    return tmp_path / "a.jpg"


def deep(tmp_path: Path) -> Path:
    grey = cv2.imread(str(FIELDS[0]), cv2.IMREAD_GRAYSCALE).astype(np.uint16) << 4
    return write_png(tmp_path / "a.png", grey)


@pytest.mark.parametrize("make", [turned, deep])
def test_pictures_that_tools_show_otherwise_are_written_as_they_were_read(
    make: Any, tmp_path: Path, count: Run
) -> None:
    path = make(tmp_path)
    out = tmp_path / "out"
    assert count(path, "--output", out, "--annotations", "voc").status == 0
    written = cv2.imread(str(out / "JPEGImages" / "a.png"), cv2.IMREAD_UNCHANGED)
    assert (written[..., ::-1] == read_image(path)).all()
    size = ElementTree.parse(out / "Annotations" / "a.xml").getroot().find("size")
    assert size is not None
    assert [int(size.findtext(k) or 0) for k in ("height", "width")] == [*written.shape[:2]]


def test_names_and_labels_stay_text(tmp_path: Path) -> None:
    picture = write_png(tmp_path / "a.png", np.zeros((20, 20, 3), np.uint8))
    label = 'R&B<C>"\x1b'
    cell = FoundCell(label, 0.9, (1, 2, 11, 12), True)
    answer = FieldAnswer(str(picture), 20, 20, {label: 1}, (cell,))
    nothing = Cells(np.empty((0, 4)), np.empty(0, int), np.empty(0))
    (tmp_path / "out").mkdir()
    left = Left(tmp_path / "out")
    writer = AnnotatedOutput(tmp_path / "out", "voc", [label], [], left)
    writer.add("a<&>", CountedField(picture, read_image(picture), nothing, answer))
    root = ElementTree.parse(tmp_path / "out" / "Annotations" / "a<&>.xml").getroot()
    assert root.findtext("filename") == "a<&>.png"
    assert (root.findtext("object/name") or "").startswith('R&B<C>"')


def test_it_wants_a_folder(count: Run) -> None:
    assert "--output" in only_error(count(FIELDS[0], "--annotations", "voc"))


@pytest.mark.parametrize("kind", FORMATS)
def test_corrections_are_sacred(kind: str, tmp_path: Path, count: Run) -> None:
    """The recipe's first line, repeated by arrow-up, stops before it writes anything."""
    args = (*FIELDS[:2], "--output", tmp_path, "--annotations", kind)
    assert count(*args).status == 0
    again = count(*args)
    assert again.status == 0, again.err  # nothing was corrected yet
    notes = {"voc": "Annotations/field.xml", "yolo": "labels/field.txt"}
    corrected = tmp_path / notes.get(kind, "annotations.json")
    corrected.write_text(corrected.read_text().replace("RBC", "WBC", 1) + " ")
    before = files_below(tmp_path)
    said = only_error(count(*args))
    assert corrected.name in said and "name another --output" in said
    assert files_below(tmp_path) == before
    assert count(*args[:2], "--output", tmp_path / "new", "--annotations", kind).status == 0


def test_an_output_does_not_mix_with_a_dataset_of_ones_own(tmp_path: Path, count: Run) -> None:
    own = tmp_path / "own"
    for name, content in (
        ("JPEGImages/field.jpg", FIELDS[0].read_bytes()), ("Annotations/field.xml", b"<mine/>"),
    ):  # fmt: skip
        (own / name).parent.mkdir(parents=True)
        (own / name).write_bytes(content)
    before = files_below(own)
    args = (own / "JPEGImages", "--output", own, "--annotations", "voc")
    assert "own" in only_error(count(*args))
    assert files_below(own) == before


def test_yolo_names_classes_as_labelimg_wants_and_no_picture_takes_their_file(
    tmp_path: Path, count: Run
) -> None:
    names = ("classes", "labels", "train", ".x")
    for name in names:
        (tmp_path / f"{name}.jpg").write_bytes(FIELDS[0].read_bytes())
    pictures = [tmp_path / f"{name}.jpg" for name in names]
    out = tmp_path / "out"
    assert count(*pictures, "--output", out, "--annotations", "yolo").status == 0
    assert {path.stem for path in (out / "labels").iterdir()} == {
        "classes", "classes_2", "labels_2", "train_2", "_x",
    }  # fmt: skip
    fields, left_out = read_dataset(out)
    assert (len(fields), left_out) == (4, {})
    assert len({len(field.segments) for field in fields}) == 1


def test_what_was_gone_through_is_said_in_the_dataset(tmp_path: Path, count: Run) -> None:
    assert count(*FIELDS, "--output", tmp_path, "--annotations", "voc").status == 0
    complete = read_complete(tmp_path / "complete.json")
    assert set(complete.labels) == {"Platelets", "RBC", "WBC"}
    assert set(complete.pictures) == {path.name for path in (tmp_path / "JPEGImages").iterdir()}
