"""Annotated fields on disk: their boxes, their pictures, where they lie, how they are dealt out."""

from __future__ import annotations

import hashlib
import re
import shutil
from collections.abc import Callable
from itertools import chain
from pathlib import Path

import numpy as np
import pytest
from drawing import PLATELET, RBC, box_xml

from hematovision.archive import SPLITS
from hematovision.cells import Segment
from hematovision.console import UserError
from hematovision.dataset import (
    BCCD_SHA256,
    Field,
    clip_boxes,
    find_dataset,
    listing_digest,
    read_boxes,
    read_dataset,
    split_fields,
)

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
    segments, dropped = clip_boxes(read_boxes(path), width=100, height=80)
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
    fields, left_out = read_dataset(root, workers=2)
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


def test_every_annotation_of_bccd_is_read_as_its_text_says(bccd: Path) -> None:
    pattern = re.compile(
        r"<name>(\w+)</name>.*?<xmin>(\d+)</xmin>\s*<ymin>(\d+)</ymin>\s*"
        r"<xmax>(\d+)</xmax>\s*<ymax>(\d+)</ymax>",
        re.DOTALL,
    )
    total = 0
    for path in sorted((bccd / "Annotations").glob("*.xml")):
        wanted = [(k, [float(v) for v in c]) for k, *c in pattern.findall(path.read_text())]
        assert read_boxes(path) == wanted, path
        total += len(wanted)
    assert total == 4888


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
    fields, left_out = read_dataset(root, workers=2)
    assert [f.name for f in fields] == ["field0.png", "field3.png", "field5.png"]
    assert left_out == {
        "image without annotation": 2,
        "annotation without image": 1,
        "second image of the same name": 1,
    }


def test_the_real_size_counts_not_the_size_in_the_xml(voc_dataset: Callable[..., Path]) -> None:
    root = voc_dataset({"a": [("RBC", 190, 130, 270, 170)]})
    path = root / "Annotations" / "a.xml"
    path.write_text(re.sub(r"<(width|height)>\d+<", r"<\1>0<", path.read_text()))
    fields, _ = read_dataset(root, workers=1)
    assert fields[0].segments == [("RBC", (190, 130, 240, 170))]


# --- where it lies -------------------------------------------------------------------------------


def test_dataset_is_found_as_named_or_nested_below(voc_dataset: Callable[..., Path]) -> None:
    root = voc_dataset(1, name="blood-cells/dataset-master/dataset-master")
    parent = root.parents[1]
    (parent / "dataset2-master" / "JPEGImages").mkdir(parents=True)  # images only: not one
    assert find_dataset(root) == root
    assert find_dataset(parent) == root
    voc_dataset(1, name="blood-cells/copy")
    with pytest.raises(UserError, match="2 folders"):
        find_dataset(parent)
    assert find_dataset(root) == root


def test_without_data_dir_it_takes_data_else_the_sample_and_says_which(
    voc_dataset: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    monkeypatch.setattr("hematovision.dataset.HERE", tmp_path)
    sample = voc_dataset(1, name="data/sample")
    assert find_dataset(None) == sample
    assert str(sample) in capsys.readouterr().err
    data = voc_dataset(1, name="data")
    assert find_dataset(None) == data
    assert str(data) in capsys.readouterr().err


# --- splits --------------------------------------------------------------------------------------


def split_names(by_split: dict[str, list[Field]]) -> dict[str, list[str]]:
    return {split: [f.name for f in fields] for split, fields in by_split.items()}


def bare_fields(n: int, label: str = "RBC") -> list[Field]:
    """Fields with a box each and no image: enough to split."""
    segments = [Segment(label, (0, 0, 9, 9))]
    return [Field(Path(f"f{i:03}.png"), "", segments, np.ones((1, 1), bool)) for i in range(n)]


@pytest.mark.parametrize(("n", "sizes"), [(3, [1, 1, 1]), (20, [14, 3, 3]), (100, [70, 15, 15])])
def test_random_split_deals_each_field_once(n: int, sizes: list[int]) -> None:
    fields = bare_fields(n)
    by_split, how = split_fields(fields, Path("nowhere"), "random", 42)
    assert how == "random"
    names = split_names(by_split)
    assert [len(names[s]) for s in SPLITS] == sizes
    assert sorted(chain(*names.values())) == [f.name for f in fields]


def test_random_split_follows_the_seed() -> None:
    fields = bare_fields(40)
    first, again, other = (
        split_names(split_fields(fields, Path("nowhere"), "random", seed)[0]) for seed in (1, 1, 2)
    )
    assert first == again
    assert first != other


def test_random_split_spreads_a_rare_label() -> None:
    fields = bare_fields(34) + [
        Field(Path(f"w{i}.png"), "", [Segment("WBC", (0, 0, 9, 9))], np.ones((1, 1), bool))
        for i in range(6)
    ]
    for seed in range(20):
        by_split, _ = split_fields(fields, Path("nowhere"), "random", seed)
        for split, of_split in by_split.items():
            labels = {s.label for f in of_split for s in f.segments}
            assert labels == {"RBC", "WBC"}, (seed, split)


def test_bccd_random_split_shares_no_field(bccd: Path, bccd_fields: tuple) -> None:
    splits = [split_fields(bccd_fields[0], bccd, "random", seed)[0] for seed in (1, 2)]
    assert split_names(splits[0]) != split_names(splits[1])
    for by_split in splits:
        names = split_names(by_split)
        assert {s: len(names[s]) for s in SPLITS} == {"train": 254, "val": 55, "test": 55}
        assert len(set(chain(*names.values()))) == 364


def test_bccd_digest_is_the_published_one(bccd: Path) -> None:
    listing = (bccd / "SHA256SUMS").read_bytes()
    assert hashlib.sha256(listing).hexdigest() == BCCD_SHA256
    assert listing_digest(bccd) == BCCD_SHA256
