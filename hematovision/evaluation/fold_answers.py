"""Fold answers: a model of few fields is scored on each by the network that hasn't learnt from it.

    answers = ask_by_fold(folder, archive, path, matched, workers)
    found = ask_fields_by_fold(folder, archive, workers)

train_model.py leaves the models of the folds beside the one that is kept.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from hematovision.archive.contents import Archive
from hematovision.archive.folds import FOLDER
from hematovision.evaluation.field_scores import JudgedFields, ask_fields
from hematovision.evaluation.matching import Matched, match_archive
from hematovision.evaluation.measure import Answers, ask
from hematovision.networks.card import read_card
from hematovision.networks.classifier import Classifier
from hematovision.networks.detector import Detector


def find_folds(folder: Path, archive: Archive, names: np.ndarray) -> tuple[list[Path], np.ndarray]:
    """The models beside that in `folder`, and which of them hasn't learnt from each of the fields
    (n,): the first that hasn't, where the model that is kept has. No models where there is a field
    that each has learnt from, or none that the kept one has."""
    digests = archive.metadata.field_sha256["test"]
    kept = set(read_card(folder).training_fields)
    models = sorted(path.parent for path in folder.glob(f"{FOLDER}*/*.json"))
    if not models or not all(digest in kept for digest in digests.values()):
        return [], np.zeros(0, int)
    learnt = [set(read_card(model).training_fields) for model in models]
    unseen = np.array([[digests[name] not in of for of in learnt] for name in names.tolist()])
    if not unseen.any(axis=1).all():
        return [], np.zeros(0, int)
    return models, unseen.argmax(axis=1)


def ask_by_fold(
    folder: Path, archive: Archive, path: Path, matched: Matched, workers: int
) -> Answers:
    """The answers to the crops that a model is judged on; by networks that haven't learnt from them
    where there are such."""
    models, fold = find_folds(folder, archive, matched.split.source)
    if not models:
        return ask(matched.model, matched.split.X, workers)
    n = len(matched.y)
    proba = np.zeros((n, len(matched.model.classes)))
    predicted, uncertain = np.zeros(n, int), np.zeros(n, bool)
    for k, model in enumerate(models):
        mine = fold == k
        of_fold = match_archive(archive, Classifier.load(model), path)
        answers = ask(of_fold.model, of_fold.split.X[mine], workers)
        proba[mine], predicted[mine], uncertain[mine] = answers
    return Answers(proba, predicted, uncertain)


def ask_fields_by_fold(folder: Path, archive: Archive, workers: int) -> JudgedFields:
    """Find the cells of every test field, by networks that haven't learnt from it where there are
    such."""
    fields = archive.fields["test"]
    models, fold = find_folds(folder, archive, fields.name)
    if not models:
        return ask_fields(Detector.load(folder, read_card(folder), workers), fields)
    of_folds = [
        ask_fields(Detector.load(model, read_card(model), workers), fields.select(fold == k))
        for k, model in enumerate(models)
    ]
    order = np.argsort(np.concatenate([np.flatnonzero(fold == k) for k in range(len(models))]))
    together = [field for judged in of_folds for field in judged.fields]
    return of_folds[0]._replace(fields=together).pick(order.tolist())
