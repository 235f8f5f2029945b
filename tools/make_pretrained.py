"""Make data/pretrained/ of a model that train_model.py has just trained.

    python3 tools/make_pretrained.py --model model [--fields other_model]

Copies the exported model, its card and the crops kept with it. With --imagenet FILE also writes
ImageNet's weights of MobileNetV2 in half precision, which ``train_model.py --weights imagenet``
takes where Keras's can't be had. See data/README.md for the whole sequence.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np

from hematovision.cells.labels import is_rbc
from hematovision.networks.card import NAME, PRETRAINED, Card, FieldCard, read_card, write_card
from hematovision.networks.detector import NAME as FIELDS_NAME
from hematovision.program.console import UserError, command
from hematovision.program.files import read_file, written_whole
from hematovision.program.options import option, parse_options
from hematovision.training.crops.rehearsal import FILE as REHEARSAL
from hematovision.training.fields.fields import prepare_fields
from hematovision.training.fields.looks import settle_looks
from hematovision.training.fields.validation import choose_judges, find_held_out


@dataclass(frozen=True)
class Options:
    model: Path = option(Path("model"), "folder that train_model.py wrote")
    fields: Path | None = option(
        None, "folder of the model whose network for fields is taken (default: that of --model)"
    )
    output: Path = option(PRETRAINED, "folder to fill")
    imagenet: Path | None = option(None, "Keras weights file of MobileNetV2, without top")
    thresholds: str | None = option(
        None,
        "probabilities from which cells of a field count, instead of the validation split's: as "
        "they were best in laboratories left out",
        metavar="LABEL=P,...",
    )
    looks: Path | None = option(
        None,
        "archive whose validation fields settle anew which cells are to be looked at again, where "
        "thresholds were set or the model's card doesn't say",
    )


def set_thresholds(card: FieldCard, told: str) -> FieldCard:
    """The card of a network for fields with other thresholds, "RBC=0.3,WBC=0.4"; UserError where
    one can't be set."""
    thresholds = dict(card.thresholds)
    for part in told.split(","):
        label, _, value = part.partition("=")
        try:
            probability = float(value)
        except ValueError:
            probability = -1.0
        if label not in thresholds or not 0 < probability < 1:
            known = ", ".join(thresholds)
            raise UserError(f"--thresholds {part}: LABEL=P is wanted, P in (0, 1), of {known}")
        thresholds[label] = probability
    return replace(card, thresholds=thresholds)


def settle_anew(folder: Path, card: FieldCard, archive: Path) -> FieldCard:
    """The card of the network for fields in a folder, `sure` and `nearly` as the validation fields
    of an archive have them."""
    from hematovision.archive.loading import load_archive

    fields = load_archive(archive, ["val"]).fields["val"]
    typical = np.array([card.typical_side[label] for label in card.labels])
    judges = fields.select(choose_judges(fields.lab, 0))
    held_out = prepare_fields(judges, card.labels, typical)
    exported = read_file(folder / f"{FIELDS_NAME}.tflite", "model")
    found = find_held_out(exported, held_out, len(card.labels))
    red = np.array([is_rbc(label) for label in card.labels])
    return replace(card, **settle_looks(found, held_out, card.thresholds, typical, red))


def join_fields(card: Card, of_fields: Card) -> Card:
    """The card of a model whose network for fields is another's: what either has learnt from, it
    has learnt from."""
    return replace(
        card,
        fields=of_fields.fields,
        training_fields=sorted({*card.training_fields, *of_fields.training_fields}),
        training_looks=sorted({*card.training_looks, *of_fields.training_looks}),
        notices=list(dict.fromkeys([*card.notices, *of_fields.notices])),
    )


def halve(source: Path, target: Path) -> None:
    """A Keras weights file with its float32 numbers in half precision."""
    import h5py

    with h5py.File(source, "r") as whole, h5py.File(target, "w") as half:

        def copy(name: str, item: h5py.Dataset | h5py.Group) -> None:
            if isinstance(item, h5py.Dataset):
                half.create_dataset(name, data=item[()].astype("float16"))
            else:
                half.require_group(name).attrs.update(item.attrs)

        half.attrs.update(whole.attrs)
        whole.visititems(copy)


@command
def main(argv: Sequence[str] | None = None) -> int:
    options: Options = parse_options(Options, __doc__, argv)
    card, fields = read_card(options.model), options.fields or options.model
    card = join_fields(card, read_card(fields)) if options.fields else card
    if options.thresholds and card.fields:
        card = replace(card, fields=set_thresholds(card.fields, options.thresholds))
    if options.looks and card.fields:
        card = replace(card, fields=settle_anew(fields, card.fields, options.looks))
    options.output.mkdir(parents=True, exist_ok=True)
    sources = {f"{NAME}.tflite": options.model, f"{FIELDS_NAME}.tflite": fields}
    for name, folder in (sources | {REHEARSAL: options.model}).items():
        with written_whole(options.output / name) as temporary:
            shutil.copyfile(folder / name, temporary)
    write_card(options.output, card)
    if options.imagenet:
        with written_whole(options.output / "backbone.weights.h5") as temporary:
            halve(options.imagenet, temporary)
    total = sum(path.stat().st_size for path in options.output.iterdir()) / 1e6
    print(f"{options.output}: {total:.1f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
