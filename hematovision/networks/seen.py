"""What a model has seen: held-out fields of an archive that it was trained on, or on twins of."""

from __future__ import annotations

from collections.abc import Sequence

from hematovision.archive.metadata import Metadata
from hematovision.networks.card import Card
from hematovision.pictures.twins import NEAR_AMONG_MANY, find_twins


def find_seen_fields(
    metadata: Metadata, card: Card, splits: Sequence[str] = ("val", "test")
) -> list[str]:
    """Held-out fields of an archive that the model of `card` was trained on, by file digest."""
    held_out = [metadata.field_sha256[s] for s in splits]
    seen = {digest for of in held_out for digest in of.values()}.intersection(card.training_fields)
    return [name for of_split in held_out for name, digest in of_split.items() if digest in seen]


def find_seen_twins(
    metadata: Metadata, card: Card, splits: Sequence[str] = ("val", "test")
) -> list[str]:
    """Held-out fields that look like one the model was trained on, though their files differ."""
    seen = find_seen_fields(metadata, card, splits)
    looks = metadata.field_look
    names = {name: look for s in splits for name, look in looks.get(s, {}).items()}
    others = [name for name in names if name not in seen]
    pairs = find_twins([names[name] for name in others], card.training_looks, NEAR_AMONG_MANY)
    return [others[i] for i in sorted({i for i, _ in pairs})]
