"""Crops gone on with: heads are taken leaf by leaf, what is kept as far as it fits."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np

from hematovision.training.crops.known import copy_heads, recall_kept
from hematovision.training.crops.rehearsal import Rehearsal


class Layer:
    """Holds weights, as far as they are set and got."""

    def __init__(self, *weights: np.ndarray) -> None:
        self.weights = list(weights)

    def get_weights(self) -> list[np.ndarray]:
        return [w.copy() for w in self.weights]

    def set_weights(self, weights: tuple[np.ndarray, ...]) -> None:
        self.weights = list(weights)


def make_model(maps: np.ndarray | None = None) -> Any:
    label = np.array(["RBC", "Ghost", "WBC"])
    return SimpleNamespace(
        leaves=["RBC", "WBC"],
        temperature=2.0,
        crops={
            "leaves": (np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([5.0, 6.0])),
            "strange": (np.ones((4, 1)), np.ones(1)),
        },
        rehearsal=None if maps is None else Rehearsal(maps, label),
    )


def test_leaves_that_a_model_knows_start_as_they_are_there() -> None:
    head, novelty = Layer(np.zeros((2, 3)), np.zeros(3)), Layer(np.zeros((4, 1)), np.zeros(1))
    network: Any = SimpleNamespace(head=head, novelty=novelty)
    copy_heads(network, ["Platelets", "RBC", "WBC"], make_model())
    kernel, bias = head.weights
    # Its export is divided by its temperature, which training does without.
    assert kernel.tolist() == [[0, 2, 4], [0, 6, 8]] and bias.tolist() == [0, 10, 12]
    assert novelty.weights[1].tolist() == [1]


def test_what_is_kept_is_recalled_as_far_as_it_fits() -> None:
    maps = np.zeros((3, 2, 2, 5), np.float16)
    kept = recall_kept(make_model(maps), ["Platelets", "RBC", "WBC"], (2, 2, 5))
    assert kept is not None
    assert kept.members.tolist() == [[False, True, False], [False, False, True]]
    assert len(kept.maps) == 2
    assert recall_kept(make_model(maps), ["Platelets"], (2, 2, 5)) is None
    assert recall_kept(make_model(maps), ["RBC"], (4, 4, 5)) is None  # crops of another size
    assert recall_kept(make_model(), ["RBC"], (2, 2, 5)) is None
    assert recall_kept(None, ["RBC"], (2, 2, 5)) is None
