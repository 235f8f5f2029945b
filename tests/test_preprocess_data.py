"""preprocess_data.py: from a dataset to the archive of the contract; what it refuses."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from conftest import (
    Run,
    decode_rgb,
    files_below,
    load,
    metadata,
    only_error,
    run_script,
    write_lists,
    write_png,
)
from drawing import PLATELET, RBC, WBC
from filelock import FileLock

from hematovision.archive.metadata import SPLITS
from hematovision.pictures.images import scale_pixels, square_crop


@pytest.mark.parametrize("task", ["binary", "multiclass"])
def test_archive_is_what_the_contract_says(
    voc_dataset: Callable[..., Path], archive: Callable[..., dict], task: str
) -> None:
    root = voc_dataset(10)
    (root / "Annotations" / "field9.xml").unlink()
    arrays = archive(root, "--task", task, "--seed", 7)
    keys = {f"{k}_{s}" for k in ("X", "y", "source", "box") for s in SPLITS}
    assert keys | {"classes", "metadata"} <= arrays.keys()
    assert arrays["classes"].dtype.kind == "U"
    assert arrays["metadata"].shape == ()
    classes = arrays["classes"].tolist()
    found = metadata(arrays)
    for split in SPLITS:
        X, y = arrays[f"X_{split}"], arrays[f"y_{split}"]
        n = len(y)
        assert X.shape == (n, 32, 32, 3)
        assert X.dtype.kind == "f"
        assert X.min() >= 0 and X.max() <= 1 and X.max() > 0.5
        assert y.shape == (n,) and y.dtype.kind == "i"
        assert set(y.tolist()) == set(range(len(classes)))
        assert arrays[f"source_{split}"].shape == (n,)
        assert arrays[f"source_{split}"].dtype.kind == "U"
        assert arrays[f"box_{split}"].shape == (n, 4)
        assert arrays[f"box_{split}"].dtype.kind == "i"
        counts = {k: int((y == i).sum()) for i, k in enumerate(classes)}
        assert found["counts"][split] == counts
        assert found["fields"][split] == len(set(arrays[f"source_{split}"].tolist()))
    assert (found["task"], found["image_size"], found["seed"]) == (task, 32, 7)
    assert found["split"] == "random"
    assert found["boxes"] == {"Platelets": 9, "RBC": 18, "WBC": 9}
    assert found["left_out"]["image without annotation"] == 1
    for split in SPLITS:
        names = set(arrays[f"source_{split}"].tolist())
        content = {name: (root / "JPEGImages" / name).read_bytes() for name in names}
        digests = {name: hashlib.sha256(data).hexdigest() for name, data in content.items()}
        assert found["field_sha256"][split] == digests


def test_dataset_digest_tells_datasets_apart_not_splits(
    voc_dataset: Callable[..., Path], archive: Callable[..., dict]
) -> None:
    root = voc_dataset(10)
    first, other_seed, other_split = (
        metadata(archive(root, *args))["dataset_sha256"]
        for args in ([], ["--seed", 7], ["--split", "test"])
    )
    image = root / "JPEGImages" / "field3.png"
    image.write_bytes(image.read_bytes() + b" ")
    assert metadata(archive(root))["dataset_sha256"] != first
    assert first == other_seed == other_split


def test_no_field_stands_on_two_sides(
    voc_dataset: Callable[..., Path], archive: Callable[..., dict]
) -> None:
    root = voc_dataset(20)
    for seed in range(3):
        arrays = archive(root, "--seed", seed)
        sides = [set(arrays[f"source_{s}"].tolist()) for s in SPLITS]
        assert sum(map(len, sides)) == len(set.union(*sides)) == 20


def test_a_broken_image_among_many_is_skipped_and_counted(
    voc_dataset: Callable[..., Path], run: Run, tmp_path: Path
) -> None:
    root = voc_dataset(12)
    images = root / "JPEGImages"
    whole = (images / "field1.png").read_bytes()
    broken = {"field1": whole[: len(whole) // 2], "field2": b"", "field3": b"not an image" * 99}
    for stem, content in broken.items():
        (images / f"{stem}.png").write_bytes(content)
    result = run(
        "preprocess_data.py", "--data-dir", root, "--output", tmp_path / "a.npz", "--image-size", 32
    )
    assert result.status == 0
    warnings = [k for k in result.err.splitlines() if k.startswith("warning: ")]
    assert len(warnings) == 3
    assert all(f"{stem}.png" in line for stem, line in zip(broken, warnings, strict=True))
    assert "left out: 3 x unreadable image" in result.out
    arrays = load(tmp_path / "a.npz")
    assert metadata(arrays)["left_out"]["unreadable image"] == 3
    names = {n for s in SPLITS for n in arrays[f"source_{s}"]}
    assert names == {f"field{i}.png" for i in range(12)} - {f"{stem}.png" for stem in broken}


def test_kaggles_nested_copy_counts_its_images_without_annotation(
    voc_dataset: Callable[..., Path], archive: Callable[..., dict], tmp_path: Path
) -> None:
    root = voc_dataset(8, name="kaggle/dataset-master/dataset-master")
    (root / "Annotations" / "field5.xml").unlink()
    found = metadata(archive(tmp_path / "kaggle"))
    assert found["left_out"]["image without annotation"] == 1
    assert sum(found["fields"].values()) == 7


def test_auto_takes_the_official_lists_where_all_three_are_there(
    voc_dataset: Callable[..., Path], archive: Callable[..., dict]
) -> None:
    root = voc_dataset(6)
    write_lists(root, train="field3 field5", val="field0")
    assert metadata(archive(root))["split"] == "random"
    write_lists(root, test="field1 field99")
    arrays = archive(root)
    found = metadata(arrays)
    assert found["split"] == "official"
    assert found["fields"] == {"train": 2, "val": 1, "test": 1}
    assert found["left_out"]["field in no official list"] == 2
    sources = {s: set(arrays[f"source_{s}"].tolist()) for s in SPLITS}
    assert sources == {
        "train": {"field3.png", "field5.png"},
        "val": {"field0.png"},
        "test": {"field1.png"},
    }
    assert metadata(archive(root, "--split", "random"))["split"] == "random"


def test_split_test_puts_every_field_there(
    voc_dataset: Callable[..., Path], archive: Callable[..., dict]
) -> None:
    root = voc_dataset(2)
    write_lists(root, train="field0", val="field1", test="")
    arrays = archive(root, "--split", "test")
    for split in ("train", "val"):
        assert arrays[f"X_{split}"].shape == (0, 32, 32, 3)
        assert arrays[f"X_{split}"].dtype == arrays["X_test"].dtype
        assert arrays[f"y_{split}"].shape == arrays[f"source_{split}"].shape == (0,)
        assert arrays[f"y_{split}"].dtype.kind == arrays[f"box_{split}"].dtype.kind == "i"
        assert arrays[f"box_{split}"].shape == (0, 4)
    assert set(arrays["source_test"].tolist()) == {"field0.png", "field1.png"}
    assert metadata(arrays)["split"] == "test"


@pytest.mark.parametrize("twice", ["val", "test"])
def test_a_field_in_two_official_lists_is_refused(
    voc_dataset: Callable[..., Path], run: Run, tmp_path: Path, twice: str
) -> None:
    root = voc_dataset(4)
    write_lists(root, train="field0 field1", val="field2", test="field3")
    with (root / "ImageSets" / "Main" / f"{twice}.txt").open("a") as file:
        file.write("field1\n")
    line = only_error(run("preprocess_data.py", "--data-dir", root, "--output", tmp_path / "a.npz"))
    assert "field1" in line
    assert f"{twice}.txt" in line
    assert "train.txt" in line


@pytest.mark.parametrize("content", [None, b"\xff\xfe\x00field0"], ids=["missing", "not text"])
def test_official_split_without_readable_lists(
    voc_dataset: Callable[..., Path],
    run: Run,
    tmp_path: Path,
    content: bytes | None,
) -> None:
    root = voc_dataset(4)
    write_lists(root, train="field0", val="field1")
    if content:
        (root / "ImageSets" / "Main" / "test.txt").write_bytes(content)
    args = ("--data-dir", root, "--split", "official", "--output", tmp_path / "a.npz")
    assert "test.txt" in only_error(run("preprocess_data.py", *args))


@pytest.mark.parametrize("ratio", [0, 0.5, 2])
def test_background_ratio_is_per_box(
    voc_dataset: Callable[..., Path], archive: Callable[..., dict], ratio: float
) -> None:
    root = voc_dataset({f"f{i}": [RBC, WBC, PLATELET] for i in range(8)})
    arrays = archive(root, "--task", "multiclass", "--split", "test", "--background", ratio)
    labels = arrays["classes"][arrays["y_test"]].tolist()
    found = metadata(arrays)
    unplaced = found["left_out"].get("background patch for which no cell-free room was found", 0)
    assert labels.count("Background") + unplaced == ratio * 24
    assert ratio == 0 or labels.count("Background") >= 12


def test_crops_are_rgb(voc_dataset: Callable[..., Path], archive: Callable[..., dict]) -> None:
    root = voc_dataset({"f": [RBC, WBC]})
    image = np.full((180, 240, 3), (255, 255, 255), np.uint8)
    cv2.circle(image, (30, 29), 19, (255, 0, 0), -1)  # pure red
    write_png(root / "JPEGImages" / "f.png", image)
    arrays = archive(root, "--split", "test", "--task", "multiclass")
    crop = arrays["X_test"][arrays["box_test"].tolist().index(list(RBC[1:]))]
    assert crop[16, 16].tolist() == [1, 0, 0]
    assert (crop[..., 0] == 1).all()
    assert (crop[..., 1] == 0).mean() > 0.6


def test_crops_are_the_region_squared_and_scaled(
    voc_dataset: Callable[..., Path], archive: Callable[..., dict]
) -> None:
    root = voc_dataset({f"f{i}": [RBC, WBC, PLATELET, (*RBC[:3], 13, 90)] for i in range(5)})
    arrays = archive(root, "--background", 1)
    checked = 0
    for split in SPLITS:
        rows = zip(
            arrays[f"X_{split}"], arrays[f"source_{split}"], arrays[f"box_{split}"], strict=True
        )
        for crop, name, (xmin, ymin, xmax, ymax) in rows:
            region = decode_rgb(root / "JPEGImages" / str(name))[ymin:ymax, xmin:xmax]
            np.testing.assert_array_equal(crop, scale_pixels(square_crop(region, 32)))
            checked += 1
    assert checked >= 35


def test_summary_on_stdout_says_what_came_of_it(
    voc_dataset: Callable[..., Path], run: Run, tmp_path: Path
) -> None:
    root = voc_dataset(
        {
            f"f{i}": [("RBC", 30, 110, 60, 140), WBC, PLATELET, ("RBC", 5, 5, 5, 9)]
            for i in range(20)
        }
    )
    path = tmp_path / "a.npz"
    result = run("preprocess_data.py", "--data-dir", root, "--output", path)
    assert result.status == 0
    assert "20 fields, 20 Platelets, 20 RBC, 20 WBC boxes" in result.out
    assert "left out: 20 x box without area" in result.out
    assert "left out: 20 x other cell's box that holds a red cell's centre" in result.out
    assert re.search(r"^fields +14 +3 +3$", result.out, re.M)
    assert re.search(r"^RBC +14 +3 +3$", result.out, re.M)
    assert f"{path}: {path.stat().st_size / 1e6:.1f} MB, " in result.out


@pytest.mark.parametrize("task", ["binary", "multiclass"])
def test_preview_has_a_row_of_crops_per_label(
    voc_dataset: Callable[..., Path], archive: Callable[..., dict], tmp_path: Path, task: str
) -> None:
    root = voc_dataset(9)
    sheet = tmp_path / "sheets" / "sheet.png"
    arrays = archive(root, "--preview", sheet, "--task", task)
    picture = decode_rgb(sheet)
    row = 28 + 32  # a title, then the crops
    assert picture.shape == (4 * row, 16 * 32, 3)
    titles, crops = picture.reshape(4, row, 512, 3)[:, :28], picture.reshape(4, row, 512, 3)[:, 28:]
    assert all((title < 100).any() for title in titles)
    everything = np.concatenate([arrays[f"X_{s}"] for s in SPLITS]).astype(np.float32)
    known = {np.rint(crop * 255).astype(np.uint8).tobytes() for crop in everything}
    for label, cells in zip(["Background", "Platelets", "RBC", "WBC"], crops, strict=True):
        tiles = [cells[:, x : x + 32] for x in range(0, 512, 32)]
        shown = [tile for tile in tiles if (tile != 255).any()]
        assert len(shown) == (16 if label == "RBC" else 9)
        assert all(np.ascontiguousarray(tile).tobytes() in known for tile in shown)


def test_preview_of_an_unknown_kind_is_refused(
    voc_dataset: Callable[..., Path], run: Run, tmp_path: Path
) -> None:
    args = ("--output", tmp_path / "a.npz", "--preview", tmp_path / "sheet.xyz")
    assert "sheet.xyz" in only_error(run("preprocess_data.py", "--data-dir", voc_dataset(4), *args))


@pytest.mark.parametrize(
    "step",
    [
        "preprocess_data.read_fields",
        "hematovision.preparing.writing.square_crop",
        "hematovision.preparing.writing.scale_pixels",
        "preprocess_data.encode_labels",
    ],
)
@pytest.mark.parametrize("how", [KeyboardInterrupt, MemoryError])
def test_a_run_cut_short_leaves_the_old_archive(
    voc_dataset: Callable[..., Path],
    run: Run,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    step: str,
    how: type[BaseException],
) -> None:
    root = voc_dataset(6)
    path = tmp_path / "out" / "a.npz"
    path.parent.mkdir()
    np.savez(path, metadata=np.array("{}"))
    old = path.read_bytes()

    def stop(*_: object) -> None:
        raise how

    monkeypatch.setattr(step, stop)
    args = ("--data-dir", root, "--output", path)
    if how is KeyboardInterrupt:
        result = run("preprocess_data.py", *args)
        assert result.status == 130
        assert "Traceback" not in result.err
    else:
        with pytest.raises(how):
            run("preprocess_data.py", *args)
    assert files_below(path.parent) == {"a.npz": old}


@pytest.mark.parametrize("name", ["field.jpg", "a.npz", "Annotations/x.xml"])
def test_what_is_no_archive_is_not_replaced(
    name: str, voc_dataset: Callable[..., Path], run: Run, tmp_path: Path
) -> None:
    root, path = voc_dataset(4), tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"precious")
    error = only_error(run("preprocess_data.py", "--data-dir", root, "--output", path))
    assert "is there already, and no archive" in error
    sheet = ("--preview", root / "JPEGImages" / "field0.png")
    before = sheet[1].read_bytes()
    error = only_error(run("preprocess_data.py", "--data-dir", root, *sheet))
    assert "no drawing of ours" in error
    assert path.read_bytes() == b"precious" and sheet[1].read_bytes() == before


def test_two_runs_into_one_archive_refuse_each_other(
    voc_dataset: Callable[..., Path], run: Run, tmp_path: Path
) -> None:
    with FileLock(tmp_path / ".a.npz.lock"):
        args = ("--data-dir", voc_dataset(4), "--output", tmp_path / "a.npz")
        assert "another run is writing it" in only_error(run("preprocess_data.py", *args))
    assert run("preprocess_data.py", *args).status == 0


def test_what_lies_in_the_working_folder_is_not_imported(
    voc_dataset: Callable[..., Path],
    run: Run,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("json", "sklearn", "random"):
        (tmp_path / f"{name}.py").write_text("raise ImportError('not me')")
    monkeypatch.chdir(tmp_path)
    assert run("preprocess_data.py", "--data-dir", voc_dataset(6), "--output", "a.npz").status == 0


def test_output_that_cannot_be_written(
    voc_dataset: Callable[..., Path], run: Run, tmp_path: Path
) -> None:
    root = voc_dataset(4)
    (tmp_path / "file").write_text("a file")
    (tmp_path / "folder").mkdir()
    line = only_error(
        run("preprocess_data.py", "--data-dir", root, "--output", tmp_path / "file" / "a.npz")
    )
    assert str(tmp_path / "file") in line
    line = only_error(
        run("preprocess_data.py", "--data-dir", root, "--output", tmp_path / "folder")
    )
    assert "is a folder" in line
    assert {p.name for p in tmp_path.iterdir()} == {"voc", "file", "folder"}


def test_output_that_is_a_folder_is_named_in_the_error(
    voc_dataset: Callable[..., Path], run: Run, tmp_path: Path
) -> None:
    root = voc_dataset(4)
    (tmp_path / "folder").mkdir()
    line = only_error(
        run("preprocess_data.py", "--data-dir", root, "--output", tmp_path / "folder")
    )
    assert line.startswith(f"error: {tmp_path / 'folder'}: ")


def test_as_a_command(voc_dataset: Callable[..., Path], tmp_path: Path) -> None:
    args = ("--data-dir", voc_dataset(5), "--image-size", 32)
    good = run_script("preprocess_data.py", *args, cwd=tmp_path)
    assert good.status == 0
    assert good.out.startswith("5 fields, ")
    assert "Warning" not in good.err and "Traceback" not in good.err
    assert metadata(load(tmp_path / "preprocessed_data.npz"))["image_size"] == 32
    bad = run_script("preprocess_data.py", "--data-dir", "nowhere", cwd=tmp_path)
    assert bad.status == 2
    assert only_error(bad).startswith("error: nowhere:")


def test_bccd_counts(bccd_archive: dict[str, np.ndarray]) -> None:
    found = metadata(bccd_archive)
    assert found["split"] == "official"
    # 00038 shows what 00037 of val does, a moment later; four others show cells of another side's.
    assert found["fields"] == {"train": 202, "val": 85, "test": 72}
    assert found["boxes"] == {"Platelets": 361, "RBC": 4153, "WBC": 372}
    assert found["left_out"]["box without area"] == 2
    assert bccd_archive["classes"].tolist() == ["Background", "Platelets", "RBC", "WBC"]
    assert sum(of_split["RBC"] for of_split in found["counts"].values()) == 4087
    assert all(of_split["Background"] > 100 for of_split in found["counts"].values())


def test_bccd_official_split_is_that_of_the_lists_but_for_cells_of_another_side(
    bccd: Path, bccd_archive: dict[str, np.ndarray]
) -> None:
    # Looked at: each shows a white cell that a picture of val or test shows too.
    shown = {f"BloodImage_00{k}.jpg" for k in ("038", "257", "276", "261", "386")}
    for split in SPLITS:
        listed = (bccd / "ImageSets" / "Main" / f"{split}.txt").read_text().split()
        wanted = {f"{k}.jpg" for k in listed} - shown
        assert set(bccd_archive[f"source_{split}"].tolist()) == wanted
