"""Archives in parts: dealt, written side by side, gone on with after a cut, read as one."""

from __future__ import annotations

import gzip
import itertools
import re
import shutil
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import Run, files_below, load, metadata, only_error

import hematovision.datasets.reading
from hematovision.archive.arrays import JoinedArray, StoredArray
from hematovision.archive.joining import find_own
from hematovision.archive.loading import load_archive
from hematovision.archive.metadata import SPLITS
from hematovision.archive.parts import find_parts
from hematovision.datasets.field import Field, Mask
from hematovision.datasets.read_index import MARK
from hematovision.preparing.splits import deal_parts
from hematovision.program.console import UserError
from hematovision.program.share import Share

NOWHERE = Mask.pack(np.zeros((1, 1), bool))


def make_fields(groups: list[int], split: str = "train") -> list[Field]:
    return [
        Field(Path(f"{i}"), [], NOWHERE, digest=f"{(7 * i) % 31:064x}", group=g, split=split)
        for i, g in enumerate(groups)
    ]


def test_pictures_of_one_group_are_in_one_part_and_parts_are_even() -> None:
    groups = [*range(20), 3, 5, 5]
    home = deal_parts(make_fields(groups), 4)
    assert all(home[i] == home[g] for i, g in enumerate(groups))
    assert sorted(set(home)) == [1, 2, 3, 4]
    assert np.bincount(home[:20])[1:].tolist() == [5, 5, 5, 5]


def test_parts_do_not_hang_on_the_order_of_the_fields() -> None:
    fields = make_fields(list(range(11)))
    home = dict(zip([f.digest for f in fields], deal_parts(fields, 3), strict=True))
    back = fields[::-1]
    assert home == dict(zip([f.digest for f in back], deal_parts(back, 3), strict=True))


def test_fewer_pictures_than_parts_are_refused() -> None:
    with pytest.raises(UserError, match="but 2 different pictures"):
        deal_parts(make_fields([0, 1, 1]), 3)


def test_parts_are_found_by_the_name_of_the_whole(tmp_path: Path) -> None:
    path = tmp_path / "a[1].npz"
    assert find_parts(path) == []
    for k in (2, 1):
        Share(k, 2).name(path).touch()
    (tmp_path / "a[1]-extra-of-00002.npz").touch()
    assert [p.name for p in find_parts(path)] == [
        "a[1]-00001-of-00002.npz", "a[1]-00002-of-00002.npz",
    ]  # fmt: skip
    assert find_parts(Share(1, 2).name(path)) == [Share(1, 2).name(path)]
    path.touch()
    with pytest.raises(UserError, match="remove one"):
        find_parts(path)
    path.unlink()
    Share(1, 3).name(path).touch()
    with pytest.raises(UserError, match="side by side"):
        find_parts(path)
    Share(1, 2).name(path).unlink()
    Share(2, 2).name(path).unlink()
    with pytest.raises(UserError, match=r"2 of 3 parts are missing.*--shard 2/3"):
        find_parts(path)


def make(run: Run, data: Path, output: Path, *args: object) -> None:
    result = run(
        "preprocess_data.py", "--data-dir", data, "--output", output, "--image-size", 32, *args
    )
    assert result.status == 0, result.err


def test_parts_together_hold_what_one_archive_holds(
    voc_dataset: Callable[..., Path], run: Run, tmp_path: Path
) -> None:
    root = voc_dataset(12)
    make(run, root, tmp_path / "one.npz", "--background", 0)
    make(run, root, tmp_path / "many.npz", "--background", 0, "--shards", 2)
    one, many = (load_archive(tmp_path / f"{n}.npz", SPLITS) for n in ("one", "many"))
    told = ("fields", "boxes", "counts", "field_sha256", "field_look", "left_out", "dataset_sha256")
    assert [getattr(one.metadata, k) for k in told] == [getattr(many.metadata, k) for k in told]
    assert one.classes == many.classes
    for split in SPLITS:
        rows = []
        for found in (one, many):
            crops = found.splits[split]
            keys = zip(crops.source.tolist(), crops.box.tolist(), crops.y.tolist(), strict=True)
            pixels = [np.asarray(crop).tobytes() for crop in crops.X]
            fields = {f.name: (bytes(f.data), f.box.tolist())
                      for f in found.fields[split].read(["RBC", "WBC", "Platelets"])}  # fmt: skip
            rows.append((sorted(zip(map(str, keys), pixels, strict=True)), fields))
        assert rows[0] == rows[1]


