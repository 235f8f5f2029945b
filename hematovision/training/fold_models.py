"""The models of the folds: what answers for fields that the model that is kept has learnt from.

Written beside it as fold_0/, fold_1/ and so on, each a model of its own, whose card says which
fields it was trained on.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from hematovision.archive.folds import FOLDER
from hematovision.archive.metadata import Metadata
from hematovision.networks.card import NAME, Card, seal, write_card
from hematovision.networks.detector import NAME as FIELDS_NAME
from hematovision.program.files import write_bytes
from hematovision.training.plan import Learnt
from hematovision.training.start import KnownModel


def write_fold_models(
    folder: Path, learnt: Mapping[str, Learnt], card: Card, metadata: Metadata,
    model: KnownModel | None,
) -> None:  # fmt: skip
    """Write the model of each fold below `folder`, and remove those of an earlier run.

    Their cards are the `card` of the model that is kept, with seals of their own, and of the
    training fields those of the fold and of the `model` that was gone on from.
    """
    for old in folder.glob(f"{FOLDER}*"):
        if (old / f"{NAME}.json").is_file():
            shutil.rmtree(old)
    folds, digests = metadata.folds, metadata.field_sha256["train"]
    for fold, exported in enumerate(learnt[NAME].folds):
        own = {digests[name] for name, k in folds.items() if k != fold}
        told = replace(
            card,
            seal=seal(exported, card.classes),
            training_fields=sorted(own.union(model.card.training_fields if model else ())),
            training_looks=model.card.training_looks if model else [],
        )
        if FIELDS_NAME in learnt:
            of_fields = learnt[FIELDS_NAME]
            sealed = seal(of_fields.folds[fold], of_fields.card.labels)
            told = replace(told, fields=replace(of_fields.card, seal=sealed))
        home = folder / f"{FOLDER}{fold}"
        for name, of in learnt.items():
            write_bytes(home / f"{name}.tflite", of.folds[fold])
        write_card(home, told)
