"""Whatever lies in a file, a reader gives what it promises or one UserError; never anything else.

Hypothesis damages files that were whole: some hundred in `make test`, always the same; for minutes,
other ones each time, in `make fuzz`. What is found becomes a test of its own beside the reader's.
"""

from __future__ import annotations

import gzip
import io
import json
import math
import time
import zipfile
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

from evaluate_model import read_history
from hematovision.annotations.annotation import LARGEST
from hematovision.annotations.class_names import read_names
from hematovision.annotations.reading import read_annotations
from hematovision.archive.loading import load_archive
from hematovision.datasets.dataset import Dataset
from hematovision.datasets.opening import open_datasets
from hematovision.datasets.pairing.split_lists import read_list
from hematovision.datasets.read_index import MARK, MARKED, ReadIndex, pack
from hematovision.datasets.reading import read_fields
from hematovision.networks.card import PRETRAINED, read_card
from hematovision.pictures.images import read_image
from hematovision.program.console import UserError, printable
from hematovision.program.journal import Journal
from hematovision.program.left import LIST, Left
from hematovision.training.checkpoint import Checkpoint
from hematovision.training.cluster import parse_cluster
from hematovision.training.crops.rehearsal import FILE, Rehearsal, read_rehearsal, write_rehearsal
from hematovision.training.workers import ALONE

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


# --- long, large and odd --------------------------------------------------------------------------

# What a reader may go back over, again and again, to find where something ends.
LONG = (
    " ", "\t", "\n", "<", ">", "&", "<!DOCTYPE ", "<!--", "<a ", "a.", "[", "]", "{", "(", "'",
    '"', "\\", ",", ";", "-", "- ", "#", ":", "0", "9", "1,2;", "1,2,3,4,0 ", "names:", "\0",
)  # fmt: skip
SOON = 5.0  # seconds of this process


