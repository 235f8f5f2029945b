"""The model card is checked, not trusted; and the order of the classes belongs to the network."""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from conftest import Run, only_error

from hematovision.networks.card import (
    PRETRAINED,
    Card,
    check_seal,
    read_card,
    seal,
    write_card,
)
from hematovision.program.records import read_record

BUNDLED: dict[str, Any] = json.loads((PRETRAINED / "hematovision.json").read_text())
FIELDS: dict[str, Any] = BUNDLED["fields"]
LABEL = FIELDS["labels"][0]
WRONG: dict[str, dict[str, Any]] = {
    "a class twice": {"classes": [*BUNDLED["classes"], "RBC"]},
    "no class": {"classes": []},
    "classes as one text": {"classes": "RBC"},
    "a class that is a number": {"classes": [1, 2]},
    "a size that is text": {"image_size": "96"},
    "a size of nothing": {"image_size": 0},
    "a size of gigabytes": {"image_size": 10**9},
    "a threshold below 0": {"threshold": -1},
    "a threshold that is NaN": {"threshold": float("nan")},
    "a threshold for four classes": {"threshold": 0.5},
    "a threshold that is text": {"threshold": "0.5"},
    "novelty that is NaN": {"novelty_threshold": float("nan")},
    "novelty that is true": {"novelty_threshold": True},
    "novelty that is nothing": {"novelty_threshold": None},
    "a share above 1": {"kind_threshold": 2},
    "training fields that are a text": {"training_fields": "abc"},
    "training fields that are numbers": {"training_fields": [1]},
    "fields that are a list": {"fields": []},
    "a label twice": {"fields": FIELDS | {"labels": ["RBC", "RBC"]}},
    "a label without a threshold": {"fields": FIELDS | {"thresholds": {}}},
    "a threshold of a label above 1": {
        "fields": FIELDS | {"thresholds": FIELDS["thresholds"] | {LABEL: 7}},
    },
    "a cell without a size": {
        "fields": FIELDS | {"typical_side": FIELDS["typical_side"] | {LABEL: 0}},
    },
}  # fmt: skip


@pytest.mark.parametrize("wrong", WRONG)
def test_a_card_that_is_none_is_one_error_line(wrong: str, run: Run, tmp_path: Path) -> None:
    shutil.copytree(PRETRAINED, tmp_path / "model")
    card = tmp_path / "model" / "hematovision.json"
    card.write_text(json.dumps(BUNDLED | WRONG[wrong]))
    error = only_error(run("predict.py", card.parent / "x.png", "--model", card.parent))
    assert re.search(r"not a HematoVision model \(.+\); train one", error)


@pytest.mark.parametrize("key", ["classes", "image_size", "threshold", "novelty_threshold"])
def test_what_is_needed_must_be_there(key: str) -> None:
    with pytest.raises(ValueError, match=key):
        read_record(Card, {k: v for k, v in BUNDLED.items() if k != key})


@pytest.mark.parametrize("text", ["", "[]", "7", "{", "[" * 100_000, "\x00"])
def test_what_is_no_json_object_is_no_card(text: str, run: Run, tmp_path: Path) -> None:
    (tmp_path / "hematovision.json").write_text(text)
    assert "not a HematoVision model" in only_error(run("predict.py", "x.png", "--model", tmp_path))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_a_named_pipe_for_a_card_does_not_hang(run: Run, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "hematovision.json")
    assert "not a regular file" in only_error(run("predict.py", "x.png", "--model", tmp_path))


def test_a_card_is_written_as_it_was_read(tmp_path: Path) -> None:
    write_card(tmp_path, read_card(PRETRAINED))
    name = "hematovision.json"
    assert (tmp_path / name).read_bytes() == (PRETRAINED / name).read_bytes()


def test_the_bundled_card_is_sealed_to_its_networks() -> None:
    card = read_card(PRETRAINED)
    for name, part, names in (
        ("hematovision", card, card.classes),
        ("hematovision_fields", card.fields, card.fields.labels),
    ):
        network = (PRETRAINED / f"{name}.tflite").read_bytes()
        assert part.seal == seal(network, names)
        with pytest.raises(ValueError, match="belong"):
            check_seal(network, names[::-1], part.seal)
        with pytest.raises(ValueError, match="belong"):
            check_seal(network[:-1] + b"\0\1", names, part.seal)


@pytest.mark.parametrize("field", [False, True])
def test_classes_in_another_order_are_refused(field: bool, run: Run, tmp_path: Path) -> None:
    shutil.copytree(PRETRAINED, tmp_path / "model")
    card = read_card(PRETRAINED)
    if field:
        card.fields.labels.reverse()
    else:
        card.classes.reverse()
    write_card(tmp_path / "model", card)
    options = ("--field", "--model") if field else ("--model",)
    picture = PRETRAINED.parent / "examples" / "red_cell.png"
    assert "belong" in only_error(run("predict.py", picture, *options, tmp_path / "model"))
