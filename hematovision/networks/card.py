"""The model card, hematovision.json: what a model is, read and checked, and sealed to its network.

A card that some editor or hand has changed still looks like one: so its keys, types and ranges are
looked at whenever it is read, and a digest ties the order of the classes to the network's bytes.
"""

from __future__ import annotations

import hashlib
import json
import math
import platform
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hematovision.program.console import UserError, first_line
from hematovision.program.files import HERE, read_file

NAME = "hematovision"
PRETRAINED = HERE / "data" / "pretrained"
KIND_THRESHOLD = 0.5  # share of its parent's probability from which a kind is named
HOW_TO_TRAIN = "train one with train_model.py"


def read_card(folder: Path) -> dict[str, Any]:
    """The model card of `folder`; UserError where it is missing or no card."""
    path = folder / f"{NAME}.json"
    if not path.exists():
        raise UserError(f"{path}: No such file or directory; {HOW_TO_TRAIN}")
    try:
        card = json.loads(read_file(path, "model card").decode("utf-8"))
        check_card(card)
    except (ValueError, RecursionError) as error:
        raise UserError(
            f"{folder}: not a HematoVision model ({first_line(error)}); {HOW_TO_TRAIN}"
        ) from None
    return card


def check_card(card: Any) -> None:
    """ValueError where a card's keys, types or ranges aren't those of a model of ours."""
    if not isinstance(card, dict):
        raise ValueError("the card is no object")
    check_labels(card, "classes")
    size = card.get("image_size")
    if not isinstance(size, int) or not 8 <= size <= 1024:
        raise ValueError(f"image_size {size!r:.40}: wants 8 to 1024")
    check_number(card, "novelty_threshold", -math.inf, math.inf)
    if "threshold" not in card:
        raise ValueError("it lacks threshold")
    for key in ("threshold", "kind_threshold"):
        if card.get(key) is not None:
            check_number(card, key, 0, 1)
    if card.get("threshold") is not None and card["classes"] != ["Other", "RBC"]:
        raise ValueError("a threshold of red cells wants the classes Other and RBC")
    for key in ("training_fields", "training_looks"):
        listed = card.get(key, [])
        if not isinstance(listed, list) or not all(isinstance(item, str) for item in listed):
            raise ValueError(f"{key}: no list of digests")
    if "training_fields" not in card:
        raise ValueError("it lacks training_fields")
    if "fields" in card:
        check_fields_card(card["fields"])


def check_fields_card(fields: Any) -> None:
    """The same of what a card says of the network for whole fields."""
    if not isinstance(fields, dict):
        raise ValueError("fields: no object")
    check_labels(fields, "labels")
    for key, low, high in (("thresholds", 0, 1), ("typical_side", 0.01, 100)):
        values = fields.get(key)
        if not isinstance(values, dict):
            raise ValueError(f"{key}: no object")
        for label in fields["labels"]:
            check_number(values, label, low, high)


def check_labels(card: dict[str, Any], key: str) -> None:
    names = card.get(key)
    if not isinstance(names, list) or not names or not all(isinstance(n, str) for n in names):
        raise ValueError(f"{key}: no list of names")
    if len(set(names)) < len(names) or len(names) > 1000:
        raise ValueError(f"{key}: a name is there twice, or there are over 1000")


def check_number(card: dict[str, Any], key: str, low: float, high: float) -> None:
    value = card.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"{key} {value!r:.40}: no number")
    if not low <= value <= high:
        raise ValueError(f"{key} {value}: wants {low} to {high}")


def seal(network: bytes, names: Sequence[str]) -> str:
    """The digest of an exported network and of what its outputs mean, in their order."""
    return hashlib.sha256(network + "\0".join(names).encode()).hexdigest()


def check_seal(network: bytes, names: Sequence[str], sealed: str | None) -> None:
    """ValueError where card and network don't belong together; cards of before carry no seal."""
    if sealed is not None and seal(network, names) != sealed:
        raise ValueError("card and network belong to different models, or one was changed")


def warn_of_demonstration(card: dict[str, Any]) -> str:
    """What to say of a model that was trained on drawn cells; nothing of any other."""
    if not card.get("demonstration"):
        return ""
    return "warning: this model has learnt from drawn cells: a demonstration, not for real smears"


def choose_model(folder: Path | None, trained: Path = Path("model")) -> tuple[Path, str]:
    """The folder given, else `trained` where it holds a model, else the bundled one; and a
    notice."""
    if folder is not None:
        return folder, ""
    if (trained / "hematovision.json").is_file():
        return trained, f"using the model trained here: {trained}"
    return PRETRAINED, f"using the bundled model: {PRETRAINED}"


def list_versions(packages: Sequence[str]) -> dict[str, str]:
    """The version of Python and of each package, for cards and reports."""
    from importlib.metadata import version

    return {"python": platform.python_version(), **{name: version(name) for name in packages}}
