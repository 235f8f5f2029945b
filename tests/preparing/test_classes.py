"""Classes: which labels make them, what hides a red cell, which datasets are refused."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Run, metadata, only_error, write_lists
from drawing import PLATELET, RBC, WBC, box_xml

from hematovision.archive.metadata import SPLITS
from hematovision.cells.cells import Segment
from hematovision.preparing.classes import drop_hidden_rbc

HIDING = [("RBC", 30, 110, 60, 140), WBC, PLATELET]


def test_other_boxes_that_hold_a_red_cells_centre_are_dropped() -> None:
    rbc = Segment("RBC", (40, 40, 60, 60))  # its centre: 50, 50
    holds = [Segment("WBC", (0, 0, 100, 100)), Segment("Platelets", (50, 50, 52, 52))]
    beside = [Segment("WBC", (0, 0, 50, 50)), Segment("Platelets", (41, 41, 49, 60))]
    round_white = Segment("WBC", (20, 200, 60, 240))
    inside_white = Segment("Platelets", (35, 215, 45, 225))  # holds a white cell's centre
    same_place = Segment("rbc", (38, 38, 62, 62))  # another box of a red cell stays
    segments = [rbc, *holds, *beside, round_white, inside_white, same_place]
    kept, dropped = drop_hidden_rbc(segments)
    assert kept == [rbc, *beside, round_white, inside_white, same_place]
    assert dropped == 2
    assert drop_hidden_rbc([round_white, inside_white]) == ([round_white, inside_white], 0)


def test_binary_leaves_out_what_hides_a_red_cell_and_multiclass_does_not(
    voc_dataset: Callable[..., Path], archive: Callable[..., dict]
) -> None:
    root = voc_dataset({f"f{i}": HIDING for i in range(4)})
    reason = "other cell's box that holds a red cell's centre"
    binary = archive(root, "--split", "test")
    assert metadata(binary)["left_out"][reason] == 4
    assert list(WBC[1:]) not in binary["box_test"].tolist()
    assert list(PLATELET[1:]) in binary["box_test"].tolist()
    multi = archive(root, "--split", "test", "--task", "multiclass")
    assert reason not in metadata(multi)["left_out"]
    assert multi["box_test"].tolist().count(list(WBC[1:])) == 4


def test_binary_classes_and_labels(
    voc_dataset: Callable[..., Path], archive: Callable[..., dict]
) -> None:
    root = voc_dataset({f"f{i}": [RBC, ("rbc", 150, 110, 190, 150), WBC] for i in range(6)})
    arrays = archive(root)
    assert arrays["classes"].tolist() == ["Other", "RBC"]
    for split in SPLITS:
        boxes = arrays[f"box_{split}"].tolist()
        red = [box in ([10, 10, 50, 48], [150, 110, 190, 150]) for box in boxes]
        assert arrays[f"y_{split}"].tolist() == [int(k) for k in red]
        assert 0 < sum(red) < len(red)


@pytest.mark.parametrize(
    ("labels", "classes"),
    [
        (["RBC"], ["Background", "RBC"]),
        (["WBC", "RBC", "Platelets"], ["Background", "Platelets", "RBC", "WBC"]),
        (
            ["neutrophil", "Eosinophil", "basophil", "A cell", "RBC"],
            ["A cell", "Background", "Basophil", "Eosinophil", "Neutrophil", "RBC"],
        ),
    ],
)
def test_multiclass_takes_the_labels_that_are_there(
    voc_dataset: Callable[..., Path], archive: Callable[..., dict], labels: list, classes: list
) -> None:
    places = {k: (44 * i, 10, 44 * i + 30 + i, 40 + i) for i, k in enumerate(labels)}
    root = voc_dataset({f"f{i}": [(k, *box) for k, box in places.items()] for i in range(7)})
    arrays = archive(root, "--task", "multiclass", "--background", 1)
    assert arrays["classes"].tolist() == classes
    for split in SPLITS:
        truth = {box: k for k, box in places.items()}
        known = {"neutrophil": "Neutrophil", "basophil": "Basophil"}
        found = [truth.get(tuple(b), "Background") for b in arrays[f"box_{split}"].tolist()]
        wanted = [known.get(label, label) for label in found]
        assert arrays["classes"][arrays[f"y_{split}"]].tolist() == wanted
        assert set(wanted) == set(classes)


def test_single_label_binary_is_red_cells_against_background(
    voc_dataset: Callable[..., Path], run: Run, archive: Callable[..., dict]
) -> None:
    root = voc_dataset({f"f{i}": [RBC] for i in range(6)})
    arrays = archive(root, "--background", 1)
    assert arrays["classes"].tolist() == ["Other", "RBC"]
    line = only_error(
        run("preprocess_data.py", "--data-dir", root, "--background", 0, "--output", root / "b.npz")
    )
    assert "class Other: 0 example(s)" in line


@pytest.mark.parametrize("task", ["binary", "multiclass"])
def test_a_class_missing_from_a_split_is_refused_by_name(
    voc_dataset: Callable[..., Path], run: Run, tmp_path: Path, task: str
) -> None:
    missing = "RBC" if task == "binary" else "Platelets"
    boxes = {"a": [RBC, WBC, PLATELET], "b": [RBC, WBC, PLATELET], "c": [WBC, RBC, PLATELET]}
    boxes["b"] = [box for box in boxes["b"] if box[0] != missing]
    root = voc_dataset(boxes)
    write_lists(root, train="a", val="b", test="c")
    path = tmp_path / "a.npz"
    line = only_error(
        run(
            "preprocess_data.py",
            "--data-dir",
            root,
            "--task",
            task,
            "--background",
            3,
            "--output",
            path,
        )
    )
    assert f"class {missing}: 2 example(s) in all, none in val" in line
    assert not path.exists()


def empty(root: Path) -> None:
    shutil.rmtree(root)
    root.mkdir()


def no_annotations(root: Path) -> None:
    shutil.rmtree(root / "Annotations")


def empty_folders(root: Path) -> None:
    for path in [p for p in root.rglob("*") if p.is_file()]:
        path.unlink()


def other_stems(root: Path) -> None:
    for path in (root / "Annotations").iterdir():
        path.rename(path.with_name(f"x{path.name}"))


def no_boxes(root: Path) -> None:
    for path in (root / "Annotations").iterdir():
        path.write_text("<annotation/>")


def no_area(root: Path) -> None:
    for path in (root / "Annotations").iterdir():
        path.write_text(f"<annotation>{box_xml(5, 5, 5, 5)}</annotation>")


def a_file(root: Path) -> None:
    shutil.rmtree(root)
    root.write_text("not a folder")


def two_fields(root: Path) -> None:
    for i in (2, 3, 4, 5):
        (root / "JPEGImages" / f"field{i}.png").unlink()


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (shutil.rmtree, "no such folder"),
        (empty, "no picture (files found: none); wants JPEGImages/ and Annotations/"),
        (a_file, "no such folder"),
        (no_annotations, "6 picture(s), none with an annotation that fits (files found: 6 .png)"),
        (empty_folders, "no field with a usable box"),
        (other_stems, "6 x annotation without image (e.g. Annotations/xfield0.xml)"),
        (no_boxes, "no field with a usable box"),
        (no_area, "6 x box without area (e.g. field0.xml)"),
        (two_fields, "at least 3"),
    ],
)
def test_bad_dataset(
    voc_dataset: Callable[..., Path],
    run: Run,
    tmp_path: Path,
    spoil: Callable[[Path], None],
    words: str,
) -> None:
    root = voc_dataset(6)
    spoil(root)
    line = only_error(run("preprocess_data.py", "--data-dir", root, "--output", tmp_path / "a.npz"))
    assert words in line
    assert words == "at least 3" or str(root) in line
    assert not (tmp_path / "a.npz").exists()
