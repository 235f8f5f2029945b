"""The archive: the same bytes from the same fields, read as written, refused where it is broken."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from conftest import SAMPLE, Run, SampleRun, load, only_error
from drawing import LABELS

from hematovision.annotations.reading import read_annotations
from hematovision.archive.contents import leave_out
from hematovision.archive.loading import load_archive
from hematovision.pictures.images import scale_pixels
from hematovision.program.console import UserError


def test_archive_is_the_same_to_the_byte_with_any_number_of_workers(
    voc_dataset: Callable[..., Path], run: Run, tmp_path: Path
) -> None:
    root = voc_dataset(12)
    contents = []
    for i, extra in enumerate([(), (), ("--workers", 1), ("--workers", 4), ("--seed", 43)]):
        path = tmp_path / f"{i}.npz"
        result = run(
            "preprocess_data.py", "--data-dir", root, "--output", path, "--image-size", 40, *extra
        )
        assert result.status == 0
        contents.append(path.read_bytes())
    assert contents[0] == contents[1] == contents[2] == contents[3]
    assert contents[0] != contents[4]
    with zipfile.ZipFile(path) as file:  # a zip's clock ticks in steps of two seconds
        assert {member.date_time for member in file.infolist()} == {(1980, 1, 1, 0, 0, 0)}


def test_the_archive_comes_back_as_it_was_written(sample_run: SampleRun) -> None:
    archive = load_archive(sample_run.archive, ["train", "test"])
    arrays = load(sample_run.archive)
    assert set(archive.splits) == {"train", "test"}
    assert archive.classes == ["Other", "RBC"]
    assert archive.metadata.image_size == 64
    for name, split in archive.splits.items():
        assert split.X.dtype == np.uint8
        assert (scale_pixels(split.X[:]) == arrays[f"X_{name}"]).all()
        assert (split.y == arrays[f"y_{name}"]).all()
        assert (split.source == arrays[f"source_{name}"]).all()
        assert (split.box == arrays[f"box_{name}"]).all()


def test_the_archive_gives_the_fields_back(sample_run: SampleRun) -> None:
    archive = load_archive(sample_run.archive, ["train", "val", "test"])
    names = set()
    for split, fields in archive.fields.items():
        for i, field in enumerate(fields.read(LABELS)):
            name, data = field.name, bytes(field.data)
            names.add(name)
            assert data == (SAMPLE / "JPEGImages" / name).read_bytes()
            (noted,) = read_annotations(SAMPLE / "Annotations" / f"{Path(name).stem}.xml")
            labels = [box.label for box in noted.boxes]
            mine = fields.index == i
            assert fields.label[mine].tolist() == labels, split
            assert [LABELS[k] for k in field.label] == labels, split
    assert len(names) == len(list((SAMPLE / "Annotations").glob("*.xml")))


def test_an_archive_without_laboratories_is_all_one(sample_run: SampleRun, tmp_path: Path) -> None:
    arrays = {k: v for k, v in load(sample_run.archive).items() if "lab_" not in k}
    np.savez(tmp_path / "old.npz", **arrays)
    archive = load_archive(tmp_path / "old.npz", ["val"])
    assert set(archive.splits["val"].lab) == set(archive.fields["val"].lab) == {""}
    assert len(archive.splits["val"].lab) == len(archive.splits["val"].y)


@pytest.fixture
def two_labs(multiclass_run: SampleRun, tmp_path: Path) -> Path:
    """The sample's archive, every other field from a laboratory "b" that alone knows platelets."""
    arrays = load(multiclass_run.archive)
    for split in ("train", "val", "test"):
        names = arrays[f"field_{split}"]
        lab = np.where(np.arange(len(names)) % 2, "b", "a")
        arrays[f"field_lab_{split}"] = lab
        arrays[f"lab_{split}"] = lab[np.searchsorted(names, arrays[f"source_{split}"])]
        kept = (arrays[f"lab_{split}"] == "b") | (arrays[f"label_{split}"] != "Platelets")
        for key in ("X", "y", "label", "source", "box", "lab"):
            arrays[f"{key}_{split}"] = arrays[f"{key}_{split}"][kept]
    np.savez(tmp_path / "two.npz", **arrays)
    return tmp_path / "two.npz"


