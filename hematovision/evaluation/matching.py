"""Matching: an archive and a model that needn't have been made for each other.

Classes are compared as what they mean: "rbc" is RBC, a neutrophil is a white cell. Where one of
the two knows more than the other, the finer classes are merged; crops of what the model has no
class for are left out, and said. Crops of another size than the model's are cut anew from the
archive's fields.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from hematovision.archive.contents import Archive, FieldSplit, Split
from hematovision.cells.labels import find_name, is_rbc, letters_of, tell_counts
from hematovision.cells.taxonomy import find_parent, is_a
from hematovision.networks.classifier import Classifier, decide
from hematovision.pictures.images import Crops, square_crop
from hematovision.program.console import UserError, progress

BINARY = ["Other", "RBC"]


class MergedClassifier:
    """A classifier that answers in coarser classes: the probability of each is a sum.

    A class that is a kind of another one enters that one's too, as in the classifier itself.
    """

    def __init__(self, classifier: Classifier, classes: Sequence[str], sums: np.ndarray) -> None:
        """`sums`: (k, classes) bool, which of the classifier's k classes make up each."""
        self.inner, self.classes, self.sums = classifier, list(classes), sums.astype(float)
        self.card, self.image_size, self.threshold = classifier.card, classifier.image_size, None

    def predict_proba(self, crops: Crops, workers: int = 2) -> tuple[np.ndarray, np.ndarray]:
        """Probabilities (n, classes) and novelty (n,) of uint8 crops (n, size, size, 3)."""
        proba, novelty = self.inner.predict_proba(crops, workers)
        return proba @ self.sums, novelty

    def predict(self, probabilities: np.ndarray) -> np.ndarray:
        """Class index (n,) for probabilities (n, classes), by the tree of labels."""
        return decide(probabilities, self.classes, None, self.inner.kind_threshold)

    def is_uncertain(self, novelty: np.ndarray) -> np.ndarray:
        return self.inner.is_uncertain(novelty)


Judged = Classifier | MergedClassifier  # a model in the classes that it is judged in


class Match(NamedTuple):
    """How an archive's classes and a model's meet."""

    classes: list[str]  # in which answers are scored
    of_archive: list[int]  # index into `classes` of each of the archive's, -1: unknown to the model
    of_model: list[int]  # of each of the model's


class Matched(NamedTuple):
    """A model, and the crops of a test split that it can be judged on."""

    model: Judged
    split: Split  # (n) crops
    y: np.ndarray  # (n,) their classes, of the model's
    notices: list[str]  # what there is to say of that


def match_classes(archive: Sequence[str], model: Sequence[str]) -> Match:
    """The classes that both know: the coarser of the two where one is a kind of the other."""
    if (list(archive) == BINARY) != (list(model) == BINARY):
        red_archive, red_model = ([int(is_rbc(c)) for c in k] for k in (archive, model))
        return Match(BINARY, red_archive, red_model)
    same = {find_name(c) or letters_of(c): c for c in model}
    found: dict[str, str | None] = {}
    for c in archive:
        known = find_name(c) or c
        finer = [m for m in model if is_a(m, known)]
        found[c] = (
            same.get(find_name(c) or letters_of(c))
            or find_parent(known, model)
            or (c if finer else None)
        )
    targets = {t for t in found.values() if t}

    def meet(m: str) -> str:
        """A model's class, or what the archive knows it as: the nearest above it, if that's all."""
        if m in targets:
            return m
        return next((t for t in targets if t != m and is_a(m, t)), m)

    met = [meet(m) for m in model]
    classes = list(dict.fromkeys(sorted({*met, *targets})))
    return Match(
        classes,
        [classes.index(t) if (t := found[c]) else -1 for c in archive],
        [classes.index(m) for m in met],
    )


def merge(classifier: Classifier, match: Match) -> Judged:
    """The classifier in the classes of a match: itself where these are its own."""
    if match.classes == classifier.classes:
        return classifier
    known = classifier.classes
    roots = [find_parent(name, known) is None for name in known]
    sums = np.zeros((len(known), len(match.classes)), bool)
    for m, target in enumerate(match.of_model):
        name = match.classes[target]
        # A class that the model has itself stands for its kinds already, whose share is in it.
        sums[m, target] = known[m] == name if name in known and name != "Other" else roots[m]
    return MergedClassifier(classifier, match.classes, sums)


def match_archive(archive: Archive, classifier: Classifier, path: Path) -> Matched:
    """The model in the classes that it is judged in, and the crops of the test split that it can be
    judged on; UserError where no crop is left."""
    test = archive.splits["test"]
    if len(test.y) == 0:
        raise UserError(
            f"{path}: its test split is empty; preprocess with --split test or official"
        )
    match = match_classes(archive.classes, classifier.classes)
    y = np.array(match.of_archive)[test.y]
    notices = []
    unknown = Counter(archive.classes[k] for k in test.y[y < 0].tolist())
    if unknown:
        told = f"{tell_counts(unknown)}: the model has {', '.join(classifier.classes)}"
        if len(y) == unknown.total():
            raise UserError(
                f"{path}: it holds nothing that the model knows, but {told}; rename labels with "
                "preprocess_data.py --labels, or train a model on it"
            )
        notices.append(f"warning: left out what the model has no class for: {told}")
        test, y = type(test)(*(column[y >= 0] for column in test)), y[y >= 0]
    merged = len(set(match.of_archive)) < len(match.of_archive)
    if merged or match.classes != classifier.classes:
        shared = ", ".join(match.classes)
        notices.append(f"scored in the classes that archive and model share: {shared}")
    if archive.metadata.image_size != classifier.image_size:
        notices.append(f"crops cut anew at {classifier.image_size} pixels, the model's size")
        test = test._replace(X=cut_anew(test, archive.fields["test"], classifier.image_size))
    return Matched(merge(classifier, match), test, y, notices)


def cut_anew(split: Split, fields: FieldSplit, size: int) -> np.ndarray:
    """The crops (n, size, size, 3) uint8 of a split, from its fields."""
    crops = np.empty((len(split.y), size, size, 3), np.uint8)
    of_field: dict[str, list[int]] = {}
    for i, name in enumerate(split.source.tolist()):
        of_field.setdefault(name, []).append(i)
    for field in progress(fields.read([]), len(fields.name), "cutting crops"):
        if field.name not in of_field:
            continue
        image = field.image()
        for i in of_field[field.name]:
            xmin, ymin, xmax, ymax = split.box[i]
            crops[i] = square_crop(image[ymin:ymax, xmin:xmax], size)
    return crops
