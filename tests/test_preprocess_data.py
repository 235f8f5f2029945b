"""Tests of preprocess_data.py, from the annotations to the archive, and of what it refuses."""

from __future__ import annotations

import dataclasses
import hashlib
import http.server
import io
import json
import re
import shutil
import socket
import subprocess
import sys
import threading
import time
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import chain, combinations
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import pytest

import preprocess_data as P

SCRIPT = Path(P.__file__)
Corners = tuple[int, int, int, int]
RBC = ("RBC", 10, 10, 50, 48)
WBC = ("WBC", 20, 100, 74, 160)
PLATELET = ("Platelets", 120, 20, 136, 38)


class Outcome(NamedTuple):
    status: int
    out: str
    err: str


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Callable[..., Outcome]:
    """Run the script in this process; give its status, stdout and stderr."""

    def call(*args: object) -> Outcome:
        status = P.main([str(a) for a in args])
        return Outcome(status, *capsys.readouterr())

    return call


@pytest.fixture
def archive(run: Callable[..., Outcome], tmp_path: Path) -> Callable[..., dict[str, np.ndarray]]:
    """Run the script on a dataset; give the archive it wrote."""

    def make(data: Path, *args: object) -> dict[str, np.ndarray]:
        path = tmp_path / "out" / "archive.npz"
        result = run("--data-dir", data, "--output", path, "--image-size", 32, *args)
        assert result.status == 0, result.err
        return load(path)

    return make


def load(path: Path) -> dict[str, np.ndarray]:
    with np.load(path, allow_pickle=False) as file:
        return {key: file[key] for key in file.files}


def metadata(arrays: dict[str, np.ndarray]) -> dict:
    return json.loads(str(arrays["metadata"]))


def overlap(a: Corners, b: Corners) -> bool:
    return common(a, b) > 0


def common(a: Corners, b: Corners) -> int:
    """The area that two boxes share, in pixels."""
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    return max(width, 0) * max(height, 0)


def decode(path: Path) -> np.ndarray:
    """An image in RGB, read by another way than the script's."""
    return cv2.imread(str(path), cv2.IMREAD_COLOR)[..., ::-1]


def write_png(path: Path, image: np.ndarray) -> None:
    """Write channels as they stand (OpenCV's order: BGR)."""
    path.write_bytes(cv2.imencode(".png", image)[1].tobytes())


def write_lists(root: Path, **stems: str) -> None:
    """Official lists: ``write_lists(root, train="a b", val="c", test="d")``."""
    folder = root / "ImageSets" / "Main"
    folder.mkdir(parents=True, exist_ok=True)
    for split, names in stems.items():
        (folder / f"{split}.txt").write_text("".join(f"{name}\n" for name in names.split()))


def files_below(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def only_error(result: Outcome) -> str:
    """The one line of a refused run, checked for the form that every script promises."""
    assert result.status == 2, result
    assert result.out == ""
    assert re.fullmatch(r"error: \S.*\n", result.err), result.err
    return result.err


# --- annotations ----------------------------------------------------------------------------------


def box_xml(xmin: object, ymin: object, xmax: object, ymax: object, name: str = "RBC") -> str:
    corners = zip(("xmin", "ymin", "xmax", "ymax"), (xmin, ymin, xmax, ymax), strict=True)
    inner = "".join(f"<{k}>{v}</{k}>" for k, v in corners)
    return f"<object><name>{name}</name><bndbox>{inner}</bndbox></object>"


NO_LABEL = "box without a label or with unreadable corners"
NO_AREA = "box without area"
OUTSIDE = "box outside its field"


@pytest.mark.parametrize(
    ("objects", "kept", "left_out"),
    [
        ("", [], {}),
        (box_xml(10, 20, 30, 50), [("RBC", (10, 20, 30, 50))], {}),
        (box_xml("10.4", "19.6", "3e1", " 50.2 "), [("RBC", (10, 20, 30, 50))], {}),
        (box_xml(1, 2, 3, 4, " Red Cell\n"), [("Red Cell", (1, 2, 3, 4))], {}),
        (box_xml(1, 2, 3, 4, "Erythrocyte µ"), [("Erythrocyte µ", (1, 2, 3, 4))], {}),
        (box_xml(0, 0, 100, 80), [("RBC", (0, 0, 100, 80))], {}),
        (box_xml(-5, -7, 12, 9), [("RBC", (0, 0, 12, 9))], {}),
        (box_xml(90, 70, 140, 95), [("RBC", (90, 70, 100, 80))], {}),
        (box_xml(99, 79, 101, 81), [("RBC", (99, 79, 100, 80))], {}),
        (box_xml(100, 0, 120, 10), [], {OUTSIDE: 1}),
        (box_xml(0, 80, 10, 90), [], {OUTSIDE: 1}),
        (box_xml(-20, 0, 0, 10), [], {OUTSIDE: 1}),
        (box_xml(300, 300, 340, 340), [], {OUTSIDE: 1}),
        (box_xml(10, 10, 10, 40), [], {NO_AREA: 1}),
        (box_xml(10, 10, 40, 10), [], {NO_AREA: 1}),
        (box_xml(40, 10, 10, 40), [], {NO_AREA: 1}),
        (box_xml(10, 40, 40, 10), [], {NO_AREA: 1}),
        (box_xml(10.1, 10, 10.3, 40), [], {NO_AREA: 1}),
        (box_xml("", 10, 20, 20), [], {NO_LABEL: 1}),
        (box_xml("ten", 10, 20, 20), [], {NO_LABEL: 1}),
        (box_xml(10, 10, "nan", 20), [], {NO_LABEL: 1}),
        (box_xml(10, 10, "inf", 20), [], {NO_LABEL: 1}),
        (box_xml(10, 10, "1e999", 20), [], {NO_LABEL: 1}),
        (box_xml(1, 2, 3, 4, " "), [], {NO_LABEL: 1}),
        ("<object><name>RBC</name></object>", [], {NO_LABEL: 1}),
        ("<object><name>RBC</name><bndbox><xmin>1</xmin></bndbox></object>", [], {NO_LABEL: 1}),
        ("<object><bndbox/></object>", [], {NO_LABEL: 1}),
        (
            box_xml(5, 5, 1, 1) + box_xml(1, 2, 3, 4, "WBC") + box_xml(5, 6, 7, 8),
            [("WBC", (1, 2, 3, 4)), ("RBC", (5, 6, 7, 8))],
            {NO_AREA: 1},
        ),
    ],
)
def test_boxes_are_read_clipped_and_counted(
    tmp_path: Path, objects: str, kept: list, left_out: dict
) -> None:
    path = tmp_path / "field.xml"
    path.write_text(f"<annotation>{objects}</annotation>", encoding="utf-8")
    segments, dropped = P.clip_boxes(P.read_boxes(path), width=100, height=80)
    assert segments == kept
    assert dropped == left_out


BAD_XML = {
    "truncated": b"<annotation><object><name>RBC</name><bndbox><xmin>1</xm",
    "empty": b"",
    "binary": bytes(range(256)),
    "utf-16 by name only": b'<?xml version="1.0" encoding="utf-16"?><annotation/>',
    "unknown encoding": b'<?xml version="1.0" encoding="no-such"?><annotation/>',
}


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(
            content,
            id=name,
        )
        for name, content in BAD_XML.items()
    ],
)
def test_unreadable_annotation_among_many_is_skipped_with_a_warning(
    voc_dataset: Callable[..., Path], capsys: pytest.CaptureFixture[str], content: bytes
) -> None:
    root = voc_dataset(4)
    bad = root / "Annotations" / "field1.xml"
    bad.write_bytes(content)
    fields, left_out = P.read_dataset(root, workers=2)
    assert [f.name for f in fields] == ["field0.png", "field2.png", "field3.png"]
    assert left_out == {"unreadable annotation": 1}
    warnings = [k for k in capsys.readouterr().err.splitlines() if k.startswith("warning: ")]
    assert len(warnings) == 1
    assert str(bad) in warnings[0]


