"""The models of the folds: what answers for fields that the model that is kept has learnt from.

Written beside it as fold_0/, fold_1/ and so on, each a model of its own, whose card says which
fields it was trained on.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hematovision.archive.folds import FOLDER, read_folds
from hematovision.networks.card import NAME, seal
from hematovision.networks.detector import NAME as FIELDS_NAME
from hematovision.program.files import write_bytes, write_text
from hematovision.training.plan import Learnt
from hematovision.training.start import KnownModel


def write_fold_models(
    folder: Path, learnt: Mapping[str, Learnt], card: dict[str, Any], metadata: dict[str, Any],
    model: KnownModel | None,
) -> None:  # fmt: skip
    """Write the model of each fold below `folder`, and remove those of an earlier run.

    Their cards are the `card` of the model that is kept, with seals of their own, and of the
    training fields those of the fold and of the `model` that was gone on from.
    """
    for old in folder.glob(f"{FOLDER}*"):
        if (old / f"{NAME}.json").is_file():
            shutil.rmtree(old)
    folds, digests = read_folds(metadata), metadata["field_sha256"]["train"]
    before = model.card if model else {}
    for fold, exported in enumerate(learnt[NAME].folds):
        own = {digests[name] for name, k in folds.items() if k != fold}
        told = card | {
            "seal": seal(exported, card["classes"]),
            "training_fields": sorted(own.union(before.get("training_fields", []))),
            "training_looks": before.get("training_looks", []),
        }
        if FIELDS_NAME in learnt:
            of_fields = learnt[FIELDS_NAME]
            sealed = seal(of_fields.folds[fold], of_fields.card["labels"])
            told["fields"] = of_fields.card | {"seal": sealed}
        home = folder / f"{FOLDER}{fold}"
        for name, of in learnt.items():
            write_bytes(home / f"{name}.tflite", of.folds[fold])
        write_text(home / f"{NAME}.json", json.dumps(told, indent=2) + "\n")
