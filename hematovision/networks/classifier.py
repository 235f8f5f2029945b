"""The exported model and its card, as every script uses them: crops in, answers out.

classifier = Classifier.load(folder)
classifier.answer(classifier.crop(picture))  # SegmentAnswer(label="RBC", probability=0.998, ...)
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hematovision.cells.taxonomy import find_parent, is_a, lineage
from hematovision.networks.card import (
    HOW_TO_TRAIN,
    KIND_THRESHOLD,
    NAME,
    Card,
    check_seal,
    read_card,
)
from hematovision.networks.litert import ThreadedNetwork
from hematovision.pictures.images import Crops, scale_pixels, square_crop
from hematovision.program.console import UserError, first_line, progress, run_ahead
from hematovision.program.files import read_file

TURNS = (1, 2, 3)  # quarter turns in which a cell that has kinds is looked at again


def ask_network(
    network: ThreadedNetwork, crops: Crops, workers: int = 2
) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities (n, k) and novelty (n,) of uint8 crops (n, size, size, 3).

    One crop at a time, so that an answer depends neither on the number of threads nor on which
    other crops were asked about.
    """

    def ask(crop: np.ndarray) -> list[np.ndarray]:
        return network(scale_pixels(crop)[np.newaxis].astype(np.float32))

    with ThreadPoolExecutor(workers) as pool:
        asked = run_ahead(pool, ask, crops, 4 * workers)
        rows = list(progress(asked, len(crops), "classifying"))
    probabilities = np.array([p[0] for p, _ in rows]).reshape(-1, network.output_shapes[0][-1])
    return probabilities, np.array([d[0] for _, d in rows], float)


def settle_kinds(
    network: ThreadedNetwork, crops: Crops, probabilities: np.ndarray, classes: Sequence[str]
) -> np.ndarray:
    """Probabilities (n, k), where those of the kinds of the likeliest class are means over turns.

    A nucleus has no up and down: of what the network makes of a turned crop, the mean is right more
    often. That a cell is a white one stands already, so that its probability stays, and few crops
    are asked about again. `crops` (n, size, size, 3) uint8.
    """
    parents = [find_parent(name, classes) for name in classes]
    roots = np.array([parent is None for parent in parents])
    settled = probabilities.copy()
    for i in range(len(crops)):
        root = int(np.where(roots, probabilities[i], -1).argmax())
        kinds = [k for k, name in enumerate(classes) if k != root and is_a(name, classes[root])]
        if not kinds:
            continue
        seen = probabilities[i].astype(np.float64)
        for turns in TURNS:
            turned = np.rot90(crops[i], turns)
            seen += network(scale_pixels(turned)[np.newaxis].astype(np.float32))[0][0]
        settled[i, kinds] = probabilities[i, root] * seen[kinds] / max(seen[root], 1e-12)
    return settled


@dataclass(frozen=True)
class SegmentAnswer:
    """What a segment shows."""

    label: str
    probability: float  # of the label
    probabilities: dict[str, float]  # of every class, in their order
    uncertain: bool  # unlike anything the model was trained on
    has_kinds: bool = False  # whether the model tells kinds ("Neutrophil") of a class ("WBC")
    type: str | None = None  # the label, where it is such a kind

    def describe(self) -> dict[str, Any]:
        """As the JSON of predict.py promises."""
        return {
            "label": self.label,
            **({"type": self.type} if self.has_kinds else {}),
            "probability": self.probability,
            "rbc_probability": self.probabilities.get("RBC"),
            "probabilities": self.probabilities,
            "uncertain": self.uncertain,
        }