def test_a_part_alone_has_the_bytes_of_that_part_of_the_whole(
    voc_dataset: Callable[..., Path], run: Run, tmp_path: Path
) -> None:
    root = voc_dataset(12)
    make(run, root, tmp_path / "all" / "a.npz", "--shards", 3)
    whole = files_below(tmp_path / "all")
    assert list(whole) and all("-of-00003.npz" in name for name in whole)  # and no index
    for k in (3, 1):
        make(run, root, tmp_path / "each" / "a.npz", "--shard", f"{k}/3", "--workers", k)
    assert (tmp_path / "each" / "a.index").is_dir()  # the other parts need it
    make(run, root, tmp_path / "each" / "a.npz", "--shard", "2/3")
    assert files_below(tmp_path / "each") == whole
    alone = load_archive(tmp_path / "all" / "a-00002-of-00003.npz", SPLITS)
    assert alone.metadata.part == [2, 3]
    assert sum(alone.metadata.fields.values()) == 4


def test_what_was_read_and_written_before_a_cut_is_not_read_or_written_again(
    voc_dataset: Callable[..., Path],
    run: Run,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    root, path = voc_dataset(12), tmp_path / "a.npz"
    (root / "JPEGImages" / "field3.png").write_bytes(b"no picture")
    read, seen = hematovision.datasets.reading.read_field, []
    monkeypatch.setattr(
        hematovision.datasets.reading, "read_field", lambda *args: seen.append(args) or read(*args)
    )
    make(run, root, path, "--shard", "1/2")
    assert len(seen) == 12
    first = Share(1, 2).name(path)
    written = first.stat().st_mtime_ns
    make(run, root, path, "--shards", 2, "--resume")
    assert len(seen) == 12
    assert first.stat().st_mtime_ns == written
    gone_on = files_below(tmp_path)
    for file in tmp_path.glob("a-*"):
        file.unlink()
    make(run, root, path, "--shards", 2)
    assert files_below(tmp_path) == gone_on
    assert metadata(load(first))["left_out"]["unreadable image"] == 1


@pytest.mark.parametrize("how", ["another picture", "damaged"])
def test_of_an_index_that_no_longer_holds_nothing_is_taken(
    how: str, voc_dataset: Callable[..., Path], run: Run, tmp_path: Path
) -> None:
    root, path = voc_dataset(6), tmp_path / "a.npz"
    make(run, root, path, "--shard", "1/2")
    (lot,) = (tmp_path / "a.index").glob("*.gz")
    picture = root / "JPEGImages" / "field2.png"
    if how == "damaged":
        lot.write_bytes(lot.read_bytes()[:-40])
    else:
        picture.write_bytes((root / "JPEGImages" / "field3.png").read_bytes())
    make(run, root, path, "--resume", "--shards", 2)
    found = load_archive(path, SPLITS).metadata
    assert len({d for of in found.field_sha256.values() for d in of.values()}) == (
        6 if how == "damaged" else 5
    )


def test_parts_of_different_runs_are_refused(
    voc_dataset: Callable[..., Path], run: Run, tmp_path: Path
) -> None:
    root, path = voc_dataset(8), tmp_path / "a.npz"
    make(run, root, path, "--shard", "1/2")
    make(run, root, path, "--shard", "2/2", "--seed", 7)
    with pytest.raises(UserError, match="differ in seed"):
        load_archive(path, ["test"])


@pytest.mark.parametrize("how", ["labels", "a box", "doubled", "another cut", "whole"])
def test_what_is_no_part_of_this_whole_is_refused(
    how: str, voc_dataset: Callable[..., Path], run: Run, tmp_path: Path
) -> None:
    root, path = voc_dataset(8), tmp_path / "a.npz"
    make(run, root, path, "--shards", 2)
    first, second = (Share(k, 2).name(path) for k in (1, 2))
    if how == "labels":
        make(run, root, path, "--shard", "2/2", "--labels", "Platelets=WBC")
    elif how == "a box":
        note = next((root / "Annotations").glob("*0.xml"))
        xmax = re.search(r"<xmax>(\d+)", note.read_text())
        assert xmax is not None
        moved = f"<xmax>{int(xmax[1]) - 2}"
        note.write_text(note.read_text().replace(xmax[0], moved, 1))
        make(run, root, path, "--shard", "2/2")
    elif how == "doubled":
        shutil.copy(first, second)
    elif how == "another cut":
        make(run, root, tmp_path / "b.npz", "--shards", 3)
        shutil.copy(Share(2, 3).name(tmp_path / "b.npz"), second)
    else:
        make(run, root, tmp_path / "b.npz")
        shutil.copy(tmp_path / "b.npz", second)
    with pytest.raises(UserError, match=r"a\.npz: .*; make them again"):
        load_archive(path, ["test"])


def test_a_damaged_part_is_written_anew(
    voc_dataset: Callable[..., Path], run: Run, tmp_path: Path
) -> None:
    root, path = voc_dataset(8), tmp_path / "a.npz"
    make(run, root, path, "--shards", 2)
    first = Share(1, 2).name(path)
    whole = first.read_bytes()
    damaged = bytearray(whole)
    damaged[len(whole) // 2] ^= 255
    first.write_bytes(damaged)
    make(run, root, path, "--shards", 2, "--resume")
    assert first.read_bytes() == whole


@pytest.mark.parametrize("what", ["a folder of theirs", "a link"])
def test_a_folder_that_is_no_index_is_left_alone(
    what: str, voc_dataset: Callable[..., Path], run: Run, tmp_path: Path
) -> None:
    root, index = voc_dataset(4), tmp_path / "a.index"
    theirs = tmp_path / "theirs"
    (index if what == "a folder of theirs" else theirs).mkdir()
    if what == "a link":
        index.symlink_to(theirs)
    (index / "precious.txt").write_text("precious")
    args = ("--data-dir", root, "--output", tmp_path / "a.npz", "--shards", 2)
    assert "a.index: is no index of ours" in only_error(run("preprocess_data.py", *args))
    assert [path.name for path in index.iterdir()] == ["precious.txt"]


def test_what_else_lies_in_an_index_stays(
    voc_dataset: Callable[..., Path], run: Run, tmp_path: Path
) -> None:
    root, path = voc_dataset(4), tmp_path / "a.npz"
    make(run, root, path, "--shard", "1/2")
    (tmp_path / "a.index" / "notes.txt").write_text("precious")
    make(run, root, path, "--shard", "2/2")
    left = {file.name for file in (tmp_path / "a.index").iterdir()}
    assert left == {"notes.txt", MARK}


@pytest.mark.parametrize("how", ["a bomb", "changed"])
def test_what_an_index_holds_is_bounded_and_as_it_was_written(
    how: str, voc_dataset: Callable[..., Path], run: Run, tmp_path: Path
) -> None:
    root, path = voc_dataset(4), tmp_path / "a.npz"
    make(run, root, path, "--shard", "1/2")
    (lot,) = (tmp_path / "a.index").glob("*.gz")
    if how == "a bomb":
        deflate = zlib.compressobj(1, wbits=31)
        zeros = bytes(1 << 24)
        lot.write_bytes(b"".join(deflate.compress(zeros) for _ in range(40)) + deflate.flush())
    else:
        lot.write_bytes(gzip.compress(gzip.decompress(lot.read_bytes()).replace(b"RBC", b"WBC")))
    args = ("--data-dir", root, "--output", path, "--image-size", 32, "--shard", "2/2")
    result = run("preprocess_data.py", *args)
    assert result.status == 0 and "damaged; what it told is read again" in result.err


def test_a_single_archive_is_gone_on_with_too(
    voc_dataset: Callable[..., Path], run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cut while it is written: the index stands, and the archive comes out as it would have."""
    root = voc_dataset(6)
    make(run, root, tmp_path / "plain.npz")

    def cut(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("preprocess_data.write_archive", cut)
        args = ("--data-dir", root, "--output", tmp_path / "a.npz", "--image-size", 32)
        assert run("preprocess_data.py", *args, "--resume").status == 130
    assert len(list((tmp_path / "a.index").glob("*.gz"))) == 1
    monkeypatch.setattr("hematovision.datasets.reading.read_field", cut)
    make(run, root, tmp_path / "a.npz", "--resume")
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "plain.npz").read_bytes()
    assert not (tmp_path / "a.index").exists()


def test_a_missing_part_is_named(
    voc_dataset: Callable[..., Path], run: Run, tmp_path: Path
) -> None:
    make(run, voc_dataset(6), tmp_path / "a.npz", "--shards", 2)
    Share(2, 2).name(tmp_path / "a.npz").unlink()
    assert "--shard 2/2" in only_error(run("train_model.py", "--data", tmp_path / "a.npz"))


def test_arrays_of_several_files_are_read_as_one() -> None:
    whole = np.random.default_rng(0).integers(0, 256, (23, 2, 3)).astype(np.uint8)
    cuts = [0, 5, 6, 17, 23]
    parts = [StoredArray.fill((b - a, 2, 3), np.uint8, [whole[a:b]])
             for a, b in itertools.pairwise(cuts)]  # fmt: skip
    joined = JoinedArray(parts)
    assert joined.shape == whole.shape and len(joined) == 23 and joined.ndim == 3
    order = np.random.default_rng(1).permutation(23)
    mask = order % 3 == 0
    for index in (3, -1, slice(None), slice(4, 18), slice(7, 9), slice(20, 99), slice(9, 9),
                  slice(1, 20, 4), order, order[:0], mask, 5):  # fmt: skip
        assert (joined[index] == whole[index]).all() and joined[index].shape == whole[index].shape
        assert (joined.pick(order)[index] == whole[order][index]).all()
        assert (joined.pick(mask).pick(slice(2, 5))[:] == whole[mask][2:5]).all()
    assert (np.array([*joined]) == whole).all() and (np.asarray(joined) == whole).all()


@pytest.mark.parametrize("parts", [1, 3])
def test_workers_train_on_shares_of_their_own_which_are_all_of_it(
    parts: int, voc_dataset: Callable[..., Path], run: Run, tmp_path: Path
) -> None:
    """Of an archive in parts each reads some; of a single one, or of too few, all, and draws from
    every so many-th field. What isn't for training is the same for all."""
    make(run, voc_dataset(12), tmp_path / "a.npz", *(["--shards", parts] if parts > 1 else []))
    whole = load_archive(tmp_path / "a.npz", ["train", "val"])
    fields, crops = whole.fields["train"], whole.splits["train"]
    taken: list[str] = []
    for number in (1, 2):
        share = Share(number, 2)
        archive = load_archive(tmp_path / "a.npz", ["train", "val"], share)
        assert archive.digest == whole.digest and archive.metadata == whole.metadata
        assert (archive.splits["train"].label == crops.label).all()
        assert (archive.splits["val"].X[:] == whole.splits["val"].X[:]).all()
        own = find_own(archive.fields["train"], share)
        mine = np.isin(crops.source, fields.name[own])
        assert (archive.splits["train"].pick(mine).X[:] == crops.X[mine]).all()
        files = [bytes(f.data) for f in archive.fields["train"].select(own).read(["RBC"])]
        assert files == [bytes(f.data) for f in fields.select(own).read(["RBC"])]
        if parts > 1 and not mine.all():
            with pytest.raises(LookupError, match="on another machine"):
                archive.splits["train"].pick(~mine).X[:]
        taken += fields.name[own].tolist()
    assert sorted(taken) == sorted(fields.name.tolist())
    some = Share(1, 99)
    with pytest.raises(UserError, match="too few for 99 workers"):
        find_own(load_archive(tmp_path / "a.npz", ["val"], some).fields["val"].select(
            np.zeros(len(whole.fields["val"].name), bool)), some)  # fmt: skip
