"""Fold answers: which network answers for which field."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from hematovision.evaluation.fold_answers import find_folds
from hematovision.networks.card import PRETRAINED, read_card, write_card

NAMES = np.array(["a", "b", "c", "c"])


def make_models(folder: Path, kept: list[str], *folds: list[str]) -> None:
    card = read_card(PRETRAINED)
    write_card(folder, replace(card, training_fields=kept))
    for k, of in enumerate(folds):
        (folder / f"fold_{k}").mkdir()
        write_card(folder / f"fold_{k}", replace(card, training_fields=of))


@pytest.fixture
def archive() -> Any:
    digests = {"test": {name: f"digest {name}" for name in "abc"}}
    return SimpleNamespace(metadata=SimpleNamespace(field_sha256=digests))


def digests(names: str) -> list[str]:
    return [f"digest {name}" for name in names]


def test_each_field_is_answered_by_the_first_that_has_not_learnt_it(
    archive: Any, tmp_path: Path
) -> None:
    make_models(tmp_path, digests("abc"), digests("bc"), digests("ac"), digests("ab"))
    models, fold = find_folds(tmp_path, archive, NAMES)
    assert [model.name for model in models] == ["fold_0", "fold_1", "fold_2"]
    assert fold.tolist() == [0, 1, 2, 2]


@pytest.mark.parametrize("why", ["no folds", "a field that none lacks", "fields of elsewhere"])
def test_without_folds_that_cover_all_the_kept_model_answers(
    why: str, archive: Any, tmp_path: Path
) -> None:
    folds = {"no folds": [], "a field that none lacks": [digests("abc"), digests("ab")],
             "fields of elsewhere": [digests("b"), digests("a")]}[why]  # fmt: skip
    make_models(tmp_path, digests("ab" if why == "fields of elsewhere" else "abc"), *folds)
    models, fold = find_folds(tmp_path, archive, NAMES)
    assert models == [] and len(fold) == 0
