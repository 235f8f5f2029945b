"""The recipe that public projects share, as a baseline, beside train_model.py: answers and seconds.

    python3 tests/benchmarks/recipe.py --data preprocessed_data.npz --elsewhere other_lab.npz \\
        --weights WEIGHTS

Trains both on the same archive one after the other, each as a process of its own, and prints a
table: accuracy, AUC and errors on the test split and on the archive of another laboratory (made
with `preprocess_data.py --split test`), whole cells and with those that the border cuts, seconds.
The recipe: frozen MobileNetV2, inputs in [0, 1], global average pooling, Dense 128 relu, dropout
0.5, softmax, Adam, 10 epochs of batch 32, threshold 1/2.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

import numpy as np

from hematovision.archive.contents import Split
from hematovision.archive.loading import load_archive
from hematovision.networks.classifier import Classifier
from hematovision.program.console import command, quiet_stderr
from hematovision.program.options import option, parse_options


@dataclass(frozen=True)
class Options:
    data: Path = option(Path("preprocessed_data.npz"), "binary archive to train and test on")
    elsewhere: Path | None = option(
        None, "binary archive of another laboratory, all in its test split"
    )
    weights: str = option("imagenet", "imagenet or a MobileNetV2 weights file, for both")
    output: Path = option(Path("bench"), "folder for what is trained")
    only_recipe: bool = option(False, "train the recipe and stop (what the comparison times)")


def train_recipe(data: Path, weights: str, output: Path) -> None:
    """The recipe from process start to saved model, as its users run it."""
    import keras
    from keras import layers

    keras.utils.set_random_seed(42)
    with np.load(data) as archive:
        X, y = archive["X_train"].astype(np.float32), archive["y_train"]
        X_val, y_val = archive["X_val"].astype(np.float32), archive["y_val"]
    source = "imagenet" if weights == "imagenet" else None
    base = keras.applications.MobileNetV2(X.shape[1:], include_top=False, weights=source)
    if source is None:
        base.load_weights(weights)
    base.trainable = False
    x = layers.GlobalAveragePooling2D()(base.output)
    x = layers.Dropout(0.5)(layers.Dense(128, activation="relu")(x))
    model = keras.Model(base.input, layers.Dense(2, activation="softmax")(x))
    model.compile(optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(X, y, validation_data=(X_val, y_val), epochs=10, batch_size=32, verbose=0)
    output.mkdir(parents=True, exist_ok=True)
    model.save(output / "recipe.keras")


def is_cut(split: Split) -> np.ndarray:
    """Which boxes touch the border of their field, within 2 pixels; (n,) bool.

    The archive has no field sizes: the outermost corner of any box of the dataset stands for them.
    """
    low, high = split.box[:, :2], split.box[:, 2:]
    return (low <= 2).any(axis=1) | (high >= split.box[:, 2:].max(axis=0) - 2).any(axis=1)


def describe(name: str, rbc: np.ndarray, threshold: float, split: Split, elsewhere: bool) -> str:
    """A table row's figures for the probabilities of RBC (n,) on one split."""
    from sklearn.metrics import roc_auc_score

    truth = split.label == "RBC"
    right = (rbc >= threshold) == truth
    whole = f" (whole cells {right[~is_cut(split)].mean():.4f})" if elsewhere else ""
    return (
        f"{name}: accuracy {right.mean():.4f}{whole}, AUC {roc_auc_score(truth, rbc):.5f}, "
        f"{(~right).sum()} errors of {len(truth)}"
    )


@command
def main(argv: Sequence[str] | None = None) -> int:
    options: Options = parse_options(Options, __doc__, argv)
    if options.only_recipe:
        train_recipe(options.data, options.weights, options.output)
        return 0
    common = ["--data", str(options.data), "--weights", options.weights]
    crops = ["--field-epochs", "0"]  # the recipe finds no cells in whole fields
    commands = {
        "recipe": [__file__, *common, "--only-recipe", "--output", str(options.output)],
        "ours": ["train_model.py", *common, *crops, "--output-dir", str(options.output / "ours")],
    }
    seconds = {}
    for name, arguments in commands.items():
        start = time.perf_counter()
        script = str(ROOT / arguments[0]) if name == "ours" else arguments[0]
        subprocess.run([sys.executable, script, *arguments[1:]], check=True, stdout=sys.stderr)
        seconds[name] = time.perf_counter() - start

    with quiet_stderr():
        import keras
    recipe = keras.models.load_model(options.output / "recipe.keras")
    ours = Classifier.load(options.output / "ours")
    archives = {"test split": options.data, "elsewhere": options.elsewhere}
    for name, path in archives.items():
        if path is None:
            continue
        test = load_archive(path, ["test"]).splits["test"]
        answers = {
            "recipe": (recipe.predict(test.X.astype(np.float32) / 255, verbose=0)[:, 1], 0.5),
            "ours": (ours.predict_proba(test.X)[0][:, 1], ours.card.threshold),
        }
        for who, (rbc, threshold) in answers.items():
            print(f"{who:7}{describe(name, rbc, threshold, test, name == 'elsewhere')}")
    print(
        f"recipe {seconds['recipe']:.0f} s, ours {seconds['ours']:.0f} s: "
        f"ratio {seconds['ours'] / seconds['recipe']:.2f}"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
