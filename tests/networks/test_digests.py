"""What a model has learnt from is told beside its card where it is much; the card stays small."""

from __future__ import annotations

import hashlib
import json
import tracemalloc
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hematovision.networks.card import (
    KEPT_FIELDS,
    KEPT_LOOKS,
    MOST_IN_CARD,
    NAME,
    PRETRAINED,
    read_card,
    write_card,
)
from hematovision.networks.digests import Digests, write_digests
from hematovision.program.console import UserError
from hematovision.program.journal import digest_run
from hematovision.program.records import write_record


def draw_digests(count: int, width: int = 32) -> list[str]:
    rows = np.random.default_rng(0).integers(0, 256, (count, width), np.uint8)
    return sorted(row.tobytes().hex() for row in rows)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A model's folder, as far as its card, that has learnt from 30,000 fields."""
    card = replace(
        read_card(PRETRAINED), training_fields=draw_digests(30_000),
        training_looks=["", *draw_digests(29_999, 16)],
    )  # fmt: skip
    write_card(tmp_path, card)
    return tmp_path


def test_a_card_stays_small_whatever_it_has_learnt_from(folder: Path) -> None:
    assert (folder / f"{NAME}.json").stat().st_size < 100_000
    card = read_card(folder)
    assert card.training_fields == draw_digests(30_000)
    assert list(card.training_looks) == draw_digests(29_999, 16)
    assert (len(card.training_fields), card.training_fields[-1]) == (
        30_000,
        draw_digests(30_000)[-1],
    )


def test_it_is_written_again_as_it_was_read(folder: Path, tmp_path: Path) -> None:
    again = tmp_path / "again"
    write_card(again, read_card(folder))
    for name in (f"{NAME}.json", KEPT_FIELDS, KEPT_LOOKS):
        assert (again / name).read_bytes() == (folder / name).read_bytes()


def test_few_stand_in_the_card_itself(tmp_path: Path) -> None:
    write_card(tmp_path, replace(read_card(PRETRAINED), training_fields=draw_digests(MOST_IN_CARD)))
    told = json.loads((tmp_path / f"{NAME}.json").read_text())
    assert told["training_fields"] == draw_digests(MOST_IN_CARD) and "kept_fields" not in told
    assert not (tmp_path / KEPT_FIELDS).exists()


@pytest.mark.parametrize("how", ["another's", "cut", "missing", "no array"])
def test_digests_that_are_not_the_cards_are_refused_when_asked(how: str, folder: Path) -> None:
    path = folder / KEPT_FIELDS
    data = bytearray(path.read_bytes())
    if how == "missing":
        path.unlink()
    elif how == "no array":
        path.write_bytes(b"no array")
    else:
        data[-1] ^= 1
        path.write_bytes(data[:-40] if how == "cut" else data)
    card = read_card(folder)  # to answer, it isn't needed
    with pytest.raises(UserError, match=KEPT_FIELDS):
        set(card.training_fields)


def test_the_digest_of_a_run_is_the_same_for_the_same_card(folder: Path) -> None:
    first, second = (digest_run({"model": write_record(read_card(folder))}) for _ in range(2))
    assert first == second


def test_to_go_through_many_takes_no_memory(tmp_path: Path) -> None:
    digests = draw_digests(100_000)
    kept = write_digests(tmp_path / "many.npy", digests)
    assert kept.sha256 == hashlib.sha256((tmp_path / "many.npy").read_bytes()).hexdigest()
    tracemalloc.start()
    assert {digests[7]}.intersection(Digests(tmp_path / "many.npy", kept)) == {digests[7]}
    assert tracemalloc.get_traced_memory()[1] < 4e6
    tracemalloc.stop()
