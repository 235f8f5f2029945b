"""Whatever lies in a file, a reader gives what it promises or one UserError; never anything else.

Hypothesis damages files that were whole: some hundred in `make test`, always the same; for minutes,
other ones each time, in `make fuzz`. What is found becomes a test of its own beside the reader's.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from annotated import GOOD
from conftest import EXAMPLES, load
from drawing import BOXES, voc_xml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hematovision.annotations.reading import read_annotations
from hematovision.archive.loading import load_archive
from hematovision.networks.card import PRETRAINED, read_card
from hematovision.pictures.images import read_image
from hematovision.program.console import UserError, printable

FUZZ = settings(
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
ODD = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=20),
    st.builds(list), st.builds(dict), st.just("\x1b[2J\u202e\n"),
    st.just(1 << 70), st.builds(lambda: [[[1]]]),
)  # fmt: skip


def refused(read: Callable[[], Any]) -> str | None:
    """What the reader says of a file that it refuses: one line; None where it read it."""
    try:
        read()
    except UserError as error:
        told = printable(str(error))
        assert told and "\n" not in told
        return told
    return None


@st.composite
def damage(draw: st.DrawFn, whole: bytes, words: tuple[bytes, ...] = ()) -> bytes:
    """Bytes of a whole file with some changed, taken out, doubled or put in, or its end cut off."""
    data = bytearray(whole)
    for _ in range(draw(st.integers(1, 6))):
        at = draw(st.integers(0, max(0, len(data) - 1)))
        # Most of what decides stands at the beginning.
        at = min(at, draw(st.sampled_from([len(data), 64, 512])))
        span = draw(st.integers(1, 16))
        how = draw(st.sampled_from(["change", "drop", "double", "insert", "cut"]))
        if how == "change":
            data[at : at + span] = draw(st.binary(min_size=span, max_size=span))
        elif how == "drop":
            del data[at : at + span]
        elif how == "double":
            data[at:at] = data[at : at + 8 * span]
        elif how == "insert":
            data[at:at] = draw(st.one_of(st.binary(max_size=16), st.sampled_from([b"", *words])))
        else:
            del data[max(at, len(data) - 64 * span) :]
    return bytes(data)


@st.composite
def misplace(draw: st.DrawFn, whole: Any) -> Any:
    """A JSON object with some of its values replaced by odd ones, or gone."""
    found = json.loads(json.dumps(whole))
    for _ in range(draw(st.integers(1, 3))):
        place = found
        while True:
            keys = list(place) if isinstance(place, dict) else list(range(len(place)))
            if not keys:
                break
            key = draw(st.sampled_from(keys))
            inner = place[key]
            if isinstance(inner, dict | list) and inner and draw(st.booleans()):
                place = inner
                continue
            if isinstance(place, dict) and draw(st.booleans()):
                del place[key]
            else:
                place[key] = draw(ODD)
            break
    return found


def check_annotations(path: Path) -> None:
    for annotation in read_annotations(path):
        for box in annotation.boxes:
            assert isinstance(box.label, str) and len(box.corners) == 4


XML_WORDS = (b"<object>", b"</object>", b"&", b"<!DOCTYPE a [<!ENTITY b 'c'>]>", b"&b;",
             b"\xff\xfe", b"<bndbox><xmin>1e999</xmin></bndbox>", b"nan", b"-",
             b"<![CDATA[", b"\0")  # fmt: skip


@FUZZ
@given(data=damage(voc_xml(BOXES).encode(), XML_WORDS))
def test_xml(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.xml"
    path.write_bytes(data)
    refused(lambda: check_annotations(path))


COCO = {
    "images": [{"id": 1, "file_name": "a.jpg", "width": 640, "height": 480}],
    "categories": [{"id": 1, "name": "RBC"}, {"id": 2, "name": "WBC"}],
    "annotations": [
        {"id": 1, "image_id": 1, "category_id": 1, "bbox": [10, 20, 30, 40], "area": 1200},
        {"id": 2, "image_id": 1, "category_id": 2, "bbox": [50.5, 60, 70, 80],
         "segmentation": [[50, 60, 120, 60, 120, 140]], "iscrowd": 0},
    ],
}  # fmt: skip
LABELME = {
    "version": "5.0", "imagePath": "a.jpg", "imageWidth": 640, "imageHeight": 480,
    "shapes": [{"label": "RBC", "shape_type": "rectangle", "points": [[1, 2], [30, 40]]},
               {"label": "WBC", "shape_type": "circle", "points": [[90, 90], [99, 99]]}],
}  # fmt: skip


@FUZZ
@given(found=st.one_of(misplace(COCO), misplace(LABELME)))
def test_json(found: Any, tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text(json.dumps(found))
    refused(lambda: check_annotations(path))


@pytest.mark.parametrize("kind", GOOD)
def test_every_kind_of_annotation(kind: str, tmp_path: Path) -> None:
    suffix, whole = GOOD[kind]
    path = tmp_path / f"a{suffix}"
    damaged = damage(whole, (b'"', b"\n", b"1e999", b"nan", b"[", b"<"))
    if suffix.endswith("json"):
        content = misplace(json.loads(whole.decode("utf-8-sig")))
        damaged = st.one_of(damaged, content.map(lambda found: json.dumps(found).encode()))

    @FUZZ
    @given(data=damaged)
    def read(data: bytes) -> None:
        path.write_bytes(data)
        refused(lambda: check_annotations(path))

    read()


CSV = b"filename,width,height,class,xmin,ymin,xmax,ymax\na.jpg,640,480,RBC,1,2,30,40\n"


@FUZZ
@given(data=damage(CSV, (b'"', b"\n", b",,", b";", b"\xff\xfe", b"1e999", b"nan")))
def test_csv(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(data)
    refused(lambda: check_annotations(path))


def encode(suffix: str) -> bytes:
    """A small real picture, a red cell, in a format that OpenCV writes."""
    picture = cv2.imread(str(EXAMPLES / "red_cell.png"))
    return cv2.imencode(suffix, picture)[1].tobytes()


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".bmp", ".tif", ".webp", ".jp2"])
def test_pictures(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"a{suffix}"

    @FUZZ
    @given(data=damage(encode(suffix)))
    def try_out(data: bytes) -> None:
        def read() -> None:
            image = read_image(path, data)
            assert image.dtype == np.uint8 and image.ndim == 3 and image.shape[2] == 3

        refused(read)

    try_out()


CARD = json.loads((PRETRAINED / "hematovision.json").read_text())
CARD |= {key: CARD[key][:3] for key in ("training_fields", "training_looks")}


@FUZZ
@given(card=misplace(CARD))
def test_cards(card: Any, tmp_path: Path) -> None:
    (tmp_path / "hematovision.json").write_text(json.dumps(card))
    told = refused(lambda: read_card(tmp_path))
    assert told is None or "not a HematoVision model" in told


@st.composite
def distort(draw: st.DrawFn, whole: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """An archive of which some arrays are missing, of another type or shape, or hold odd values."""
    arrays = dict(whole)
    for _ in range(draw(st.integers(1, 3))):
        key = draw(st.sampled_from(sorted(arrays)))
        array = arrays[key]
        how = draw(st.sampled_from(["drop", "type", "shape", "value", "shorter", "metadata"]))
        if how == "drop":
            del arrays[key]
        elif how == "type" and array.dtype.kind in "iuf":
            kind = draw(st.sampled_from(["int8", "uint64", "float64", "bool", "U3", "complex64"]))
            with np.errstate(all="ignore"):
                arrays[key] = array.astype(kind)
        elif how == "shape":
            arrays[key] = draw(st.sampled_from([array[np.newaxis], array.ravel(), array[..., :0]
                                                if array.ndim else array.ravel()]))  # fmt: skip
        elif how == "value" and array.size and array.dtype.kind in "iuf":
            changed = array.copy()
            odd = [-1, 0, 1, 255] + [np.nan, np.inf] * (array.dtype.kind == "f")
            with np.errstate(all="ignore"):
                value = np.array(draw(st.sampled_from(odd))).astype(array.dtype)
            changed.flat[draw(st.integers(0, array.size - 1))] = value
            arrays[key] = changed
        elif how == "shorter" and array.ndim:
            arrays[key] = array[: len(array) // 2]
        elif how == "metadata" and "metadata" in arrays and arrays["metadata"].dtype.kind == "U":
            about = json.loads(str(whole["metadata"]))
            arrays["metadata"] = np.array(json.dumps(draw(misplace(about))))
    return arrays


def test_archives(tiny: Path, tmp_path: Path) -> None:
    small = {k: v[:12] if k.startswith(("X_", "y_", "label_", "source_", "box_", "lab_")) else v
             for k, v in load(tiny).items()}  # fmt: skip
    path = tmp_path / "a.npz"

    @FUZZ
    @given(arrays=distort(small))
    def try_out(arrays: dict[str, np.ndarray]) -> None:
        np.savez(path, **arrays)
        wanted = ["train", "val", "test"]

        def read() -> None:
            archive = load_archive(path, wanted)
            for split in archive.splits.values():
                assert split.X.dtype == np.uint8 and len(split.X) == len(split.y)
                assert not len(split.y) or 0 <= split.y.min() <= split.y.max()

        refused(read)

    try_out()


@FUZZ
@given(data=st.binary(max_size=400) | damage(b"PK\x03\x04" + b"\0" * 60))
def test_what_is_no_archive(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    path.write_bytes(data)
    assert refused(lambda: load_archive(path, ["test"]))