class Classifier:
    """The exported model and its card: crops in, answers out, without TensorFlow."""

    def __init__(self, model: bytes, card: Card) -> None:
        self.card = card
        self.classes = card.classes
        self.image_size = card.image_size
        self.threshold = card.threshold
        self.kind_threshold = card.kind_threshold
        self.novelty_threshold = card.novelty_threshold
        check_seal(model, self.classes, card.seal)
        self._network = ThreadedNetwork(model)
        size, shapes = self.image_size, [(1, len(self.classes)), (1,)]
        if self._network.input_shape != (1, size, size, 3) or self._network.output_shapes != shapes:
            raise ValueError(f"{NAME}.json and {NAME}.tflite belong to different models")

    @classmethod
    def load(cls, folder: Path) -> Classifier:
        """Read model and card from `folder`; UserError where they are missing or damaged."""
        card = read_card(folder)
        path = folder / f"{NAME}.tflite"
        if not path.exists():
            raise UserError(f"{path}: No such file or directory; {HOW_TO_TRAIN}")
        try:
            return cls(read_file(path, "model"), card)
        except (ValueError, LookupError, TypeError, RuntimeError) as error:
            raise UserError(
                f"{folder}: not a HematoVision model ({first_line(error)}); {HOW_TO_TRAIN}"
            ) from None

    def crop(self, picture: np.ndarray) -> np.ndarray:
        """The crop (size, size, 3) uint8 of a segment (h, w, 3) uint8, as in training."""
        return square_crop(picture, self.image_size)

    def answer(self, crop: np.ndarray) -> SegmentAnswer:
        """What a crop (size, size, 3) uint8 shows."""
        inputs = scale_pixels(crop)[np.newaxis].astype(np.float32)
        probabilities, novelty = self._network(inputs)
        probabilities = self._settle(crop[np.newaxis], probabilities)
        label = self.classes[int(self.predict(probabilities)[0])]
        by_class = dict(zip(self.classes, map(float, probabilities[0]), strict=True))
        return SegmentAnswer(
            label,
            by_class[label],
            by_class,
            bool(self.is_uncertain(novelty)[0]),
            any(find_parent(name, self.classes) for name in self.classes),
            label if find_parent(label, self.classes) else None,
        )

    def predict_proba(self, crops: Crops, workers: int = 2) -> tuple[np.ndarray, np.ndarray]:
        """Probabilities (n, k) and novelty (n,) of uint8 crops (n, size, size, 3)."""
        probabilities, novelty = ask_network(self._network, crops, workers)
        return self._settle(crops, probabilities), novelty

    def _settle(self, crops: Crops, probabilities: np.ndarray) -> np.ndarray:
        if self.threshold is not None:
            return probabilities
        return settle_kinds(self._network, crops, probabilities, self.classes)

    def predict(self, probabilities: np.ndarray) -> np.ndarray:
        """Class index (n,) for probabilities (n, k): by the card's threshold where there is one."""
        return decide(probabilities, self.classes, self.threshold, self.kind_threshold)

    def is_uncertain(self, novelty: np.ndarray) -> np.ndarray:
        """Whether crops are unlike anything the model was trained on, by their novelty (n,)."""
        return novelty > self.novelty_threshold


def decide(
    probabilities: np.ndarray,
    classes: Sequence[str],
    threshold: float | None,
    kind_threshold: float = KIND_THRESHOLD,
) -> np.ndarray:
    """Class index (n,) for probabilities (n, k).

    With a `threshold`: RBC from there up. Else the likeliest class that is no kind of another, and
    then its likeliest kind, where that makes up `kind_threshold` of its probability.
    """
    if threshold is not None:
        return (probabilities[:, classes.index("RBC")] >= threshold).astype(int)
    parents = [find_parent(name, classes) for name in classes]
    is_root = np.array([parent is None for parent in parents])
    chosen = np.where(is_root, probabilities, -1).argmax(axis=1)
    # From the root of the tree towards its leaves.
    for parent in sorted({p for p in parents if p}, key=lambda name: len(list(lineage(name)))):
        kinds = np.array([name == parent for name in parents])
        likeliest = np.where(kinds, probabilities, -1).argmax(axis=1)
        named = probabilities[np.arange(len(chosen)), likeliest]
        of = probabilities[:, classes.index(parent)]
        at = (chosen == classes.index(parent)) & (named >= kind_threshold * of)
        chosen = np.where(at, likeliest, chosen)
    return chosen
