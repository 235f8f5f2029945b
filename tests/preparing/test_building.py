"""One split's fields become the arrays of an archive; what is left out is told."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from conftest import Run, read_dataset
from drawing import PLATELET, RBC, WBC

from hematovision.datasets.findings import Findings
from hematovision.preparing.building import add_background, build_split
from hematovision.preparing.description import Whole, digest_fields, list_complete
from hematovision.preparing.writing import Crops, pack_fields


def describe(task: str, **more: object) -> Whole:
    return Whole(task, 32, 1, 0.5, {}, {}, False, "", "")._replace(**more)


def test_arrays_speak_of_the_same_segments_in_the_same_order(
    voc_dataset: Callable[..., Path],
) -> None:
    inside = ("Platelets", 20, 20, 44, 40)  # a red cell's centre lies in it
    fields, _ = read_dataset(voc_dataset({f"f{i}": [RBC, WBC, PLATELET, inside] for i in range(3)}))
    findings = Findings()
    arrays = build_split(fields, "train", None, describe("binary"), findings)
    labels = arrays["label_train"].tolist()  # type: ignore[union-attr]  # an array
    assert labels.count("RBC") == 3 and labels.count("Platelets") == 3
    assert findings.of("left out")["other cell's box that holds a red cell's centre"] == 3
    count = len(labels)
    crops = arrays["X_train"]
    assert isinstance(crops, Crops) and crops.shape == (count, 32, 32, 3)
    assert [len(arrays[f"{k}_train"]) for k in ("source", "box", "lab")] == [count] * 3  # type: ignore[arg-type]  # arrays
    assert crops.cut(0).dtype == np.uint8


def test_background_is_the_same_for_a_seed_and_another_for_another(
    voc_dataset: Callable[..., Path],
) -> None:
    fields, _ = read_dataset(voc_dataset(3))
    first, _ = add_background(fields, "train", None, describe("binary"))
    assert first == add_background(fields, "train", None, describe("binary"))[0]
    assert first != add_background(fields, "train", None, describe("binary", seed=2))[0]


def test_windows_that_leave_no_ground_have_no_background(
    voc_dataset: Callable[..., Path], run: Run, tmp_path: Path
) -> None:
    """But where a dozen has room for a patch, the others aren't refused for it."""
    full = [("RBC", 1, 1, 199, 79), ("WBC", 1, 80, 199, 159)]
    windows = {f"w{i}": full for i in range(12)}
    archive = tmp_path / "a.npz"
    options = ("--task", "multiclass", "--seed", 3, "--output", archive)
    done = run(
        "preprocess_data.py", "--data-dir", voc_dataset(windows | {"x": [RBC, WBC]}), *options
    )
    assert done.status == 0, done.err
    assert "too little ground to show some in each split: no background is cut" in done.err
    with np.load(archive) as arrays:
        assert arrays["classes"].tolist() == ["RBC", "WBC"]
    done = run("preprocess_data.py", "--data-dir", voc_dataset(12, "roomy"), *options)
    assert done.status == 0 and "too little ground" not in done.err
    with np.load(archive) as arrays:
        assert "Background" in arrays["classes"].tolist()


def test_what_describes_fields_hangs_on_all_of_them(voc_dataset: Callable[..., Path]) -> None:
    fields, _ = read_dataset(voc_dataset(3))
    assert digest_fields(fields) != digest_fields(fields[:2])
    assert list_complete(fields) == {fields[0].lab: []}
    packed = pack_fields(fields)
    assert packed["field_end"][-1] == sum(f.size for f in fields)  # type: ignore[index]  # an array
