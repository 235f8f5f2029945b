"""The backbone: its normalizations folded, its weights found, or one line that says why not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import Run, apart, only_error, start_weights

from hematovision.training.backbone import build_backbone, fold_norms

CROPS = np.zeros((4, 64, 64, 3), np.uint8)  # tells the size of the network to build


def test_folding_normalizations_changes_no_answer(
    mobilenet: Any, noise: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    import keras

    expected = mobilenet.predict(noise * 2 - 1, verbose=0)
    folded = fold_norms(mobilenet)
    assert not any(isinstance(v, keras.layers.BatchNormalization) for v in folded.layers)
    assert apart(folded.predict(noise * 2 - 1, verbose=0), expected) < 0.2  # half precision
    whole = "hematovision.training.backbone.set_half"
    monkeypatch.setattr(whole, lambda layer, *weights: layer.set_weights(list(weights)))
    exact = fold_norms(mobilenet).predict(noise * 2 - 1, verbose=0)
    assert apart(exact, expected) < 1e-3


def test_a_weights_file_is_read_and_named(mobilenet: Any, weights_file: Path) -> None:
    backbone, origin = build_backbone(str(weights_file), CROPS)
    assert weights_file.name in origin
    kernel = mobilenet.get_layer("Conv1").get_weights()[0]
    gamma, _, _, variance = mobilenet.get_layer("bn_Conv1").get_weights()
    found = backbone.get_layer("Conv1").get_weights()[0]
    assert np.allclose(found, kernel * gamma / np.sqrt(variance + 1e-3), rtol=2e-3, atol=1e-4)


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keras can't fetch its weights, and says so its own way."""
    import keras

    real = keras.applications.MobileNetV2

    def fetchless(*args: Any, weights: str | None = "imagenet", **options: Any) -> Any:
        if weights == "imagenet":
            raise Exception("URL fetch failure on https://storage: None -- no route to host")
        return real(*args, weights=weights, **options)

    monkeypatch.setattr(keras.applications, "MobileNetV2", fetchless)


@pytest.mark.usefixtures("offline")
def test_imagenet_that_cannot_be_fetched_lies_in_the_box(
    capsys: pytest.CaptureFixture[str],
) -> None:
    backbone, origin = build_backbone("imagenet", CROPS)
    _, err = capsys.readouterr()
    assert "in the box" in err and len(err.splitlines()) == 1
    assert "in the box" in origin
    expected, _ = build_backbone(start_weights(), CROPS)
    for found, wanted in zip(backbone.get_weights(), expected.get_weights(), strict=True):
        assert (found == wanted).all()


@pytest.mark.parametrize(
    "kind",
    [
        "missing",
        "text",
        "other network",
    ],
)
def test_a_file_that_holds_no_weights_is_an_error_line(
    kind: str,
    tiny: Path,
    tmp_path: Path,
    run: Run,
    recwarn: pytest.WarningsRecorder,
) -> None:
    path = tmp_path / "odd.weights.h5"
    if kind == "text":
        path.write_text("no weights, just words\n")
    elif kind == "other network":
        import keras

        keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)]).save_weights(path)
    result = run(
        "train_model.py", "--data", tiny, "--weights", path, "--output-dir", tmp_path / "model"
    )
    assert str(path) in only_error(result)
    assert not [w for w in recwarn if w.category is UserWarning]  # each would be a line on stderr
    assert not (tmp_path / "model").exists()