def test_every_annotation_of_bccd_is_read_as_its_text_says(bccd: Path) -> None:
    pattern = re.compile(
        r"<name>(\w+)</name>.*?<xmin>(\d+)</xmin>\s*<ymin>(\d+)</ymin>\s*"
        r"<xmax>(\d+)</xmax>\s*<ymax>(\d+)</ymax>",
        re.DOTALL,
    )
    total = 0
    for path in sorted((bccd / "Annotations").glob("*.xml")):
        wanted = [(k, [float(v) for v in c]) for k, *c in pattern.findall(path.read_text())]
        assert P.read_boxes(path) == wanted, path
        total += len(wanted)
    assert total == 4888


# --- images ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".JPG", ".jpeg", ".Jpg", ".PNG", ".bmp", ".TIF", ".webp"])
def test_image_suffixes_in_any_case(voc_dataset: Callable[..., Path], suffix: str) -> None:
    root = voc_dataset({"smear 1.a": [RBC, PLATELET]}, suffix=suffix.lower())
    drawn = next((root / "JPEGImages").iterdir())
    drawn.rename(drawn.with_suffix(suffix))
    annotation = next((root / "Annotations").iterdir())
    annotation.rename(annotation.with_suffix(".XML"))
    fields, left_out = P.read_dataset(root, workers=1)
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
    fields, left_out = P.read_dataset(root, workers=2)
    assert [f.name for f in fields] == ["field0.png", "field3.png", "field5.png"]
    assert left_out == {
        "image without annotation": 2,
        "annotation without image": 1,
        "second image of the same name": 1,
    }


def test_a_broken_image_among_many_is_skipped_and_counted(
    voc_dataset: Callable[..., Path], run: Callable[..., Outcome], tmp_path: Path
) -> None:
    root = voc_dataset(12)
    images = root / "JPEGImages"
    whole = (images / "field1.png").read_bytes()
    broken = {"field1": whole[: len(whole) // 2], "field2": b"", "field3": b"not an image" * 99}
    for stem, content in broken.items():
        (images / f"{stem}.png").write_bytes(content)
    result = run("--data-dir", root, "--output", tmp_path / "a.npz", "--image-size", 32)
    assert result.status == 0
    warnings = [k for k in result.err.splitlines() if k.startswith("warning: ")]
    assert len(warnings) == 3
    assert all(f"{stem}.png" in line for stem, line in zip(broken, warnings, strict=True))
    assert "left out: 3 x unreadable image" in result.out
    arrays = load(tmp_path / "a.npz")
    assert metadata(arrays)["left_out"]["unreadable image"] == 3
    names = {n for s in P.SPLITS for n in arrays[f"source_{s}"]}
    assert names == {f"field{i}.png" for i in range(12)} - {f"{stem}.png" for stem in broken}


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".bmp", ".tif", ".webp"])
@pytest.mark.parametrize("share", [0.4, 0.98])
def test_an_image_cut_short_is_refused(tmp_path: Path, suffix: str, share: float) -> None:
    image = np.random.default_rng(1).integers(0, 256, (90, 120, 3), np.uint8)
    content = cv2.imencode(suffix, image)[1].tobytes()
    path = tmp_path / f"field{suffix}"
    path.write_bytes(content)
    assert P.read_image(path).shape == image.shape
    path.write_bytes(content[: int(share * len(content))])
    # OpenCV 4 would decode half a JPEG or PNG; OpenCV 5 refuses it, but doesn't say why.
    why = "cut short" if suffix in (".jpg", ".png") else "not an image"
    with pytest.raises(P.UserError, match=f"{re.escape(str(path))}: .*{why}"):
        P.read_image(path)


GREY = np.arange(48, dtype=np.uint8).reshape(6, 8) * 5


