"""A network as LiteRT runs it: its answers are numbers, or it is said that they aren't."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from hematovision.networks.card import PRETRAINED
from hematovision.networks.litert import Network, ThreadedNetwork, read_weights
from hematovision.program.console import UserError

MODEL = (PRETRAINED / "hematovision.tflite").read_bytes()


def test_weights_are_read_by_the_names_of_their_layers() -> None:
    weights = read_weights(MODEL)
    kernel, bias = weights["leaves"]
    assert kernel.dtype == np.float32 and kernel.shape[1] == len(bias)


def test_weights_that_are_no_numbers_are_refused() -> None:
    nan = np.full(2000, np.nan, np.float16).tobytes()
    middle = len(MODEL) // 2
    with pytest.raises(ValueError, match="no numbers"):
        read_weights(MODEL[:middle] + nan + MODEL[middle + len(nan) :])


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_answers_that_are_no_numbers_are_told(
    value: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = Network(MODEL)
    crops = np.zeros(network.input_shape, np.float32)
    assert all(np.isfinite(answer).all() for answer in network(crops))
    prepare = network._prepare

    class Broken:
        """The interpreter of a network that has learnt nothing but infinity."""

        def __init__(self, interpreter: Any) -> None:
            self._interpreter = interpreter

        def __getattr__(self, name: str) -> Any:
            return getattr(self._interpreter, name)

        def get_tensor(self, index: int) -> np.ndarray:
            return np.full_like(self._interpreter.get_tensor(index), value)

    monkeypatch.setattr(network, "_prepare", lambda shape: Broken(prepare(shape)))
    with pytest.raises(UserError, match="no number"):
        network(crops)


def test_threads_have_interpreters_of_their_own_and_one_answer() -> None:
    network = ThreadedNetwork(MODEL)
    crop = np.random.default_rng(0).random(network.input_shape, np.float32)
    first, second = network(crop), Network(MODEL)(crop)
    assert all((a == b).all() for a, b in zip(first, second, strict=True))
