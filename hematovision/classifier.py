"""The exported model and its card, as every script uses them: crops in, answers out.

classifier = Classifier.load(folder)
classifier.answer(classifier.crop(picture))  # {"label": "RBC", "probability": 0.998, ...}
"""

from __future__ import annotations

import json
import platform
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from hematovision.console import UserError, progress
from hematovision.files import HERE
from hematovision.images import scale_pixels, square_crop
from hematovision.litert import ThreadedNetwork

NAME = "hematovision"
PRETRAINED = HERE / "data" / "pretrained"
HOW_TO_TRAIN = "train one with train_model.py"


def read_card(folder: Path) -> dict[str, Any]:
    """The model card of `folder`; UserError where it is missing or no card."""
    path = folder / f"{NAME}.json"
    try:
        card = json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}; {HOW_TO_TRAIN}") from None
    except ValueError as error:
        raise UserError(
            f"{folder}: not a HematoVision model ({first_line(error)}); {HOW_TO_TRAIN}"
        ) from None
    if not isinstance(card, dict):
        raise UserError(
            f"{folder}: not a HematoVision model (the card is no object); {HOW_TO_TRAIN}"
        )
    return card


def first_line(error: BaseException) -> str:
    """What an error of some library says, as far as it fits into our one line."""
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200]


def choose_model(folder: Path | None) -> tuple[Path, str]:
    """The folder given, else model/ where one was trained, else the bundled model; and a notice."""
    if folder is not None:
        return folder, ""
    trained = Path("model")
    if (trained / "hematovision.json").is_file():
        return trained, f"using the model trained here: {trained}"
    return PRETRAINED, f"using the bundled model: {PRETRAINED}"


def ask_network(
    network: ThreadedNetwork, crops: np.ndarray, workers: int = 2
) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities (n, k) and novelty (n,) of uint8 crops (n, size, size, 3).

    One crop at a time, so that an answer depends neither on the number of threads nor on which
    other crops were asked about.
    """

    def ask(crop: np.ndarray) -> list[np.ndarray]:
        return network(scale_pixels(crop)[np.newaxis].astype(np.float32))

    with ThreadPoolExecutor(workers) as pool:
        rows = list(progress(pool.map(ask, crops), len(crops), "classifying"))
    probabilities = np.array([p[0] for p, _ in rows]).reshape(-1, network.output_shapes[0][-1])
    return probabilities, np.array([d[0] for _, d in rows], float)


class Classifier:
    """The exported model and its card: crops in, answers out, without TensorFlow."""

    def __init__(self, model: bytes, card: dict[str, Any]) -> None:
        self.card = card
        self.classes: list[str] = card["classes"]
        self.image_size: int = card["image_size"]
        self.threshold: float | None = card["threshold"]
        self.novelty_threshold: float = card["novelty_threshold"]
        self._network = ThreadedNetwork(model)
        size, shapes = self.image_size, [(1, len(self.classes)), (1,)]
        if self._network.input_shape != (1, size, size, 3) or self._network.output_shapes != shapes:
            raise ValueError(f"{NAME}.json and {NAME}.tflite belong to different models")

    @classmethod
    def load(cls, folder: Path) -> Classifier:
        """Read model and card from `folder`; UserError where they are missing or damaged."""
        card = read_card(folder)
        try:
            return cls((folder / f"{NAME}.tflite").read_bytes(), card)
        except OSError as error:
            raise UserError(f"{error.filename}: {error.strerror}; {HOW_TO_TRAIN}") from None
        except (ValueError, LookupError, TypeError, RuntimeError) as error:
            raise UserError(
                f"{folder}: not a HematoVision model ({first_line(error)}); {HOW_TO_TRAIN}"
            ) from None

    def crop(self, picture: np.ndarray) -> np.ndarray:
        """The crop (size, size, 3) uint8 of a segment (h, w, 3) uint8, as in training."""
        return square_crop(picture, self.image_size)

    def answer(self, crop: np.ndarray) -> dict[str, Any]:
        """What a crop (size, size, 3) uint8 shows, as the JSON of predict.py promises."""
        inputs = scale_pixels(crop)[np.newaxis].astype(np.float32)
        probabilities, novelty = self._network(inputs)
        label = int(self.predict(probabilities)[0])
        by_class = dict(zip(self.classes, map(float, probabilities[0]), strict=True))
        return {
            "label": self.classes[label],
            "probability": by_class[self.classes[label]],
            "rbc_probability": by_class.get("RBC"),
            "probabilities": by_class,
            "uncertain": bool(self.is_uncertain(novelty)[0]),
        }

    def predict_proba(self, crops: np.ndarray, workers: int = 2) -> tuple[np.ndarray, np.ndarray]:
        """Probabilities (n, k) and novelty (n,) of uint8 crops (n, size, size, 3)."""
        return ask_network(self._network, crops, workers)

    def predict(self, probabilities: np.ndarray) -> np.ndarray:
        """Class index (n,) for probabilities (n, k): by the card's threshold where there is one."""
        return decide(probabilities, self.classes, self.threshold)

    def is_uncertain(self, novelty: np.ndarray) -> np.ndarray:
        """Whether crops are unlike anything the model was trained on, by their novelty (n,)."""
        return novelty > self.novelty_threshold


def decide(
    probabilities: np.ndarray, classes: Sequence[str], threshold: float | None
) -> np.ndarray:
    """Class index (n,) for probabilities (n, k): RBC from the threshold up, or the likeliest."""
    if threshold is None:
        return probabilities.argmax(axis=1)
    return (probabilities[:, classes.index("RBC")] >= threshold).astype(int)


def list_versions(packages: Sequence[str]) -> dict[str, str]:
    """The version of Python and of each package, for cards and reports."""
    from importlib.metadata import version

    return {"python": platform.python_version(), **{name: version(name) for name in packages}}