@FUZZ
@given(data=st.data())
def test_what_is_long_is_answered_soon(data: st.DataObject, tmp_path: Path) -> None:
    """Forty kilobytes of one or two things, anywhere in what was whole."""
    suffix, whole = GOOD[data.draw(st.sampled_from(sorted(GOOD)))]
    at = data.draw(st.integers(0, len(whole)))
    parts = data.draw(st.lists(st.sampled_from(LONG), min_size=1, max_size=2))
    text = "".join(parts).encode() * (40_000 // len("".join(parts)))
    start = time.process_time()
    readers: dict[str, Callable[..., Any]] = {f"a{suffix}": read_annotations}
    readers |= dict.fromkeys(("data.yaml", "classes.txt", "notes.json"), read_names)
    readers["train.txt"] = read_list
    for name, read in readers.items():
        path = tmp_path / name
        path.write_bytes(whole[:at] + text + whole[at:])
        refused(lambda read=read, path=path: list(read(path)))
    assert time.process_time() - start < SOON


NUMBERS = st.one_of(
    st.floats().map(repr), st.integers().map(str), st.text("0123456789eE+-.,_xinfa ", max_size=12),
    st.sampled_from(["1e308", "-1e308", "1e-320", "9" * 5000, "inf", "-Infinity", "nan", "0x1p3",
                     "1_000", "\u0663", "-0", "", " 7 ", "1,5", "1.2.3", "true", "\uff17"]),
)  # fmt: skip


@FUZZ
@given(data=st.data())
def test_every_number_is_finite_and_bounded(data: st.DataObject, tmp_path: Path) -> None:
    """Whatever stands where a number did."""
    suffix, whole = GOOD[data.draw(st.sampled_from(sorted(GOOD)))]
    text = whole.decode("latin-1")
    for old in data.draw(st.lists(st.sampled_from(["10", "20", "50", "60", "70", "120", "160"]))):
        text = text.replace(old, data.draw(NUMBERS), data.draw(st.integers(1, 3)))
    path = tmp_path / f"a{suffix}"
    path.write_bytes(text.encode("utf-8", "replace"))

    def read() -> None:
        for annotation in read_annotations(path):
            assert annotation.size is None or all(1 <= n <= LARGEST for n in annotation.size)
            for box in annotation.boxes:
                assert all(math.isfinite(v) and abs(v) <= 3 * LARGEST for v in box.corners)

    refused(read)


RUNS = st.one_of(
    st.text(st.characters(min_codepoint=40, max_codepoint=120), max_size=30), ODD,
    st.lists(st.one_of(st.integers(-9, 1 << 40), ODD), max_size=8), st.just([0, 1 << 62, 1]),
)  # fmt: skip


@FUZZ
@given(counts=RUNS, size=st.one_of(st.lists(st.integers(-1, 1 << 40), max_size=3), ODD))
def test_masks_of_runs(counts: Any, size: Any, tmp_path: Path) -> None:
    found = json.loads(json.dumps(COCO))
    found["annotations"][1] = {
        "id": 2, "image_id": 1, "category_id": 2, "iscrowd": 1,
        "segmentation": {"counts": counts, "size": size},
    }  # fmt: skip
    path = tmp_path / "a.json"
    path.write_text(json.dumps(found))
    refused(lambda: check_annotations(path))


@FUZZ
@given(rows=st.recursive(ODD, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))
def test_names_of_classes(rows: Any, tmp_path: Path) -> None:
    for name, told in (
        ("notes.json", json.dumps({"categories": rows})), ("data.yaml", f"names: {rows}"),
        ("obj.names", f"{rows}"),
    ):  # fmt: skip
        (tmp_path / name).write_text(told, "utf-8", "replace")
        refused(lambda name=name: read_names(tmp_path / name))


CLUSTER = {"cluster": {"chief": ["a:1"], "worker": ["b:2"]}, "task": {"type": "worker", "index": 0}}


@FUZZ
@given(config=misplace(CLUSTER))
def test_clusters(config: Any) -> None:
    try:
        cluster = parse_cluster(config)
    except (UserError, ValueError, LookupError, TypeError, ArithmeticError):
        return
    assert 0 <= cluster.index < cluster.count


# --- what is kept ---------------------------------------------------------------------------------


@st.composite
def repack(draw: st.DrawFn, whole: bytes) -> bytes:
    """An .npz of which bytes are damaged, or a member is: renamed, doubled, gone, its flags or its
    kind of compression changed."""
    if draw(st.booleans()):
        return draw(damage(whole))
    with zipfile.ZipFile(io.BytesIO(whole)) as file:
        members = [(name, file.read(name)) for name in file.namelist()]
    k = draw(st.integers(0, len(members) - 1))
    name, content = members[k]
    how = draw(st.sampled_from(["rename", "double", "drop", "content", "flags"]))
    if how == "rename":
        members[k] = (draw(st.text(max_size=8)) + ".npy", content)
    elif how == "double":
        members.append((name, draw(damage(content))))
    elif how == "drop":
        del members[k]
    elif how == "content":
        members[k] = (name, draw(damage(content)))
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", draw(st.sampled_from([0, 8, 12, 14]))) as file:
        for name, content in members:
            file.writestr(name, content)
    data = bytearray(packed.getvalue())
    if how == "flags":  # encrypted, or of a compression that nobody knows
        at = data.index(b"PK\1\2") + draw(st.sampled_from([8, 10]))
        data[at : at + 2] = draw(st.binary(min_size=2, max_size=2))
    return bytes(data)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_crops_kept_with_a_model(tmp_path: Path) -> None:
    kept = Rehearsal(np.ones((4, 2, 2, 3), np.float16), np.array(["RBC"] * 4))
    write_rehearsal(tmp_path, kept)

    @FUZZ
    @given(data=repack((tmp_path / FILE).read_bytes()))
    def read(data: bytes) -> None:
        (tmp_path / FILE).write_bytes(data)
        try:
            found = read_rehearsal(tmp_path)
        except ValueError as error:
            assert "\n" not in printable(str(error))
            return
        assert found is not None and len(found.maps) == len(found.label)

    read()


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_checkpoints(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Variable:
        value, shape = np.ones(3), (3,)

        def numpy(self) -> np.ndarray:
            return self.value

        def assign(self, value: np.ndarray) -> None:
            assert value.tolist() == [1, 1, 1]  # or it isn't as it was written

    monkeypatch.setattr("hematovision.training.checkpoint.find_workers", lambda: ALONE)
    path = tmp_path / "unfinished_crops.npz"
    Checkpoint(tmp_path, {}, False).save("crops", 1, [Variable()], [{"epoch": 1}], more=np.eye(2))

    @FUZZ
    @given(data=repack(path.read_bytes()))
    def resume(data: bytes) -> None:
        path.write_bytes(data)
        reached = Checkpoint(tmp_path, {}, True).load("crops", [Variable()])
        assert reached is None or (reached.epoch, reached.history) == (1, [{"epoch": 1}])

    resume()


def test_journals(tmp_path: Path) -> None:
    images = [tmp_path / f"{k}.png" for k in range(3)]
    path = tmp_path / "answers.jsonl"
    journal = Journal(path, {}, resume=False)
    for k, image in enumerate(images):
        image.write_bytes(b"a picture")
        journal.add(image, {"answer": {"count": k}})
    words = (b"\n", b'"', b"{}", b"[", b"null\n", b'{"run": 1}\n', b'{"answer": 1}\n', b"\xff")

    @FUZZ
    @given(data=damage(path.read_bytes(), words))
    def resume(data: bytes) -> None:
        path.write_bytes(data)

        def take_up() -> None:
            again = Journal(path, {}, resume=True)
            done = again.take_up(images)
            assert [entry["answer"]["count"] for entry in again] == [*range(done)]
            assert again.list_images() == images[:done]

        refused(take_up)

    resume()


@FUZZ
@given(data=damage(b"0" * 64 + b"  a.txt\n", (b"\n", b"\r", b"\0", b"  ", b"\xff")))
def test_lists_of_what_was_left(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("corrected")
    (tmp_path / LIST).write_bytes(data)
    assert Left(tmp_path).is_changed(tmp_path / "a.txt")


HISTORY = b"phase,epoch,loss,accuracy,seconds\nhead,0,,0.5,\nfine-tune,1,0.3,0.9,12.5\n"


@FUZZ
@given(data=damage(HISTORY, (b"\n", b",", b'"', b"nan", b"1e999", b"\xff", b"\0")))
def test_histories(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "history.csv").write_bytes(data)
    refused(lambda: read_history(tmp_path / "history.csv"))


def test_read_indices(voc_dataset: Callable[..., Path], tmp_path: Path) -> None:
    """The digest that seals what was read is made anew: what lies below it is damaged."""
    dataset: Dataset
    (dataset,) = open_datasets([voc_dataset(2)])
    fields = read_fields(dataset, 1)
    rows = [pack(field, dataset.findings) for field in fields]
    index = ReadIndex(tmp_path / "kept")
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / MARK).write_text(MARKED)
    path = tmp_path / "kept" / "a.json.gz"

    @FUZZ
    @given(found=misplace(rows), cut=st.integers(0, 3))
    def load(found: Any, cut: int) -> None:
        index._save(path, json.dumps(found).encode())
        data = path.read_bytes()
        path.write_bytes(data[: len(data) - cut] + gzip.compress(b"") * (cut == 1))
        read = index._load(path, dataset, dataset.notes)
        assert read is None or len(read) == len(dataset.notes)

    load()
