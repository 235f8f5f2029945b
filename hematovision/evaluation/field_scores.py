"""Scores of whole fields: average precision and counts, against the boxes annotated."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from hematovision.archive.contents import FieldSplit
from hematovision.cells.cells import Cells, match
from hematovision.networks.detector import Detector
from hematovision.program.console import progress

MIN_PROBABILITY = 0.02  # probability from which cells enter the precision-recall curves


class FieldAnswers(NamedTuple):
    """What was annotated in the test fields and what the model found there, field by field."""

    name: list[str]
    truth: list[Cells]
    found: list[Cells]  # from MIN_PROBABILITY up
    counted: list[Cells]  # from the thresholds up
    lab: list[str]  # the laboratory
    complete: list[np.ndarray]  # (k,) bool, labels of which no cell lacks its box
    labels: list[str]

    def pick(self, chosen: Sequence[int]) -> FieldAnswers:
        """The answers to some of the fields."""
        rows = ([column[i] for i in chosen] for column in self[:-1])
        return FieldAnswers(*rows, self.labels)


def ask_fields(detector: Detector, fields: FieldSplit) -> FieldAnswers:
    """Find the cells of every test field. Boxes that are no kind of the model's labels are left
    out."""
    answers = FieldAnswers([], [], [], [], [], [], detector.labels)
    for field in progress(fields.read(detector.labels), len(fields.name), "finding cells"):
        found = detector.find(field.image(), MIN_PROBABILITY)
        answers.name.append(field.name)
        answers.truth.append(Cells(field.box, field.label, np.ones(len(field.box))))
        answers.found.append(found)
        answers.counted.append(found.pick(detector.is_counted(found)))
        answers.lab.append(field.lab)
        answers.complete.append(field.complete)
    return answers


def score_boxes(answers: FieldAnswers) -> dict[str, dict[str, Any]]:
    """By label: AP50, AP50:95 and the precision-recall curve at IoU 0.5, by COCO's own code."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    def rows(every: list[Cells], score: bool) -> list[dict[str, Any]]:
        listed = []
        for image, cells in enumerate(every):
            size = cells.box[:, 2:] - cells.box[:, :2]
            for box, (w, h), k, p in zip(
                cells.box, size, cells.label, cells.probability, strict=True
            ):
                row = {"image_id": image, "category_id": int(k), "bbox": [*box[:2].tolist(), w, h],
                       "area": w * h, "iscrowd": 0, "id": len(listed) + 1}  # fmt: skip
                listed.append(row | {"score": float(p)} if score else row)
        return listed

    with contextlib.redirect_stdout(io.StringIO()):  # COCO's code talks
        truth = COCO()
        truth.dataset = {
            "images": [{"id": i} for i in range(len(answers.name))],
            "categories": [{"id": k} for k in range(len(answers.labels))],
            "annotations": rows(answers.truth, score=False),
        }
        truth.createIndex()
        found = COCO()
        found.dataset = truth.dataset | {"annotations": rows(answers.found, score=True)}
        found.createIndex()
        evaluator = COCOeval(truth, found, "bbox")
        evaluator.params.maxDets = [10_000]  # a field isn't a photograph of a few things
        evaluator.params.areaRng, evaluator.params.areaRngLbl = [[0, 1e10]], ["all"]
        evaluator.evaluate()
        evaluator.accumulate()
    precision = evaluator.eval["precision"][
        :, :, :, 0, 0
    ]  # (IoU, recall, label); -1: none annotated
    precision = np.where(precision < 0, np.nan, precision)
    return {
        label: {
            "ap50": precision[0, :, k].mean(),
            "ap50_95": precision[:, :, k].mean(),
            "precision_at_recall": precision[0, :, k].tolist(),
        }
        for k, label in enumerate(answers.labels)
    }


def measure_fields(answers: FieldAnswers) -> dict[str, Any]:
    """What metrics.json says of whole fields: by label, and where there are several laboratories,
    by laboratory and label."""
    metrics = {"fields": answers.name, "labels": measure_complete(answers)}
    labs = np.array(answers.lab, str)
    names = np.unique(labs).tolist()
    if len(names) > 1:
        mine = {lab: answers.pick(np.flatnonzero(labs == lab).tolist()) for lab in names}
        metrics["laboratories"] = {
            lab: {"fields": len(of.name), "labels": drop_curves(measure_complete(of))}
            for lab, of in mine.items()
        }
    return metrics


def measure_complete(answers: FieldAnswers) -> dict[str, dict[str, Any]]:
    """By label; of one that is boxed completely in some of the fields, the figures of these.

    `boxed_completely` marks the labels whose figures are about the model: where boxes are missing,
    a cell found is called a false alarm. `fields`: how many the figures are of.
    """
    measured = measure_labels(answers)
    for k, label in enumerate(answers.labels):
        complete = [i for i, of in enumerate(answers.complete) if of[k]]
        if 0 < len(complete) < len(answers.name):
            by_field = measured[label]["by_field"]
            measured[label] = measure_labels(answers.pick(complete))[label]
            measured[label]["by_field"] = by_field
        of = len(complete or answers.name)
        measured[label] |= {"boxed_completely": bool(complete), "fields": of}
    return measured


def drop_curves(measured: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The figures of a laboratory: without what is drawn of the whole alone."""
    for row in measured.values():
        del row["by_field"], row["precision_at_recall"]
        if not row["annotated"]:
            row |= {"ap50": None, "ap50_95": None}
    return measured


def measure_labels(answers: FieldAnswers) -> dict[str, dict[str, Any]]:
    """By label: average precision, counts, counting accuracy."""
    found = score_boxes(answers)
    for k, label in enumerate(answers.labels):
        true, counted = (
            np.array([(cells.label == k).sum() for cells in every])
            for every in (answers.truth, answers.counted)
        )
        hits = sum(
            int((match(c.pick(c.label == k), t.box, t.label) >= 0).sum())
            for c, t in zip(answers.counted, answers.truth, strict=True)
        )
        found[label] |= {
            "annotated": int(true.sum()),
            "counted": int(counted.sum()),
            "precision": hits / max(counted.sum(), 1),
            "recall": hits / true.sum() if true.sum() else None,
            "counting_accuracy": 1 - np.abs(counted - true).sum() / true.sum()
            if true.sum()
            else None,
            "by_field": [[int(t), int(c)] for t, c in zip(true, counted, strict=True)],
        }
    return found