@pytest.mark.parametrize(
    ("stored", "wanted"),
    [
        pytest.param(GREY, np.dstack([GREY] * 3), id="grey"),
        pytest.param(GREY.astype(np.uint16) * 257, np.dstack([GREY] * 3), id="16 bit grey"),
        pytest.param(
            np.dstack([GREY, GREY // 2, GREY // 3]).astype(np.uint16) * 257,
            np.dstack([GREY // 3, GREY // 2, GREY]),
            id="16 bit colour",
        ),
        pytest.param(
            np.dstack([GREY, GREY // 2, GREY // 3, np.full_like(GREY, 9)]),
            np.dstack([GREY // 3, GREY // 2, GREY]),
            id="RGBA",
        ),
    ],
)
def test_every_kind_of_png_becomes_8_bit_rgb(
    tmp_path: Path, stored: np.ndarray, wanted: np.ndarray
) -> None:
    write_png(tmp_path / "a.png", stored)
    image = P.read_image(tmp_path / "a.png")
    assert image.dtype == np.uint8
    np.testing.assert_array_equal(image, wanted)


def test_the_real_size_counts_not_the_size_in_the_xml(voc_dataset: Callable[..., Path]) -> None:
    root = voc_dataset({"a": [("RBC", 190, 130, 270, 170)]})
    path = root / "Annotations" / "a.xml"
    path.write_text(re.sub(r"<(width|height)>\d+<", r"<\1>0<", path.read_text()))
    fields, _ = P.read_dataset(root, workers=1)
    assert fields[0].segments == [("RBC", (190, 130, 240, 170))]


# --- finding the dataset --------------------------------------------------------------------------


def test_dataset_is_found_as_named_or_nested_below(voc_dataset: Callable[..., Path]) -> None:
    root = voc_dataset(1, name="blood-cells/dataset-master/dataset-master")
    parent = root.parents[1]
    (parent / "dataset2-master" / "JPEGImages").mkdir(parents=True)  # images only: not one
    assert P.find_dataset(root) == root
    assert P.find_dataset(parent) == root
    voc_dataset(1, name="blood-cells/copy")
    with pytest.raises(P.UserError, match="2 folders"):
        P.find_dataset(parent)
    assert P.find_dataset(root) == root


def test_kaggles_nested_copy_counts_its_images_without_annotation(
    voc_dataset: Callable[..., Path], archive: Callable[..., dict], tmp_path: Path
) -> None:
    root = voc_dataset(8, name="kaggle/dataset-master/dataset-master")
    (root / "Annotations" / "field5.xml").unlink()
    found = metadata(archive(tmp_path / "kaggle"))
    assert found["left_out"]["image without annotation"] == 1
    assert sum(found["fields"].values()) == 7


def test_without_data_dir_it_takes_data_else_the_sample_and_says_which(
    voc_dataset: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    monkeypatch.setattr(P, "HERE", tmp_path)
    sample = voc_dataset(1, name="data/sample")
    assert P.find_dataset(None) == sample
    assert str(sample) in capsys.readouterr().err
    data = voc_dataset(1, name="data")
    assert P.find_dataset(None) == data
    assert str(data) in capsys.readouterr().err


# --- splits ---------------------------------------------------------------------------------------


def split_names(by_split: dict[str, list[P.Field]]) -> dict[str, list[str]]:
    return {split: [f.name for f in fields] for split, fields in by_split.items()}


def bare_fields(n: int, label: str = "RBC") -> list[P.Field]:
    """Fields with a box each and no image: enough to split."""
    segments = [P.Segment(label, (0, 0, 9, 9))]
    return [P.Field(Path(f"f{i:03}.png"), "", segments, np.ones((1, 1), bool)) for i in range(n)]


@pytest.mark.parametrize(("n", "sizes"), [(3, [1, 1, 1]), (20, [14, 3, 3]), (100, [70, 15, 15])])
def test_random_split_deals_each_field_once(n: int, sizes: list[int]) -> None:
    fields = bare_fields(n)
    by_split, how = P.split_fields(fields, Path("nowhere"), "random", 42)
    assert how == "random"
    names = split_names(by_split)
    assert [len(names[s]) for s in P.SPLITS] == sizes
    assert sorted(chain(*names.values())) == [f.name for f in fields]


def test_random_split_follows_the_seed() -> None:
    fields = bare_fields(40)
    first, again, other = (
        split_names(P.split_fields(fields, Path("nowhere"), "random", seed)[0])
        for seed in (1, 1, 2)
    )
    assert first == again
    assert first != other


def test_random_split_spreads_a_rare_label() -> None:
    fields = bare_fields(34) + [
        P.Field(Path(f"w{i}.png"), "", [P.Segment("WBC", (0, 0, 9, 9))], np.ones((1, 1), bool))
        for i in range(6)
    ]
    for seed in range(20):
        by_split, _ = P.split_fields(fields, Path("nowhere"), "random", seed)
        for split, of_split in by_split.items():
            labels = {s.label for f in of_split for s in f.segments}
            assert labels == {"RBC", "WBC"}, (seed, split)


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
    sources = {s: set(arrays[f"source_{s}"].tolist()) for s in P.SPLITS}
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
    voc_dataset: Callable[..., Path], run: Callable[..., Outcome], tmp_path: Path, twice: str
) -> None:
    root = voc_dataset(4)
    write_lists(root, train="field0 field1", val="field2", test="field3")
    with (root / "ImageSets" / "Main" / f"{twice}.txt").open("a") as file:
        file.write("field1\n")
    line = only_error(run("--data-dir", root, "--output", tmp_path / "a.npz"))
    assert "field1" in line
    assert f"{twice}.txt" in line
    assert "train.txt" in line


# --- background -----------------------------------------------------------------------------------


def check_background(fields: list[P.Field], patches: dict[str, list[P.Segment]]) -> int:
    """Check every patch against the frame, the boxes and its neighbours; count them."""
    sizes = {(b[2] - b[0], b[3] - b[1]) for f in fields for _, b in f.segments}
    for field in fields:
        height, width = decode(field.path).shape[:2]
        of_field = patches[field.name]
        for label, (xmin, ymin, xmax, ymax) in of_field:
            assert label == "Background"
            assert 0 <= xmin < xmax <= width and 0 <= ymin < ymax <= height
            assert (xmax - xmin, ymax - ymin) in sizes
        for (_, a), (_, b) in combinations(of_field, 2):
            assert not overlap(a, b), field.name
        for (_, a), (_, b) in ((p, s) for p in of_field for s in field.segments):
            assert not overlap(a, b), field.name
    return sum(map(len, patches.values()))


@pytest.mark.parametrize("odd", [0, 3])
def test_background_keeps_off_boxes_frame_and_other_patches(
    voc_dataset: Callable[..., Path], odd: int
) -> None:
    # But for the first, the boxes hold bare ground: only the box says that something is there.
    boxes = [RBC, PLATELET, ("WBC", 61, 61, 118, 119), ("RBC", 205, 141, 240, 180)]
    root = voc_dataset({f"f{i}": boxes for i in range(4)})
    for path in (root / "JPEGImages").iterdir():
        image = np.full((180 - odd, 240 - odd, 3), (222, 214, 228), np.uint8)
        cv2.circle(image, (30, 29), 18, (125, 120, 205), -1)
        write_png(path, image)
    fields, _ = P.read_dataset(root, workers=2)
    patches, unplaced = P.place_background(fields, 10.0, np.random.default_rng(0))
    placed = check_background(fields, patches)
    assert placed >= 30, "too few to tell anything"
    assert unplaced == 10 * 16 - placed > 0


def ring(image: np.ndarray, x: int, y: int, radius: int, pallor: int) -> None:
    """Draw a red cell with a bright centre that is as pale as the ground."""
    ground = image[0, -1].tolist()
    cv2.circle(image, (x, y), radius, (205, 120, 125), -1, cv2.LINE_AA)
    cv2.circle(image, (x, y), pallor, ground, -1, cv2.LINE_AA)


@pytest.mark.parametrize(
    "unboxed",
    [
        pytest.param([(130, 100)], id="alone"),
        pytest.param([(130, 0)], id="cut by the frame"),
        pytest.param([(239, 179)], id="in the corner"),
        pytest.param([(110, 70), (158, 96), (120, 120)], id="clump"),
    ],
)
@pytest.mark.parametrize("light", [1.0, 0.7])
@pytest.mark.parametrize(
    "platelets",
    [1, 5],
)
def test_background_shows_no_cell_though_it_has_no_box(
    voc_dataset: Callable[..., Path],
    unboxed: list[tuple[int, int]],
    light: float,
    platelets: int,
) -> None:
    radius, pallor = 28, 13
    boxed = [(32, 32), (32, 148), (208, 32)]
    boxes = [("RBC", x - radius, y - radius, x + radius, y + radius) for x, y in boxed]
    root = voc_dataset({"f": boxes + [("Platelets", 100, 168, 110, 178)] * platelets})
    image = np.full((180, 240, 3), (228, 214, 222), np.uint8)
    for x, y in boxed + unboxed:
        ring(image, x, y, radius, pallor)
    noise = np.random.default_rng(3).normal(0, 3, image.shape)
    image = np.clip(image * light + noise, 0, 255).astype(np.uint8)
    write_png(root / "JPEGImages" / "f.png", image[..., ::-1])

    fields, _ = P.read_dataset(root, workers=1)
    y, x = np.mgrid[:180, :240]
    cells = np.zeros((180, 240), bool)
    for cx, cy in boxed + unboxed:
        cells |= (x - cx) ** 2 + (y - cy) ** 2 <= radius**2
    free = np.kron(fields[0].free, np.ones((4, 4), bool))
    assert not (free & cells).any()
    assert free.mean() > 0.25

    patches, _ = P.place_background(fields, 10.0, np.random.default_rng(0))
    assert check_background(fields, patches) >= 8
    for _, (xmin, ymin, xmax, ymax) in patches["f.png"]:
        assert not cells[ymin:ymax, xmin:xmax].any()


def test_background_sizes_follow_the_boxes(voc_dataset: Callable[..., Path]) -> None:
    # In four fields of five the box is small: so must about four patches of five be.
    small, large = ("RBC", 0, 0, 20, 24), ("RBC", 0, 0, 44, 40)
    root = voc_dataset({f"f{i}": [large if i % 5 == 0 else small] for i in range(40)})
    fields, _ = P.read_dataset(root, workers=2)
    patches, _ = P.place_background(fields, 5.0, np.random.default_rng(0))
    count = Counter((b[2] - b[0], b[3] - b[1]) for of in patches.values() for _, b in of)
    assert count.keys() == {(20, 24), (44, 40)}
    assert count[20, 24] + count[44, 40] == 200
    assert 20 <= count[44, 40] <= 60


@pytest.mark.parametrize("ratio", [0, 0.5, 2])
def test_background_ratio_is_per_box(
    voc_dataset: Callable[..., Path], archive: Callable[..., dict], ratio: float
) -> None:
    root = voc_dataset({f"f{i}": [RBC, RBC, WBC, PLATELET] for i in range(8)})
    arrays = archive(root, "--task", "multiclass", "--split", "test", "--background", ratio)
    labels = arrays["classes"][arrays["y_test"]].tolist()
    found = metadata(arrays)
    unplaced = found["left_out"].get("background patch for which no cell-free room was found", 0)
    assert labels.count("Background") + unplaced == ratio * 32
    assert ratio == 0 or labels.count("Background") >= 12


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("shape", [(1, 1, 3), (3, 2, 3), (1, 300, 3), (7, 9, 3), (180, 240, 3)])
def test_an_even_field_makes_no_chatter(shape: tuple[int, int, int]) -> None:
    free = P.find_free_area(np.full(shape, 200, np.uint8), [], cell=10.0)
    assert free.shape == (-(-shape[0] // 4), -(-shape[1] // 4))


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("corner", ["inf", "1e999"])
def test_an_infinite_corner_makes_no_chatter(voc_dataset: Callable[..., Path], corner: str) -> None:
    root = voc_dataset(2)
    path = root / "Annotations" / "field0.xml"
    path.write_text(path.read_text().replace(">10<", f">{corner}<").replace(">50<", ">inf<"))
    fields, left_out = P.read_dataset(root, workers=1)
    assert len(fields) == 2
    assert left_out == {NO_LABEL: 1}


# --- labels and classes ---------------------------------------------------------------------------


def test_other_boxes_that_hold_a_red_cells_centre_are_dropped() -> None:
    rbc = P.Segment("RBC", (40, 40, 60, 60))  # its centre: 50, 50
    holds = [P.Segment("WBC", (0, 0, 100, 100)), P.Segment("Platelets", (50, 50, 52, 52))]
    beside = [P.Segment("WBC", (0, 0, 50, 50)), P.Segment("Platelets", (41, 41, 49, 60))]
    round_white = P.Segment("WBC", (20, 200, 60, 240))
    inside_white = P.Segment("Platelets", (35, 215, 45, 225))  # holds a white cell's centre
    same_place = P.Segment("rbc", (38, 38, 62, 62))  # another box of a red cell stays
    segments = [rbc, *holds, *beside, round_white, inside_white, same_place]
    kept, dropped = P.drop_hidden_rbc(segments)
    assert kept == [rbc, *beside, round_white, inside_white, same_place]
    assert dropped == 2
    assert P.drop_hidden_rbc([round_white, inside_white]) == ([round_white, inside_white], 0)


HIDING = [("RBC", 30, 110, 60, 140), WBC, PLATELET]


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
    for split in P.SPLITS:
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
            ["A cell", "Background", "Eosinophil", "RBC", "basophil", "neutrophil"],
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
    for split in P.SPLITS:
        truth = {box: k for k, box in places.items()}
        wanted = [truth.get(tuple(b), "Background") for b in arrays[f"box_{split}"].tolist()]
        assert arrays["classes"][arrays[f"y_{split}"]].tolist() == wanted
        assert set(wanted) == set(classes)


def test_single_label_binary_is_red_cells_against_background(
    voc_dataset: Callable[..., Path], run: Callable[..., Outcome], archive: Callable[..., dict]
) -> None:
    root = voc_dataset({f"f{i}": [RBC] for i in range(6)})
    arrays = archive(root, "--background", 1)
    assert arrays["classes"].tolist() == ["Other", "RBC"]
    line = only_error(run("--data-dir", root, "--background", 0, "--output", root / "b.npz"))
    assert "class Other: 0 example(s)" in line


@pytest.mark.parametrize("task", ["binary", "multiclass"])
def test_a_class_missing_from_a_split_is_refused_by_name(
    voc_dataset: Callable[..., Path], run: Callable[..., Outcome], tmp_path: Path, task: str
) -> None:
    missing = "RBC" if task == "binary" else "Platelets"
    boxes = {"a": [RBC, WBC, PLATELET], "b": [RBC, WBC, PLATELET], "c": [WBC, RBC, PLATELET]}
    boxes["b"] = [box for box in boxes["b"] if box[0] != missing]
    root = voc_dataset(boxes)
    write_lists(root, train="a", val="b", test="c")
    path = tmp_path / "a.npz"
    line = only_error(run("--data-dir", root, "--task", task, "--background", 3, "--output", path))
    assert f"class {missing}: 2 example(s) in all, none in val" in line
    assert not path.exists()


# --- crops ----------------------------------------------------------------------------------------


def test_crops_are_rgb(voc_dataset: Callable[..., Path], archive: Callable[..., dict]) -> None:
    root = voc_dataset({"f": [RBC, WBC]})
    image = np.full((180, 240, 3), (255, 255, 255), np.uint8)
    cv2.circle(image, (30, 29), 19, (0, 0, 255), -1)  # pure red, in OpenCV's order
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
    for split in P.SPLITS:
        rows = zip(
            arrays[f"X_{split}"], arrays[f"source_{split}"], arrays[f"box_{split}"], strict=True
        )
        for crop, name, (xmin, ymin, xmax, ymax) in rows:
            region = decode(root / "JPEGImages" / str(name))[ymin:ymax, xmin:xmax]
            np.testing.assert_array_equal(crop, P.scale_pixels(P.square_crop(region, 32)))
            checked += 1
    assert checked >= 35


def test_scaled_pixels_give_all_256_levels_back() -> None:
    levels = np.arange(256, dtype=np.uint8)
    scaled = P.scale_pixels(levels)
    assert scaled.dtype.kind == "f"
    assert (scaled.min(), scaled.max()) == (0, 1)
    assert np.abs(scaled.astype(float) - levels / 255).max() < 3e-4
    np.testing.assert_array_equal(np.rint(scaled.astype(np.float32) * 255), levels)


@pytest.mark.parametrize(
    "shape",
    [(1, 1), (1, 640), (480, 1), (2, 500), (96, 96), (97, 95), (17, 200), (600, 300), (3, 4)],
)
@pytest.mark.parametrize("size", [32, 96, 97])
def test_square_crop_always_gives_the_shape(shape: tuple[int, int], size: int) -> None:
    segment = np.full((*shape, 3), (10, 120, 250), np.uint8)
    crop = P.square_crop(segment, size)
    assert crop.shape == (size, size, 3)
    assert crop.dtype == np.uint8
    assert (crop == (10, 120, 250)).all()  # nothing but the segment's own pixels


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("scale", [1, 4])
def test_square_crop_keeps_proportions(turned: bool, scale: int) -> None:
    # A disc in a segment twice as wide as high, with the left half of its ground darker.
    segment = np.full((64 * scale, 128 * scale, 3), 200, np.uint8)
    segment[:, : 64 * scale] = 100
    cv2.circle(segment, (64 * scale, 32 * scale), 24 * scale, (0, 0, 0), -1)
    crop = P.square_crop(segment.transpose(1, 0, 2) if turned else segment, 96)
    crop = crop.transpose(1, 0, 2) if turned else crop
    rows, columns = np.nonzero(crop[..., 0] < 50)
    assert abs(np.ptp(rows) - np.ptp(columns)) <= 1  # still a disc
    assert abs(np.ptp(columns) - 96 * 48 / 128) <= 2
    assert abs(rows.mean() - 47.5) <= 1 and abs(columns.mean() - 47.5) <= 1  # in the middle
    np.testing.assert_array_equal(crop[0], crop[23])  # its edge repeated above ...
    np.testing.assert_array_equal(crop[-1], crop[-24])  # ... and below
    assert (crop[0, :40] == 100).all() and (crop[0, 56:] == 200).all()


# --- archive --------------------------------------------------------------------------------------


@pytest.mark.parametrize("task", ["binary", "multiclass"])
def test_archive_is_what_the_contract_says(
    voc_dataset: Callable[..., Path], archive: Callable[..., dict], task: str
) -> None:
    root = voc_dataset(10)
    (root / "Annotations" / "field9.xml").unlink()
    arrays = archive(root, "--task", task, "--seed", 7)
    keys = {f"{k}_{s}" for k in ("X", "y", "source", "box") for s in P.SPLITS}
    assert keys | {"classes", "metadata"} <= arrays.keys()
    assert arrays["classes"].dtype.kind == "U"
    assert arrays["metadata"].shape == ()
    classes = arrays["classes"].tolist()
    found = metadata(arrays)
    for split in P.SPLITS:
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
    for split in P.SPLITS:
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
        sides = [set(arrays[f"source_{s}"].tolist()) for s in P.SPLITS]
        assert sum(map(len, sides)) == len(set.union(*sides)) == 20


def test_archive_is_the_same_to_the_byte_with_any_number_of_workers(
    voc_dataset: Callable[..., Path], run: Callable[..., Outcome], tmp_path: Path
) -> None:
    root = voc_dataset(12)
    contents = []
    for i, extra in enumerate([(), (), ("--workers", 1), ("--workers", 4), ("--seed", 43)]):
        path = tmp_path / f"{i}.npz"
        result = run("--data-dir", root, "--output", path, "--image-size", 40, *extra)
        assert result.status == 0
        contents.append(path.read_bytes())
    assert contents[0] == contents[1] == contents[2] == contents[3]
    assert contents[0] != contents[4]
    with zipfile.ZipFile(path) as file:  # a zip's clock ticks in steps of two seconds
        assert {member.date_time for member in file.infolist()} == {(1980, 1, 1, 0, 0, 0)}


@pytest.mark.parametrize("step", ["read_dataset", "square_crop", "scale_pixels", "encode_labels"])
@pytest.mark.parametrize("how", [KeyboardInterrupt, MemoryError])
def test_a_run_cut_short_leaves_the_old_archive(
    voc_dataset: Callable[..., Path],
    run: Callable[..., Outcome],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    step: str,
    how: type[BaseException],
) -> None:
    root = voc_dataset(6)
    path = tmp_path / "out" / "a.npz"
    path.parent.mkdir()
    path.write_bytes(b"the old archive")

    def stop(*_: object) -> None:
        raise how

    monkeypatch.setattr(P, step, stop)
    args = ("--data-dir", root, "--output", path)
    if how is KeyboardInterrupt:
        result = run(*args)
        assert result.status == 130
        assert "Traceback" not in result.err
    else:
        with pytest.raises(how):
            run(*args)
    assert files_below(path.parent) == {"a.npz": b"the old archive"}


def test_what_lies_in_the_working_folder_is_not_imported(
    voc_dataset: Callable[..., Path],
    run: Callable[..., Outcome],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("json", "sklearn", "random"):
        (tmp_path / f"{name}.py").write_text("raise ImportError('not me')")
    monkeypatch.chdir(tmp_path)
    assert run("--data-dir", voc_dataset(6), "--output", "a.npz").status == 0


@pytest.mark.parametrize("shape", [(30, 40), (300, 20)])
def test_the_tallest_free_window_of_each_width_is_found(shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(5)
    masks = [np.ones(shape, np.uint8), np.zeros(shape, np.uint8)]
    masks += [
        (cv2.blur(rng.random(shape), (9, 9)) > level).astype(np.uint8) for level in (0.3, 0.45, 0.5)
    ]
    tallest = P.measure_room([*masks, np.ones((7, 7), np.uint8)], 45)
    assert tallest.shape == (6, 46)
    for i, mask in enumerate(masks):
        for width in (1, 2, 3, 8, 19, 40, 45):
            height = tallest[i, width]
            fits = [P.find_room(mask, width, h) is not None for h in (height, height + 1) if h]
            assert fits == [True, False][-len(fits) :], (i, width, height)
    assert tallest[5, 7] == 7
    assert tallest[5, 8] == 0


def test_summary_on_stdout_says_what_came_of_it(
    voc_dataset: Callable[..., Path], run: Callable[..., Outcome], tmp_path: Path
) -> None:
    root = voc_dataset({f"f{i}": [*HIDING, ("RBC", 5, 5, 5, 9)] for i in range(20)})
    path = tmp_path / "a.npz"
    result = run("--data-dir", root, "--output", path)
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
    picture = decode(sheet)
    row = 28 + 32  # a title, then the crops
    assert picture.shape == (4 * row, 16 * 32, 3)
    titles, crops = picture.reshape(4, row, 512, 3)[:, :28], picture.reshape(4, row, 512, 3)[:, 28:]
    assert all((title < 100).any() for title in titles)
    everything = np.concatenate([arrays[f"X_{s}"] for s in P.SPLITS]).astype(np.float32)
    known = {np.rint(crop * 255).astype(np.uint8).tobytes() for crop in everything}
    for label, cells in zip(["Background", "Platelets", "RBC", "WBC"], crops, strict=True):
        tiles = [cells[:, x : x + 32] for x in range(0, 512, 32)]
        shown = [tile for tile in tiles if (tile != 255).any()]
        assert len(shown) == (16 if label == "RBC" else 9)
        assert all(np.ascontiguousarray(tile).tobytes() in known for tile in shown)


# --- BCCD, the real thing -------------------------------------------------------------------------


@pytest.fixture(scope="module")
def bccd_fields(bccd: Path) -> tuple[list[P.Field], Counter[str]]:
    return P.read_dataset(bccd, workers=2)


@pytest.fixture(scope="module")
def bccd_archive(bccd: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, np.ndarray]:
    path = tmp_path_factory.mktemp("bccd") / "a.npz"
    args = ["--data-dir", bccd, "--output", path, "--image-size", 32, "--task", "multiclass"]
    assert P.main([str(a) for a in args]) == 0
    return load(path)


def test_bccd_counts(bccd_archive: dict[str, np.ndarray]) -> None:
    found = metadata(bccd_archive)
    assert found["split"] == "official"
    assert found["fields"] == {"train": 205, "val": 87, "test": 72}
    assert found["boxes"] == {"Platelets": 361, "RBC": 4153, "WBC": 372}
    assert found["left_out"]["box without area"] == 2
    assert bccd_archive["classes"].tolist() == ["Background", "Platelets", "RBC", "WBC"]
    assert sum(of_split["RBC"] for of_split in found["counts"].values()) == 4153
    assert all(of_split["Background"] > 100 for of_split in found["counts"].values())


def test_bccd_official_split_is_that_of_the_lists(
    bccd: Path, bccd_archive: dict[str, np.ndarray]
) -> None:
    for split in P.SPLITS:
        listed = (bccd / "ImageSets" / "Main" / f"{split}.txt").read_text().split()
        assert set(bccd_archive[f"source_{split}"].tolist()) == {f"{k}.jpg" for k in listed}


def test_bccd_random_split_shares_no_field(bccd: Path, bccd_fields: tuple) -> None:
    splits = [P.split_fields(bccd_fields[0], bccd, "random", seed)[0] for seed in (1, 2)]
    assert split_names(splits[0]) != split_names(splits[1])
    for by_split in splits:
        names = split_names(by_split)
        assert {s: len(names[s]) for s in P.SPLITS} == {"train": 254, "val": 55, "test": 55}
        assert len(set(chain(*names.values()))) == 364


def test_bccd_background_keeps_off_every_box(
    bccd: Path, bccd_fields: tuple, bccd_archive: dict[str, np.ndarray]
) -> None:
    fields = {f.name: f for f in bccd_fields[0]}
    for split in P.SPLITS:
        classes = bccd_archive["classes"][bccd_archive[f"y_{split}"]]
        patches: dict[str, list[P.Segment]] = {name: [] for name in fields}
        of_split = zip(
            classes, bccd_archive[f"source_{split}"], bccd_archive[f"box_{split}"], strict=True
        )
        for label, name, box in of_split:
            if label == "Background":
                patches[str(name)].append(P.Segment("Background", tuple(box.tolist())))
        with_patches = [f for f in fields.values() if patches[f.name]]
        sizes = {(b[2] - b[0], b[3] - b[1]) for f in fields.values() for _, b in f.segments}
        for field in with_patches:
            boxes = [s.box for s in field.segments]
            for i, (_, patch) in enumerate(patches[field.name]):
                assert (patch[2] - patch[0], patch[3] - patch[1]) in sizes
                assert patch[0] >= 0 and patch[1] >= 0 and patch[2] <= 640 and patch[3] <= 480
                others = boxes + [p.box for p in patches[field.name][:i]]
                assert not any(overlap(patch, box) for box in others), field.name


def test_bccd_background_keeps_off_cells_whose_boxes_it_was_not_shown(
    bccd: Path, bccd_fields: tuple
) -> None:
    # Over half of the red cells have no box. Take the boxes away: patches must still avoid them.
    fields = []
    for field in bccd_fields[0][::4]:
        rest = [s for s in field.segments if s.label != "RBC"]
        free = P.find_free_area(decode(field.path), rest, cell=102.0)
        fields.append(dataclasses.replace(field, free=free))
    patches, _ = P.place_background(fields, 1.0, np.random.default_rng(0))
    on_a_cell = total = 0
    for field in fields:
        for _, patch in patches[field.name]:
            total += 1
            for label, (x0, y0, x1, y1) in field.segments:
                w, h = x1 - x0, y1 - y0  # a box's corners are ground: its middle isn't
                middle = (x0 + w // 5, y0 + h // 5, x1 - w // 5, y1 - h // 5)
                if label == "RBC" and common(patch, middle) > 0.1 * common(middle, middle):
                    on_a_cell += 1
                    break
    assert total >= 100
    assert on_a_cell <= 0.02 * total


def test_bccd_digest_is_the_published_one(bccd: Path) -> None:
    listing = (bccd / "SHA256SUMS").read_bytes()
    assert hashlib.sha256(listing).hexdigest() == P.BCCD_SHA256
    assert P.listing_digest(bccd) == P.BCCD_SHA256


# --- download -------------------------------------------------------------------------------------


class Reply(NamedTuple):
    """What the server answers; `length`: a Content-Length other than the true one, 0 for none."""

    body: bytes
    status: int = 200
    length: int | None = None


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Reply], str]]:
    """Answer each request on 127.0.0.1 with the reply last given; gives the address."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    replies: list[Reply] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            reply = replies[-1]
            self.send_response(reply.status)
            if reply.length != 0:
                self.send_header("Content-Length", str(reply.length or len(reply.body)))
            self.end_headers()
            self.wfile.write(reply.body)

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()

    def answer(reply: Reply) -> str:
        replies.append(reply)
        return f"http://127.0.0.1:{server.server_port}/archive/abc.zip"

    yield answer
    server.shutdown()
    server.server_close()
    thread.join()


def github_zip(dataset: Path, edits: dict[str, bytes] | None = None) -> bytes:
    """A zip as GitHub makes it of Shenggan/BCCD_Dataset; `edits` replaces files of the dataset."""
    top = "BCCD_Dataset-abc"
    files = {f"BCCD/{name}": content for name, content in files_below(dataset).items()}
    files |= {"LICENSE": b"MIT License", "README.md": b"# BCCD", "scripts/split.py": b"pass"}
    files |= {f"BCCD/{name}": content for name, content in (edits or {}).items()}
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr(f"{top}/", b"")
        for name, content in files.items():
            file.writestr(f"{top}/{name}", content)
    return buffer.getvalue()


class Published(NamedTuple):
    """A small dataset as it would be published: its files, digest and zip."""

    root: Path
    digest: str
    zip: bytes


@pytest.fixture
def published(voc_dataset: Callable[..., Path]) -> Published:
    root = voc_dataset(6, name="published", suffix=".jpg")
    write_lists(root, train="field0 field1", val="field2 field3", test="field4 field5")
    paths = [*root.glob("Annotations/*"), *root.glob("JPEGImages/*")]
    lines = sorted(
        (p.relative_to(root).as_posix(), hashlib.sha256(p.read_bytes()).hexdigest()) for p in paths
    )
    listing = "".join(f"{digest}  {name}\n" for name, digest in lines)
    return Published(root, hashlib.sha256(listing.encode()).hexdigest(), github_zip(root))


def test_download_whole(
    serve: Callable[[Reply], str], published: Published, tmp_path: Path
) -> None:
    target = tmp_path / "data"
    (target / "JPEGImages").mkdir(parents=True)
    (target / "JPEGImages" / "stale.jpg").write_bytes(b"of an older copy")
    (target / "sample").mkdir()
    (target / "README.md").write_text("ours")
    P.download_bccd(target, serve(Reply(published.zip)), published.digest)
    wanted = files_below(published.root) | {"LICENSE": b"MIT License", "README.md": b"ours"}
    assert files_below(target) == wanted
    assert (target / "sample").is_dir()
    assert P.find_dataset(target) == target
    assert not list(target.glob(".*"))


def bad_replies(published: Published) -> dict[str, Reply]:
    whole = published.zip
    changed = (published.root / "Annotations" / "field0.xml").read_bytes().replace(b"10", b"11")
    extra = {"JPEGImages/extra.jpg": b"one more image"}
    other = io.BytesIO()
    with zipfile.ZipFile(other, "w") as file:
        file.writestr("top/readme.txt", "no dataset here")
    # Where a zip's first file starts, after its header; the deflated bytes are spoilt from there.
    stream = whole.index(b"field0.xml") + len(b"field0.xml") + 4
    spoilt = whole[:stream] + b"\xff" * 40 + whole[stream + 40 :]
    return {
        "cut short": Reply(whole[: len(whole) // 2], length=len(whole)),
        "cut short, length unknown": Reply(whole[: len(whole) // 2], length=0),
        "empty": Reply(b"", length=0),
        "a page": Reply(b"<html>log in to this wifi</html>"),
        "another zip": Reply(other.getvalue()),
        "one byte of it changed": Reply(
            github_zip(published.root, {"Annotations/field0.xml": changed})
        ),
        "one file more": Reply(github_zip(published.root, extra)),
        "spoilt on the way": Reply(spoilt),
        "not found": Reply(b"no such page", status=404),
        "server error": Reply(b"try later", status=503),
    }


BAD_REPLIES = {
    "cut short": "download failed",
    "cut short, length unknown": "not the BCCD archive",
    "empty": "not the BCCD archive",
    "a page": "not the BCCD archive",
    "another zip": "not the BCCD archive",
    "one byte of it changed": "differs from BCCD as published",
    "one file more": "differs from BCCD as published",
    "spoilt on the way": "not the BCCD archive",
    "not found": "404",
    "server error": "503",
}


@pytest.mark.parametrize("installed", [False, True], ids=["afresh", "over an older copy"])
@pytest.mark.parametrize(
    "case",
    BAD_REPLIES,
)
def test_download_that_fails_leaves_all_as_it_was_and_can_be_run_again(
    serve: Callable[[Reply], str],
    published: Published,
    voc_dataset: Callable[..., Path],
    tmp_path: Path,
    case: str,
    installed: bool,
) -> None:
    target = voc_dataset(2, name="data") if installed else tmp_path / "data"
    before = files_below(target)
    url = serve(bad_replies(published)[case])
    with pytest.raises(P.UserError, match=BAD_REPLIES[case]) as caught:
        P.download_bccd(target, url, published.digest)
    assert url in str(caught.value)
    assert "\n" not in str(caught.value)
    assert files_below(target) == before
    assert not list(target.glob(".*"))
    P.download_bccd(target, serve(Reply(published.zip)), published.digest)
    assert P.listing_digest(target) == published.digest
    assert not list(target.glob(".*"))


def test_download_with_no_network(published: Published, tmp_path: Path) -> None:
    with socket.socket() as taken:  # a port that nothing listens on
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/a.zip"
        with pytest.raises(P.UserError, match="check the network"):
            P.download_bccd(tmp_path / "data", url, published.digest)
    assert not files_below(tmp_path / "data")
    assert not list((tmp_path / "data").glob(".*"))


def test_download_interrupted_leaves_nothing(
    serve: Callable[[Reply], str],
    published: Published,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def stop(_: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(P, "listing_digest", stop)
    with pytest.raises(KeyboardInterrupt):
        P.download_bccd(tmp_path / "data", serve(Reply(published.zip)), published.digest)
    assert not list((tmp_path / "data").iterdir())


def test_download_then_run(
    serve: Callable[[Reply], str],
    published: Published,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    run: Callable[..., Outcome],
) -> None:
    fetch = P.download_bccd
    monkeypatch.setattr(P, "HERE", tmp_path)
    monkeypatch.setattr(P, "download_bccd", lambda to: fetch(to, url, published.digest))
    args = ("--download", "--image-size", 32, "--output", tmp_path / "a.npz")
    url = serve(Reply(b"", status=404))
    result = run(*args)
    assert result.status == 2
    assert result.err.splitlines()[-1].startswith("error: http://127.0.0.1:")
    assert "Traceback" not in result.err
    assert not (tmp_path / "a.npz").exists()
    serve(Reply(published.zip))
    assert run(*args).status == 0
    found = metadata(load(tmp_path / "a.npz"))
    assert found["fields"] == {"train": 2, "val": 2, "test": 2}
    assert found["split"] == "official"


# --- options and errors ---------------------------------------------------------------------------


def test_help_lists_every_option_with_its_default(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    with pytest.raises(SystemExit) as left:
        P.main(["--help"])
    assert left.value.code == 0
    out, err = capsys.readouterr()
    assert err == ""
    options = re.split(r"^  (?=-)", out, flags=re.M)
    by_name = {re.split(r"[ \n]", text)[0]: text for text in options[1:]}
    for field in dataclasses.fields(P.Options):
        text = by_name["--" + field.name.replace("_", "-")]
        assert field.default in (None, False) or f"(default: {field.default})" in text
    assert "(default: data/ or data/sample/)" in by_name["--data-dir"]
    assert {"--download", "--preview"} <= by_name.keys()
    assert "{binary,multiclass}" in by_name["--task"]
    assert "{auto,official,random,test}" in by_name["--split"]
    assert "pixels" in by_name["--image-size"]


@pytest.mark.parametrize(
    "args",
    [
        ["--image-size", "31"],
        ["--image-size", "513"],
        ["--image-size", "big"],
        ["--image-size", "-5"],
        ["--image-size", "64.5"],
        ["--task", "ternary"],
        ["--split", "half"],
        ["--seed", "-1"],
        ["--seed", "x"],
        ["--background", "-0.1"],
        ["--background", "11"],
        ["--background", "nan"],
        ["--workers", "0"],
        ["--no-such-option"],
        ["stray"],
        ["--output"],
    ],
    ids=" ".join,
)
def test_bad_options(
    voc_dataset: Callable[..., Path],
    run: Callable[..., Outcome],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    args: list[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    root = voc_dataset(4)
    assert args[0] in only_error(run("--data-dir", root, *args))
    assert list(tmp_path.iterdir()) == [root]


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


def two_below(root: Path) -> None:
    for name in ("a", "b"):
        shutil.copytree(root / "JPEGImages", root / name / "JPEGImages")
        shutil.copytree(root / "Annotations", root / name / "Annotations")
    shutil.rmtree(root / "JPEGImages")


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (shutil.rmtree, "no such folder"),
        (empty, "no folder with JPEGImages/ and Annotations/"),
        (a_file, "no such folder"),
        (no_annotations, "no folder with JPEGImages/ and Annotations/"),
        (empty_folders, "no field with a usable box"),
        (other_stems, "no field with a usable box"),
        (no_boxes, "no field with a usable box"),
        (no_area, "no field with a usable box"),
        (two_fields, "at least 3"),
        (two_below, "2 folders"),
    ],
)
def test_bad_dataset(
    voc_dataset: Callable[..., Path],
    run: Callable[..., Outcome],
    tmp_path: Path,
    spoil: Callable[[Path], None],
    words: str,
) -> None:
    root = voc_dataset(6)
    spoil(root)
    line = only_error(run("--data-dir", root, "--output", tmp_path / "a.npz"))
    assert words in line
    assert words == "at least 3" or str(root) in line
    assert not (tmp_path / "a.npz").exists()


@pytest.mark.parametrize("content", [None, b"\xff\xfe\x00field0"], ids=["missing", "not text"])
def test_official_split_without_readable_lists(
    voc_dataset: Callable[..., Path],
    run: Callable[..., Outcome],
    tmp_path: Path,
    content: bytes | None,
) -> None:
    root = voc_dataset(4)
    write_lists(root, train="field0", val="field1")
    if content:
        (root / "ImageSets" / "Main" / "test.txt").write_bytes(content)
    args = ("--data-dir", root, "--split", "official", "--output", tmp_path / "a.npz")
    assert "test.txt" in only_error(run(*args))


def test_output_that_cannot_be_written(
    voc_dataset: Callable[..., Path], run: Callable[..., Outcome], tmp_path: Path
) -> None:
    root = voc_dataset(4)
    (tmp_path / "file").write_text("a file")
    (tmp_path / "folder").mkdir()
    line = only_error(run("--data-dir", root, "--output", tmp_path / "file" / "a.npz"))
    assert str(tmp_path / "file") in line
    line = only_error(run("--data-dir", root, "--output", tmp_path / "folder"))
    assert "is a folder" in line
    assert {p.name for p in tmp_path.iterdir()} == {"voc", "file", "folder"}


def test_output_that_is_a_folder_is_named_in_the_error(
    voc_dataset: Callable[..., Path], run: Callable[..., Outcome], tmp_path: Path
) -> None:
    root = voc_dataset(4)
    (tmp_path / "folder").mkdir()
    line = only_error(run("--data-dir", root, "--output", tmp_path / "folder"))
    assert line.startswith(f"error: {tmp_path / 'folder'}: ")


def test_preview_of_an_unknown_kind_is_refused(
    voc_dataset: Callable[..., Path], run: Callable[..., Outcome], tmp_path: Path
) -> None:
    args = ("--output", tmp_path / "a.npz", "--preview", tmp_path / "sheet.xyz")
    assert "sheet.xyz" in only_error(run("--data-dir", voc_dataset(4), *args))


def test_as_a_command(voc_dataset: Callable[..., Path], tmp_path: Path) -> None:
    def execute(*args: object) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, str(SCRIPT), *map(str, args)]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)

    good = execute("--data-dir", voc_dataset(5), "--image-size", 32)
    assert good.returncode == 0
    assert good.stdout.startswith("5 fields, ")
    assert "Warning" not in good.stderr and "Traceback" not in good.stderr
    assert metadata(load(tmp_path / "preprocessed_data.npz"))["image_size"] == 32
    bad = execute("--data-dir", "nowhere")
    assert bad.returncode == 2
    assert only_error(Outcome(bad.returncode, bad.stdout, bad.stderr)).startswith("error: nowhere:")


@pytest.mark.parametrize("seconds", [0.0, 0.4])
def test_progress_hands_on_every_item_and_shows_a_bar_after_a_second(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], seconds: float
) -> None:
    clock = iter(range(1000))
    monkeypatch.setattr(P.time, "perf_counter", lambda: seconds * next(clock))
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    seen = []
    for item in P.progress(iter("abcdefgh"), 8, "spelling"):
        seen.append(item)
        if seconds and item > "d":
            time.sleep(0.15)
    assert seen == list("abcdefgh")
    assert ("spelling" in capsys.readouterr().err) == bool(seconds)
    assert list(P.progress([], 0, "nothing")) == []
