"""The models of the folds: each a whole model of its own, that says what it has learnt from."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hematovision.archive.metadata import Metadata
from hematovision.networks.card import PRETRAINED, read_card, seal
from hematovision.training.fold_models import write_fold_models
from hematovision.training.plan import Learnt

NAMES = ("hematovision", "hematovision_fields")


@pytest.mark.parametrize("with_fields", [True, False])
def test_each_fold_is_a_model_that_has_not_learnt_from_its_fields(
    with_fields: bool, tmp_path: Path
) -> None:
    digests = {f"{k}.jpg": f"{k:064}" for k in range(5)}
    folds = {name: i % 2 for i, name in enumerate(digests)}
    metadata = Metadata(
        task="binary", image_size=96, split="folds", folds=folds, fields={"train": 5}, counts={},
        left_out={}, dataset_sha256="", field_sha256={"train": digests},
    )  # fmt: skip
    card = read_card(PRETRAINED)
    network: Any = None
    cards: tuple[Any, Any] = ({}, card.fields)
    learnt = {
        name: Learnt(network, b"", of, [], [f"{name} {k}".encode() for k in range(2)])
        for name, of in zip(NAMES, cards, strict=True)
        if with_fields or name == NAMES[0]
    }
    kept = card if with_fields else replace(card, fields=None)
    (tmp_path / "fold_7").mkdir()
    (tmp_path / "fold_7" / "hematovision.json").write_text("of an earlier run")
    write_fold_models(tmp_path, learnt, kept, metadata, None)
    assert {path.name for path in tmp_path.iterdir()} == {"fold_0", "fold_1"}
    for fold in (0, 1):
        of_fold = read_card(tmp_path / f"fold_{fold}")
        held_out = {digests[name] for name, k in folds.items() if k == fold}
        assert set(of_fold.training_fields) == set(digests.values()) - held_out
        exported = (tmp_path / f"fold_{fold}" / "hematovision.tflite").read_bytes()
        assert of_fold.seal == seal(exported, card.classes)
        assert (of_fold.fields is not None) == with_fields
        if of_fold.fields is not None:
            exported = (tmp_path / f"fold_{fold}" / "hematovision_fields.tflite").read_bytes()
            assert of_fold.fields.seal == seal(exported, of_fold.fields.labels)
