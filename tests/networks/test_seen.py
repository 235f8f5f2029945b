"""Which held-out fields of an archive a model has learnt from."""

from __future__ import annotations

from dataclasses import replace

from hematovision.archive.metadata import Metadata
from hematovision.networks.card import PRETRAINED, read_card
from hematovision.networks.seen import find_seen_fields, find_seen_twins

DIGESTS = {"train": {"a.png": "1"}, "val": {"b.png": "2", "c.png": "3"}, "test": {"d.png": "4"}}
LOOKS = {"val": {"b.png": "0" * 32, "c.png": "0" * 32}, "test": {"d.png": "f" * 32}}
METADATA = Metadata(
    task="binary", image_size=96, split="random", fields={}, counts={}, left_out={},
    dataset_sha256="", field_sha256=DIGESTS, field_look=LOOKS,
)  # fmt: skip


def test_find_seen_fields_looks_at_held_out_fields_only() -> None:
    card = replace(read_card(PRETRAINED), training_fields=["1", "3", "4", "9"])
    assert sorted(find_seen_fields(METADATA, card)) == ["c.png", "d.png"]
    assert find_seen_fields(METADATA, replace(card, training_fields=["1", "9"])) == []


def test_a_twin_is_a_held_out_field_that_looks_like_a_training_one_and_has_other_bytes() -> None:
    card = replace(read_card(PRETRAINED), training_fields=["3"], training_looks=["0" * 32])
    assert find_seen_twins(METADATA, card) == ["b.png"]
