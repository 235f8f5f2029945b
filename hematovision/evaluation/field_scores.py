"""Scores of whole fields: average precision and counts, against the boxes annotated."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from hematovision.archive.contents import FieldSplit
from hematovision.cells.cells import Cells, match, overlap
from hematovision.cells.taxonomy import lineage
from hematovision.networks.detector import Detector
from hematovision.networks.reliance import is_found
from hematovision.program.console import progress

MOST_OWN = 0.3  # share of the annotated boxes that may be the model's own by chance
MIN_PROBABILITY = 0.02  # probability from which cells enter the precision-recall curves


class JudgedField(NamedTuple):
    """What was annotated in a test field and what the model found there."""

    name: str
    truth: Cells
    found: Cells  # from MIN_PROBABILITY up
    counted: Cells  # from the thresholds up
    lab: str  # the laboratory
    complete: np.ndarray  # (k,) bool, labels of which no cell lacks its box


class JudgedFields(NamedTuple):
    """The test fields, and the labels (k) that they are judged in."""

    fields: list[JudgedField]
    labels: list[str]

    def pick(self, chosen: Sequence[int]) -> JudgedFields:
        """Some of the fields."""
        return self._replace(fields=[self.fields[i] for i in chosen])


def ask_fields(detector: Detector, fields: FieldSplit) -> JudgedFields:
    """Find the cells of every test field.

    What is found of a box whose label is no kind of the model's counts neither way: it is a cell,
    and none that the model could name.
    """
    labels, judged = detector.labels, []
    named = np.unique(fields.label).tolist()
    others = [name for name in named if not any(of in labels for of in lineage(name))]
    read = fields.read([*labels, *others])
    for field in progress(read, len(fields.name), "finding cells"):
        found, other = detector.find(field.image(), MIN_PROBABILITY), field.label >= len(labels)
        box, beside = field.box[~other], field.box[other]
        of_other = overlap(found.box, beside).max(axis=1, initial=0)
        of_known = overlap(found.box, box).max(axis=1, initial=0)
        found = found.pick((of_other < 0.5) | (of_other < of_known))
        counted = found.pick(detector.is_counted(found))
        truth = Cells(box, field.label[~other], np.ones(len(box)))
        complete = field.complete[: len(labels)]
        judged.append(JudgedField(field.name, truth, found, counted, field.lab, complete))
    return JudgedFields(judged, labels)


def score_boxes(judged: JudgedFields) -> dict[str, dict[str, Any]]:
    """By label: AP50, AP50:95 and the precision-recall curve at IoU 0.5, by COCO's own code."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    def rows(every: list[Cells], score: bool) -> list[dict[str, Any]]:
        listed: list[dict[str, Any]] = []
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
            "images": [{"id": i} for i in range(len(judged.fields))],
            "categories": [{"id": k} for k in range(len(judged.labels))],
            "annotations": rows([f.truth for f in judged.fields], score=False),
        }
        truth.createIndex()
        found = COCO()
        found.dataset = truth.dataset | {
            "annotations": rows([f.found for f in judged.fields], score=True)
        }
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
        for k, label in enumerate(judged.labels)
    }


def measure_fields(judged: JudgedFields) -> dict[str, Any]:
    """What metrics.json says of whole fields: by label, and where there are several laboratories,
    by laboratory and label."""
    names = [field.name for field in judged.fields]
    own = measure_own(judged)
    metrics: dict[str, Any] = {
        "fields": names,
        "labels": measure_complete(judged),
        "own_boxes": own,
        "circular": own is not None and own > MOST_OWN,
    }
    labs = np.array([field.lab for field in judged.fields], str)
    each = np.unique(labs).tolist()
    if len(each) > 1:
        mine = {lab: judged.pick(np.flatnonzero(labs == lab).tolist()) for lab in each}
        metrics["laboratories"] = {
            lab: {"fields": len(of.fields), "labels": drop_curves(measure_complete(of))}
            for lab, of in mine.items()
        }
    return metrics


def measure_own(judged: JudgedFields) -> float | None:
    """Share of the annotated boxes that are the model's own, to the pixel that it writes them with:
    of boxes drawn by people hardly any, of its proposals that people went through most."""
    same, boxes = 0, 0
    for field in judged.fields:
        low, high = np.floor(field.counted.box[:, :2]), np.ceil(field.counted.box[:, 2:])
        own = np.concatenate([low, high], axis=1)
        apart = np.abs(field.truth.box[:, np.newaxis] - own).max(axis=2)
        same += int((apart.min(axis=1, initial=np.inf) <= 1).sum())
        boxes += len(field.truth.box)
    return same / boxes if boxes else None


def measure_complete(judged: JudgedFields) -> dict[str, dict[str, Any]]:
    """By label; of one that is boxed completely in some of the fields, the figures of these.

    `boxed_completely` marks the labels whose figures are about the model: where boxes are missing,
    a cell found is called a false alarm. `fields`: how many the figures are of.
    """
    measured = measure_labels(judged)
    for k, label in enumerate(judged.labels):
        complete = [i for i, field in enumerate(judged.fields) if field.complete[k]]
        if 0 < len(complete) < len(judged.fields):
            by_field = measured[label]["by_field"]
            measured[label] = measure_labels(judged.pick(complete))[label]
            measured[label]["by_field"] = by_field
        of = len(complete or judged.fields)
        measured[label] |= {"boxed_completely": bool(complete), "fields": of}
    return measured


def drop_curves(measured: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The figures of a laboratory: without what is drawn of the whole alone."""
    for row in measured.values():
        del row["by_field"], row["precision_at_recall"]
        if not row["annotated"]:
            row |= {"ap50": None, "ap50_95": None}
    return measured


def measure_labels(judged: JudgedFields) -> dict[str, dict[str, Any]]:
    """By label: average precision, counts, counting accuracy."""
    found = score_boxes(judged)
    for k, label in enumerate(judged.labels):
        true = np.array([(f.truth.label == k).sum() for f in judged.fields])
        counted = np.array([(f.counted.label == k).sum() for f in judged.fields])
        hits = sum(
            int(
                (match(f.counted.pick(f.counted.label == k), f.truth.box, f.truth.label) >= 0).sum()
            )
            for f in judged.fields
        )
        off = np.abs(counted - true).sum()
        found[label] |= {
            "annotated": int(true.sum()),
            "counted": int(counted.sum()),
            "precision": hits / max(counted.sum(), 1),
            "recall": hits / true.sum() if true.sum() else None,
            "counting_accuracy": 1 - off / true.sum() if true.sum() else None,
            "found": is_found(int(true.sum()), int(counted.sum()), hits),
            "by_field": [[int(t), int(c)] for t, c in zip(true, counted, strict=True)],
        }
    return found
