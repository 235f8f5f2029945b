"""Crops kept with a model: what is kept, how it is read, and that it is shown to who goes on."""

from __future__ import annotations

import zipfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from crops import make_split

from hematovision.training.crops.epoch import REHEARSED, Chunk, Kept, add_kept
from hematovision.training.crops.examples import Examples, find_unshown
from hematovision.training.crops.rehearsal import (
    EACH,
    FILE,
    Rehearsal,
    keep_crops,
    read_rehearsal,
    write_rehearsal,
)

LEAVES = ["Background", "Platelets", "RBC", "WBC"]


def see(crops: np.ndarray) -> np.ndarray:
    """In place of the frozen blocks: every 16th pixel."""
    return crops[:, ::16, ::16].astype(np.float16)


def keep(label: list[str], before: Rehearsal | None = None) -> Rehearsal | None:
    split = make_split(label)
    members = np.array(label)[:, np.newaxis] == LEAVES
    unshown, task = find_unshown(members), "multiclass"
    examples = Examples(LEAVES, split, members, unshown, len(label), split, members, LEAVES, task)
    return keep_crops(see, examples, before, 3)


def test_so_many_of_each_kind_are_kept_and_come_back(tmp_path: Path) -> None:
    kept = keep(["RBC"] * 200 + ["WBC"] * 5)
    assert kept is not None
    assert Counter(kept.label.tolist()) == {"RBC": EACH, "WBC": 5}
    assert kept.maps.shape == (EACH + 5, 2, 2, 3) and len(np.unique(kept.maps)) > 9
    write_rehearsal(tmp_path, kept)
    first = (tmp_path / FILE).read_bytes()
    again = read_rehearsal(tmp_path)
    assert again is not None
    assert (again.maps == kept.maps).all() and (again.label == kept.label).all()
    write_rehearsal(tmp_path, again)
    assert (tmp_path / FILE).read_bytes() == first
    write_rehearsal(tmp_path, None)
    assert read_rehearsal(tmp_path) is None


def test_what_was_kept_before_stays_beside_what_is_new() -> None:
    before = keep(["Platelets"] * 100 + ["RBC"] * 100)
    after = keep(["RBC"] * 100 + ["WBC"] * 10, before)
    assert before is not None and after is not None
    assert Counter(after.label.tolist()) == {"Platelets": EACH, "RBC": EACH, "WBC": 10}
    known = {m.tobytes() for m in before.maps}
    of_before = [m.tobytes() in known for m in after.maps[after.label == "RBC"]]
    assert sum(of_before) == EACH // 2
    larger = before._replace(maps=before.maps.repeat(2, axis=1))
    alone = keep(["RBC"] * 100, larger)
    assert alone is not None and set(alone.label) == {"RBC"}
    assert keep(["cell"] * 5) is None


def test_what_was_kept_may_be_any_of_its_kinds_that_are_told_apart_now() -> None:
    kept = Rehearsal(np.zeros((3, 2, 2, 1), np.float16), np.array(["RBC", "Ghost", "WBC"]))
    shown, members = kept.encode(["Monocyte", "Neutrophil", "RBC"])
    assert shown.tolist() == [0, 2]
    assert members.tolist() == [[False, False, True], [True, True, False]]


def test_each_kind_is_shown_as_often_as_any_other() -> None:
    members = np.repeat(np.eye(3, dtype=bool), (40, 2, 1), axis=0)
    maps = members.argmax(axis=1)[:, np.newaxis, np.newaxis, np.newaxis].astype(np.float16)
    kept = Kept(maps, members)
    chunk = Chunk(
        np.full((4, 1, 1, 1), 9, np.float16), np.zeros((4, 3), np.float32),
        np.ones((4, 1), np.float32), np.zeros(4, np.float32), np.ones(4, np.float32),
    )  # fmt: skip
    shown = add_kept(chunk, kept, int(30 / REHEARSED), [1])
    assert Counter(shown.inputs.ravel().tolist()) == {9: 4, 0: 10, 1: 10, 2: 10}
    assert (shown.members[4:].argmax(axis=1) == shown.inputs[4:, 0, 0, 0]).all()
    assert not shown.strange[4:].any() and shown.of_novelty[4:].all() and shown.of_leaves[4:].all()
    assert {len(column) for column in shown} == {34}


def write_odd(path: Path, how: str) -> None:
    """A file of crops that is damaged, or is something else."""
    maps, label = np.zeros((4, 2, 2, 3), np.float16), np.array(["RBC"] * 4)
    odd = {
        "other shape": {"maps": maps[0], "label": label},
        "no numbers": {"maps": np.full_like(maps, np.nan), "label": label},
        "labels missing": {"maps": maps, "label": label[:2]},
        "renamed": {"maps": maps, "labels": label},
        "pickled": {"maps": maps, "label": label.astype(object)},
        "one too many": {"maps": maps, "label": label, "more": label},
        "a bomb": {"maps": np.zeros((1 << 13, 8, 8, 96), np.float16), "label": label},
    }
    np.savez_compressed(path, **odd.get(how, {"maps": maps, "label": label}))
    data = path.read_bytes()
    if how == "cut":
        path.write_bytes(data[:-60])
    elif how == "text":
        path.write_text("no file of NumPy's")
    elif how in ("encrypted", "unknown compression"):
        # In the local header and in the directory: flags before the kind of compression.
        at = {b"PK\x03\x04": 6, b"PK\x01\x02": 8}
        changed = bytearray(data)
        for mark, flags in at.items():
            start = data.index(mark) + flags
            changed[start : start + 4] = b"\1\0\x08\0" if how == "encrypted" else b"\0\0\x60\0"
        path.write_bytes(changed)
    elif how == "header":
        with zipfile.ZipFile(path) as file:
            members = {name: file.read(name) for name in file.namelist()}
        members["maps.npy"] = members["maps.npy"].replace(b"{'descr'", b"{'descr(")
        with zipfile.ZipFile(path, "w") as file:
            for name, content in members.items():
                file.writestr(name, content)


@pytest.mark.parametrize(
    "how",
    ["cut", "text", "other shape", "no numbers", "labels missing", "renamed", "pickled",
     "one too many", "a bomb", "encrypted", "unknown compression", "header"],
)  # fmt: skip
def test_a_damaged_file_is_no_rehearsal(how: str, tmp_path: Path) -> None:
    write_odd(tmp_path / FILE, how)
    with pytest.raises(ValueError, match=r"readable|holds|doesn't tell"):
        read_rehearsal(tmp_path)
