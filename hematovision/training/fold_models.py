"""The models of the folds: what answers for fields that the model that is kept has learnt from.

Written beside it as fold_0/, fold_1/ and so on, each a model of its own, whose card says which
fields it was trained on.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np

from hematovision.archive.folds import FOLDER, read_folds
from hematovision.networks.card import NAME, seal
from hematovision.networks.detector import NAME as FIELDS_NAME
from hematovision.program.files import write_bytes, write_text
from hematovision.training.backbone import convert
from hematovision.training.crops.course import CropFit
from hematovision.training.crops.network import CropNetwork, assemble
from hematovision.training.fields.course import FieldFit
from hematovision.training.shrinkage import restore
from hematovision.training.start import KnownModel


def write_fold_models(
    folder: Path, network: CropNetwork, fit: CropFit, learnt: FieldFit | None, temperature: float,
    merge: np.ndarray | None, card: dict[str, Any], metadata: dict[str, Any],
    model: KnownModel | None,
) -> None:  # fmt: skip
    """Write the model of each fold below `folder`, and remove those of an earlier run.

    Their cards are the `card` of the model that is kept, with seals of their own, and of the
    training fields those of the fold and of the `model` that was gone on from.
    `network` is left with the last fold's weights.
    """
    for old in folder.glob(f"{FOLDER}*"):
        if (old / f"{NAME}.json").is_file():
            shutil.rmtree(old)
    folds, digests = read_folds(metadata), metadata["field_sha256"]["train"]
    before = model.card if model else {}
    for fold, values in enumerate(fit.folds):
        restore(network.trainer.trainable_variables, values)
        exported = convert(assemble(network, temperature, merge))
        own = {digests[name] for name, k in folds.items() if k != fold}
        told = card | {
            "seal": seal(exported, card["classes"]),
            "training_fields": sorted(own.union(before.get("training_fields", []))),
            "training_looks": before.get("training_looks", []),
        }
        home = folder / f"{FOLDER}{fold}"
        write_bytes(home / f"{NAME}.tflite", exported)
        if learnt is not None:
            of_fields = learnt.folds[fold]
            told["fields"] = learnt.card | {"seal": seal(of_fields, learnt.card["labels"])}
            write_bytes(home / f"{FIELDS_NAME}.tflite", of_fields)
        write_text(home / f"{NAME}.json", json.dumps(told, indent=2) + "\n")