def test_a_laboratory_is_left_out_with_its_crops_fields_and_classes(two_labs: Path) -> None:
    whole = load_archive(two_labs, ["train", "val"])
    rest = leave_out(whole, ["b"])
    assert whole.classes == ["Background", "Platelets", "RBC", "WBC"]
    assert rest.classes == ["Background", "RBC", "WBC"]
    for name, split in rest.splits.items():
        assert set(split.lab) == set(rest.fields[name].lab) == {"a"}
        assert [rest.classes[k] for k in split.y] == split.label.tolist()
        assert rest.metadata.field_sha256[name].keys() == set(rest.fields[name].name)
        assert rest.metadata.counts[name]["RBC"] == (split.label == "RBC").sum()
        starts, ends = rest.fields[name].start, rest.fields[name].end
        assert (starts < ends).all() and (starts[1:] >= ends[:-1]).all()
        before = {f.name: f for f in whole.fields[name].read(LABELS)}
        for field in rest.fields[name].read(LABELS):
            assert bytes(field.data) == bytes(before[field.name].data)
            assert (field.box == before[field.name].box).all()
            assert (field.label == before[field.name].label).all()
    assert rest.metadata.field_sha256["test"] == whole.metadata.field_sha256["test"]


@pytest.mark.parametrize("labs", [["c"], ["a", "b"], ["a", ""]])
def test_a_laboratory_that_is_not_there_can_not_be_left_out(
    labs: list[str], two_labs: Path
) -> None:
    with pytest.raises(UserError, match="--leave-out"):
        leave_out(load_archive(two_labs, ["train", "val"]), labs)


# --- what is refused ------------------------------------------------------------------------------


def drop(arrays: dict[str, np.ndarray], ending: str) -> dict[str, np.ndarray]:
    return {key: value for key, value in arrays.items() if not key.endswith(ending)}


def missing(path: Path, arrays: dict[str, np.ndarray]) -> None:
    path.unlink(missing_ok=True)


def truncated(path: Path, arrays: dict[str, np.ndarray]) -> None:
    np.savez_compressed(path, **arrays)
    path.write_bytes(path.read_bytes()[:-2000])


def damaged_inside(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """The list of members is whole, the crops are not."""
    np.savez_compressed(path, **arrays)
    data = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as file:
        start = file.getinfo("X_train.npy").header_offset
    data[start + 200 : start + 400] = bytes(200)
    path.write_bytes(data)


def empty(path: Path, arrays: dict[str, np.ndarray]) -> None:
    path.write_bytes(b"")


def no_zip(path: Path, arrays: dict[str, np.ndarray]) -> None:
    path.write_text("no archive, just words\n" * 100)


def a_single_array(path: Path, arrays: dict[str, np.ndarray]) -> None:
    with open(path, "wb") as file:
        np.save(file, np.zeros(3))


def other_keys(path: Path, arrays: dict[str, np.ndarray]) -> None:
    np.savez(path, images=np.zeros(3))


def no_labels(path: Path, arrays: dict[str, np.ndarray]) -> None:
    np.savez(path, **drop(arrays, "y_train"))


def pickled(path: Path, arrays: dict[str, np.ndarray]) -> None:
    np.savez(path, **arrays | {"source_train": arrays["source_train"].astype(object)})


def bad_metadata(path: Path, arrays: dict[str, np.ndarray]) -> None:
    np.savez(path, **arrays | {"metadata": np.array("{")})


def short_labels(path: Path, arrays: dict[str, np.ndarray]) -> None:
    np.savez(path, **arrays | {"y_train": arrays["y_train"][:-1]})


def short_crops(path: Path, arrays: dict[str, np.ndarray]) -> None:
    np.savez(path, **arrays | {"X_val": arrays["X_val"][:-1]})


def other_size(path: Path, arrays: dict[str, np.ndarray]) -> None:
    np.savez(path, **arrays | {"X_val": arrays["X_val"][:, ::2, ::2]})


BROKEN = [
    missing, truncated, damaged_inside, empty, no_zip, a_single_array, other_keys, no_labels,
    pickled, bad_metadata, short_labels, short_crops, other_size,
]  # fmt: skip


@pytest.mark.parametrize("break_it", BROKEN, ids=lambda f: f.__name__)
def test_a_broken_archive_is_refused(
    break_it: Callable[[Path, dict], None], tiny: Path, tmp_path: Path, run: Run
) -> None:
    path = tmp_path / "broken.npz"
    break_it(path, load(tiny))
    assert str(path) in only_error(
        run("train_model.py", "--data", path, "--output-dir", tmp_path / "model")
    )
    assert not (tmp_path / "model").exists()


@pytest.mark.parametrize("key", ["field_file_train", "field_index_val", "field_end_train"])
def test_fields_that_do_not_fit_together_are_refused(
    key: str, sample_run: SampleRun, tmp_path: Path, run: Run
) -> None:
    arrays = load(sample_run.archive)
    arrays[key] = arrays[key][:-1]
    np.savez(tmp_path / "cut.npz", **arrays)
    assert "field" in only_error(run("train_model.py", "--data", tmp_path / "cut.npz"))
