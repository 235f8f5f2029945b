"""Networks trained in mixed precision: the weights learn, and what is exported is float32 again."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from hematovision.training.precision import choose_policy, mixed_precision


@pytest.mark.parametrize(
    ("gpus", "policy"),
    [
        ([], "float32"),
        ([(8, 0)], "mixed_bfloat16"),
        ([(9, 0), (8, 6)], "mixed_bfloat16"),
        ([(9, 0), (7, 5)], "float32"),
        ([None], "float32"),
    ],
)
def test_only_where_every_gpu_can(
    gpus: list[tuple[int, int] | None], policy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import tensorflow as tf

    def describe(able: tuple[int, int] | None) -> dict[str, tuple[int, int]]:
        return {"compute_capability": able} if able else {}

    experimental = SimpleNamespace(get_device_details=describe)
    found = SimpleNamespace(list_physical_devices=lambda _: gpus, experimental=experimental)
    monkeypatch.setattr(tf, "config", found)
    assert choose_policy() == policy


def test_it_computes_otherwise_within_and_as_before_after(monkeypatch: pytest.MonkeyPatch) -> None:
    """In all layers but the last, those of a model within the model too."""
    import keras
    from keras import layers

    monkeypatch.setattr("hematovision.training.precision.choose_policy", lambda: "mixed_bfloat16")
    keras.utils.set_random_seed(0)
    inner = keras.Sequential([keras.Input((8,)), layers.Dense(16, activation="relu")])
    rows = keras.Input((8,))
    model = keras.Model(rows, layers.Dense(1, name="last")(layers.Dropout(0.1)(inner(rows))))
    model.compile("adam", "mse")
    x = np.random.default_rng(0).normal(size=(256, 8)).astype(np.float32)
    before = model(x).numpy()
    with mixed_precision(model, kept=("last",)):
        mixed = model(x)
        assert mixed.dtype == "float32"
        assert inner.layers[0].compute_dtype == "bfloat16"
        loss = model.fit(x, x[:, :1], epochs=8, verbose=0).history["loss"]
    difference = np.abs(mixed.numpy() - before).max()
    assert 0 < difference < 0.02 * np.abs(before).max()
    assert loss[-1] < 0.8 * loss[0]
    assert inner.layers[0].kernel.dtype == "float32"
    assert inner.layers[0].compute_dtype == model.layers[-1].compute_dtype == "float32"
    weights = inner.layers[0].get_weights() + model.layers[-1].get_weights()
    whole = np.maximum(x @ weights[0] + weights[1], 0) @ weights[2] + weights[3]
    assert np.allclose(model(x), whole, atol=1e-5)
