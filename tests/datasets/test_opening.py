"""Annotated fields on disk: what is paired, read, joined; what is boxed completely."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from conftest import Run, load, metadata, only_error, read_dataset, write_lists, write_png
from drawing import BOXES, PLATELET, RBC, WBC, box_xml, draw_field, voc_xml

from hematovision.archive.metadata import SPLITS
from hematovision.cells.cells import Segment
from hematovision.datasets.completeness import judge_complete
from hematovision.datasets.field import Field, Mask

NO_LABEL = "box without a label or with unreadable corners"
BAD_XML = {
    "truncated": b"<annotation><object><name>RBC</name><bndbox><xmin>1</xm",
    "empty": b"",
    "binary": bytes(range(256)),
    "another kind": b"<html><body/></html>",
    "laughs": b'<!DOCTYPE a [<!ENTITY b "ha"><!ENTITY c "&b;&b;">]><annotation>&c;</annotation>',
}


@pytest.mark.parametrize("content", BAD_XML.values(), ids=BAD_XML)
def test_unreadable_annotation_among_many_is_skipped_with_a_warning(
    voc_dataset: Callable[..., Path], capsys: pytest.CaptureFixture[str], content: bytes
) -> None:
    root = voc_dataset(4)
    bad = root / "Annotations" / "field1.xml"
    bad.write_bytes(content)
    fields, left_out = read_dataset(root)
    assert [f.name for f in fields] == ["field0.png", "field2.png", "field3.png"]
    assert left_out == {"unreadable annotation": 1}
    warnings = [k for k in capsys.readouterr().err.splitlines() if k.startswith("warning: ")]
    assert len(warnings) == 1
    assert str(bad) in warnings[0]


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("corner", ["inf", "1e999"])
def test_an_infinite_corner_makes_no_chatter(voc_dataset: Callable[..., Path], corner: str) -> None:
    root = voc_dataset(2)
    path = root / "Annotations" / "field0.xml"
    path.write_text(path.read_text().replace(">10<", f">{corner}<").replace(">50<", ">inf<"))
    fields, left_out = read_dataset(root, workers=1)
    assert len(fields) == 2
    assert left_out == {NO_LABEL: 1}


@pytest.mark.parametrize("suffix", [".JPG", ".jpeg", ".Jpg", ".PNG", ".bmp", ".TIF", ".webp"])
def test_image_suffixes_in_any_case(voc_dataset: Callable[..., Path], suffix: str) -> None:
    root = voc_dataset({"smear 1.a": [RBC, PLATELET]}, suffix=suffix.lower())
    drawn = next((root / "JPEGImages").iterdir())
    drawn.rename(drawn.with_suffix(suffix))
    annotation = next((root / "Annotations").iterdir())
    annotation.rename(annotation.with_suffix(".XML"))
    fields, left_out = read_dataset(root, workers=1)
    assert [(f.name, len(f.segments)) for f in fields] == [(f"smear 1.a{suffix}", 2)]
    assert not left_out


def test_what_has_no_partner_is_skipped_and_counted(voc_dataset: Callable[..., Path]) -> None:
    root = voc_dataset(6)
    images, notes = root / "JPEGImages", root / "Annotations"
    (notes / "field1.xml").unlink()
    (notes / "field4.xml").unlink()
    (images / "field2.png").unlink()
    (images / "notes.txt").write_text("no image")
    (images / "._field0.png").write_bytes(b"what macOS leaves in archives")
    shutil.copy(images / "field0.png", images / "field0.tif")
    fields, left_out = read_dataset(root)
    assert [f.name for f in fields] == ["field0.png", "field3.png", "field5.png"]
    assert left_out == {
        "image without annotation": 2,
        "annotation without image": 1,
        "second image of the same name": 1,
    }


def test_without_a_size_in_the_xml_the_real_one_counts(voc_dataset: Callable[..., Path]) -> None:
    root = voc_dataset({"a": [("RBC", 190, 130, 270, 170)]})
    path = root / "Annotations" / "a.xml"
    path.write_text(path.read_text().replace(">240<", ">0<").replace(">180<", ">0<"))
    fields, _ = read_dataset(root, workers=1)
    assert fields[0].segments == [("RBC", (190, 130, 240, 170))]


def test_a_parent_of_several_is_one_dataset_whose_names_stay_apart(
    voc_dataset: Callable[..., Path], tmp_path: Path
) -> None:
    voc_dataset({f"field{i}": [RBC, WBC] for i in range(2)}, name="all/a")
    voc_dataset({f"field{i}": [WBC, RBC] for i in range(2)}, name="all/b")
    fields, left_out = read_dataset(tmp_path / "all")
    assert sorted(f.name for f in fields) == sorted(
        f"{part}/JPEGImages/field{i}.png" for part in "ab" for i in range(2)
    )
    assert not left_out


# --- a folder a class -----------------------------------------------------------------------------


def draw_classes(root: Path, parts: dict[str, int]) -> Path:
    """A folder for each of two types, in folders of splits where they are named."""
    seed = 1
    for part, n in parts.items():
        for label in ("NEUTROPHIL", "lymphocytes"):
            folder = root / part / label
            folder.mkdir(parents=True, exist_ok=True)
            for i in range(n):
                cell = draw_field(BOXES, seed=seed)[:100, :120]  # too small for a whole field
                write_png(folder / f"{label}_{part[:2]}{i}.png", cell)
                seed += 1
    return root


def test_a_folder_a_class_is_read_whole_and_its_split_kept(tmp_path: Path, run: Run) -> None:
    root = draw_classes(tmp_path / "set" / "images", {"TRAIN": 8, "TEST": 3}).parent
    path = tmp_path / "a.npz"
    result = run("preprocess_data.py", "--data-dir", root, "--output", path, "--image-size", 32)
    assert result.status == 0, result.err
    assert "--task multiclass" in result.err and "Lymphocyte (11)" in result.err
    arrays = load(path)
    assert arrays["classes"].tolist() == ["Lymphocyte", "Neutrophil"]
    assert {n[-7:-5] for n in arrays["source_test"].tolist()} == {"TE"}
    assert len(arrays["source_test"]) == 6
    assert len(arrays["source_train"]) + len(arrays["source_val"]) == 16
    assert arrays["box_test"].tolist() == [[0, 0, 120, 100]] * 6
    assert set(arrays["field_complete_test"].tolist()) == {""}


def test_a_folder_a_class_without_splits(tmp_path: Path) -> None:
    fields, left_out = read_dataset(draw_classes(tmp_path / "cells", {"": 3}))
    assert len(fields) == 6
    assert {s.label for f in fields for s in f.segments} == {"Lymphocyte", "Neutrophil"}
    assert all(f.whole for f in fields)
    assert not left_out


# --- several laboratories -------------------------------------------------------------------------


def test_several_datasets_are_laboratories_of_their_own(
    voc_dataset: Callable[..., Path], run: Run, tmp_path: Path
) -> None:
    # Laboratories draw the same names: the archive keeps the fields apart.
    boxes = {"north": [RBC, WBC, PLATELET], "south": [("RBC", 100, 90, 180, 170), WBC]}
    for seed, (lab, of_lab) in enumerate(boxes.items()):
        root = voc_dataset(6, name=lab)
        for i in range(6):
            image = draw_field(of_lab, seed=50 * seed + i + 1)
            write_png(root / "JPEGImages" / f"field{i}.png", image)
            (root / "Annotations" / f"field{i}.xml").write_text(voc_xml(of_lab))
    path = tmp_path / "a.npz"
    labs = [tmp_path / lab for lab in boxes]
    args = ("--output", path, "--image-size", 32, "--complete", "north=rbc,WBC")
    result = run("preprocess_data.py", "--data-dir", labs[0], "--data-dir", labs[1], *args)
    assert result.status == 0, result.err
    again = run("preprocess_data.py", "--data-dir", *labs, *args[:1], tmp_path / "b.npz", *args[2:])
    assert again.status == 0 and (tmp_path / "b.npz").read_bytes() == path.read_bytes()
    arrays = load(path)
    for split in SPLITS:
        by_crop = set(zip(arrays[f"lab_{split}"].tolist(), arrays[f"source_{split}"].tolist(),
                          strict=True))  # fmt: skip
        assert by_crop <= {(lab, f"{lab}/field{i}.png") for lab in boxes for i in range(6)}
        assert {lab for lab, _ in by_crop} == set(boxes)  # split within each
        of_field = dict(zip(arrays[f"field_{split}"].tolist(),
                            arrays[f"field_complete_{split}"].tolist(), strict=True))  # fmt: skip
        for name, complete in of_field.items():
            assert complete == "RBC,WBC" or not name.startswith("north")
    assert metadata(arrays)["complete"]["north"] == ["RBC", "WBC"]
    assert set(metadata(arrays)["split_by_lab"]) == set(boxes)


def test_of_a_picture_in_two_datasets_the_more_complete_boxes_count_and_the_split_of_the_larger(
    voc_dataset: Callable[..., Path], run: Run, tmp_path: Path
) -> None:
    large = voc_dataset({f"field{i}": [RBC, WBC] for i in range(8)}, name="large")
    write_lists(large, train="field0 field1 field2 field3", val="field4 field5",
                test="field6 field7")  # fmt: skip
    small = voc_dataset({}, name="small")
    more = [RBC, WBC, PLATELET, ("RBC", 150, 90, 190, 130)]
    for i in (1, 6):
        picture = large / "JPEGImages" / f"field{i}.png"
        shutil.copy(picture, small / "JPEGImages" / f"other{i}.png")
        (small / "Annotations" / f"other{i}.xml").write_text(voc_xml(more))
    path = tmp_path / "a.npz"
    args = ("--output", path, "--image-size", 32, "--background", 1)
    args += ("--complete", "small=RBC,WBC,Platelets", "--complete", "large=WBC")
    for order in ((large, small), (small, large)):
        result = run("preprocess_data.py", "--data-dir", *order, *args)
        assert result.status == 0, result.err
        assert "2 of 2 pictures are in another dataset too" in result.err
        arrays = load(path)
        assert metadata(arrays)["fields"] == {"train": 4, "val": 2, "test": 2}
        assert set(arrays["lab_train"].tolist()) == {"large"}
        for split, name in (("train", "field1.png"), ("test", "field6.png")):
            at = arrays[f"field_{split}"].tolist().index(name)
            assert (arrays[f"field_index_{split}"] == at).sum() == 4
            complete = arrays[f"field_complete_{split}"].tolist()
            assert complete[at] == "Platelets,RBC,WBC"
            assert [k for i, k in enumerate(complete) if i != at] == ["WBC"] * (len(complete) - 1)
        assert metadata(arrays)["complete"] == {"large": ["WBC"]}


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ("nowhere=RBC", "north"),
        ("north", "not LAB=LABEL"),
        ("north=Basophil", "labels found: RBC (6), Platelets (3), WBC (3)"),
    ],
)
def test_complete_names_datasets_and_labels_that_are_there(
    voc_dataset: Callable[..., Path], run: Run, tmp_path: Path, option: str, words: str
) -> None:
    root = voc_dataset(3, name="north")
    args = ("--data-dir", root, "--complete", option, "--output", tmp_path / "a.npz")
    assert words in only_error(run("preprocess_data.py", *args))


def test_one_folder_named_twice_is_refused(
    voc_dataset: Callable[..., Path], run: Run, tmp_path: Path
) -> None:
    root = voc_dataset(3)
    args = ("--data-dir", root, root / "." / "", "--output", tmp_path / "a.npz")
    assert "named twice" in only_error(run("preprocess_data.py", *args))


def bare(unboxed: float, **labels: int) -> Field:
    segments = [Segment(k, (0, 0, 9, 9)) for k, n in labels.items() for _ in range(n)]
    return Field(Path("f"), segments, Mask.pack(np.ones((1, 1), bool)), unboxed=unboxed)


def test_what_is_boxed_completely_is_judged_by_what_is_left_over() -> None:
    assert judge_complete([bare(0, RBC=10, WBC=1)] * 4) == (("RBC", "WBC"), 0)
    assert judge_complete([bare(5, RBC=10, WBC=1)] * 4)[0] == ("WBC",)
    rare = [bare(0, RBC=10, Platelets=1), *[bare(0, RBC=10)] * 9]
    assert judge_complete(rare)[0] == ("RBC",)
    # White cells of all types together are as frequent as they must be.
    types = [bare(0, Neutrophil=1), bare(0, Basophil=1), bare(0, WBC=1)]
    assert judge_complete(types)[0] == ("Basophil", "Neutrophil", "WBC")


@pytest.mark.parametrize(
    ("name", "complete"),
    [
        ("bccd", {"Platelets", "WBC"}),
        ("bccd_complete", {"Platelets", "RBC", "WBC"}),
        ("raabin", {"RBC", "WBC"}),
        ("bangkok", set()),
    ],
)
def test_real_datasets_are_judged_rightly(bccd: Path, name: str, complete: set) -> None:
    root = bccd.parent / name
    if not root.is_dir():
        pytest.skip(f"no {name} there")
    assert set(judge_complete(read_dataset(root)[0])[0]) == complete


# --- the page of --check --------------------------------------------------------------------------


def test_check_says_nothing_to_mend_of_a_faultless_dataset(
    voc_dataset: Callable[..., Path], run: Run, tmp_path: Path
) -> None:
    path = tmp_path / "out" / "a.npz"
    result = run("preprocess_data.py", "--data-dir", voc_dataset(5), "--output", path, "--check")
    assert result.status == 0, result
    assert [p.name for p in path.parent.iterdir()] == ["check.html"]
    assert "Nothing to mend" in (path.parent / "check.html").read_text("utf-8")


def test_check_shows_every_kind_of_finding_with_its_fields(
    voc_dataset: Callable[..., Path], run: Run, tmp_path: Path
) -> None:
    root = voc_dataset(6)
    notes = root / "Annotations"
    no_area = box_xml(5, 5, 5, 9, "<i>Red & blue</i>".replace("<", "&lt;").replace("& ", "&amp; "))
    old = (notes / "field1.xml").read_text()
    (notes / "field1.xml").write_text(old.replace("</annotation>", no_area + "</annotation>"))
    doubled = [(k, *(2 * v for v in box)) for k, *box in BOXES]
    (notes / "field2.xml").write_text(voc_xml(doubled, (480, 360)))
    (notes / "field3.xml").write_text("no XML")
    args = ("--data-dir", root, "--output", tmp_path / "a.npz", "--check")
    result = run("preprocess_data.py", *args)
    assert result.status == 1
    assert not (tmp_path / "a.npz").exists()
    page = (tmp_path / "check.html").read_text("utf-8")
    for words in ("1 x box without area", "boxes scaled", "1 x unreadable annotation"):
        assert words in page
    assert page.count("data:image/jpeg;base64,") == 2
    assert "<i>" not in page
    assert "http" not in page.replace("http-equiv", "")
