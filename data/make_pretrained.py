"""Make data/pretrained/ of a model that train_model.py has just trained.

    python3 data/make_pretrained.py --model model

Copies the exported model and its card, and writes the backbone, in half precision, as the
MobileNetV2 weights file that ``train_model.py --weights bundled`` starts from. See data/README.md
for the whole sequence.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from hematovision.card import NAME, PRETRAINED
from hematovision.console import UserError, command, option, parse_options
from hematovision.detector import NAME as FIELDS_NAME
from hematovision.files import write_text, written_whole
from hematovision.training.backbone import start_tensorflow


@dataclass(frozen=True)
class Options:
    model: Path = option(Path("model"), "folder that train_model.py wrote")
    output: Path = option(PRETRAINED, "folder to fill")
    thresholds: str | None = option(
        None,
        "probabilities from which cells of a field count, instead of the validation split's: as "
        "they were best in laboratories left out",
        metavar="LABEL=P,...",
    )


def unfold_norms(trained, backbone) -> None:
    """Give `backbone`, a plain MobileNetV2, the weights of a folded one: its normalizations pass
    everything through, and add what is the bias of the convolution before them."""
    import keras
    import numpy as np

    parts = {layer.name: layer for part in ("lower", "upper") for layer in walk(trained, part)}
    for convolution, norm in pairwise(backbone.layers):
        if isinstance(norm, keras.layers.BatchNormalization):
            kernel, bias = parts[convolution.name].get_weights()
            convolution.set_weights([kernel])
            still, one = np.zeros_like(bias), np.ones_like(bias)
            norm.set_weights([one, bias, still, one - norm.epsilon])


def set_thresholds(card: dict[str, Any], told: str) -> None:
    """Set thresholds of the card's field network, "RBC=0.3,WBC=0.4"; UserError where one can't
    be."""
    for part in told.split(","):
        label, _, value = part.partition("=")
        try:
            probability = float(value)
        except ValueError:
            probability = -1.0
        if label not in card["fields"]["thresholds"] or not 0 < probability < 1:
            known = ", ".join(card["fields"]["thresholds"])
            raise UserError(f"--thresholds {part}: LABEL=P is wanted, P in (0, 1), of {known}")
        card["fields"]["thresholds"][label] = probability


def walk(model, name: str) -> list:
    """The layers of a named part of the model, those of the models inside it included."""
    found = []
    for layer in model.get_layer(name).layers:
        found += layer.layers if hasattr(layer, "layers") else [layer]
    return found


def halve(path: Path) -> None:
    """Rewrite a Keras weights file with its float32 numbers in half precision."""
    import h5py

    with h5py.File(path, "r") as whole, h5py.File(path.with_suffix(".half"), "w") as half:

        def copy(name: str, item: h5py.Dataset | h5py.Group) -> None:
            if isinstance(item, h5py.Dataset):
                half.create_dataset(name, data=item[()].astype("float16"))
            else:
                half.require_group(name).attrs.update(item.attrs)

        half.attrs.update(whole.attrs)
        whole.visititems(copy)
    path.with_suffix(".half").replace(path)


@command
def main(argv: Sequence[str] | None = None) -> int:
    options: Options = parse_options(Options, __doc__, argv)
    try:
        card = json.loads((options.model / f"{NAME}.json").read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(
            f"{options.model}: no trained model ({error}); run train_model.py"
        ) from None
    start_tensorflow(0)
    import keras

    trained = keras.models.load_model(options.model / f"{NAME}.keras", compile=False)
    size = card["image_size"]
    backbone = keras.applications.MobileNetV2((size, size, 3), include_top=False, weights=None)
    unfold_norms(trained, backbone)
    options.output.mkdir(parents=True, exist_ok=True)
    if options.thresholds:
        set_thresholds(card, options.thresholds)
    for name in (f"{NAME}.tflite", f"{FIELDS_NAME}.tflite"):
        with written_whole(options.output / name) as temporary:
            shutil.copyfile(options.model / name, temporary)
    write_text(options.output / f"{NAME}.json", json.dumps(card, indent=2) + "\n")
    with written_whole(options.output / "backbone.weights.h5") as temporary:
        scratch = temporary.with_suffix(".weights.h5")
        backbone.save_weights(scratch)
        halve(scratch)
        scratch.replace(temporary)
    total = sum(path.stat().st_size for path in options.output.iterdir()) / 1e6
    print(f"{options.output}: {total:.1f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
