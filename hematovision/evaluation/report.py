"""The report's page: which crops and fields it shows, and how the template is filled."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np

from hematovision.archive.contents import FieldSplit, Split
from hematovision.cells.cells import BACKGROUND
from hematovision.cells.drawing import draw_cells
from hematovision.evaluation.field_scores import JudgedFields
from hematovision.evaluation.matching import Judged, Matched
from hematovision.evaluation.measure import Answers
from hematovision.evaluation.plots import format_percent, plot_all
from hematovision.networks.card import Card
from hematovision.networks.explain import occlude, paint_heat
from hematovision.pictures.images import write_drawing
from hematovision.program.console import progress
from hematovision.program.files import write_text
from hematovision.program.records import write_record
from hematovision.program.tables import write_csv

TEMPLATE = Path(__file__).with_name("report.html")
# What the page shows, so that it stays below some 8 MB however bad the model or large the dataset.
MOST_WRONG, MOST_DOUBTFUL, MOST_FIELDS, MOST_EXPLAINED = 400, 24, 80, 6
MOST_FIELDS_DRAWN = 6
FIELD_WIDTH = 640  # pixels
UNSHOWN = (
    "training_fields",
    "training_looks",
    "kept_fields",
    "kept_looks",
)  # of the model card: a line for each field


def pick_listed(
    y: np.ndarray, answers: Answers, threshold: float | None
) -> tuple[np.ndarray, np.ndarray]:
    """Indices of the wrong crops, the surest first, and of the right ones closest to a mistake."""
    proba, predicted, _ = answers
    if threshold is None:
        top = np.sort(proba, axis=1)
        margin = top[:, -1] - top[:, -2]
    else:
        margin = np.abs(proba[:, 1] - threshold)
    order = np.argsort(margin, kind="stable")
    wrong = predicted[order] != y[order]
    return order[wrong][::-1][:MOST_WRONG], order[~wrong][:MOST_DOUBTFUL]


def describe_crop(
    i: int, split: Split, y: np.ndarray, answers: Answers, classes: Sequence[str]
) -> dict[str, Any]:
    """One test crop in words and numbers: a row of predictions.csv."""
    proba, predicted, uncertain = answers
    return {
        "number": int(i) + 1,
        "source": str(split.source[i]),
        **dict(zip(("xmin", "ymin", "xmax", "ymax"), map(int, split.box[i]), strict=True)),
        "label": str(split.label[i]),
        "truth": classes[y[i]],
        "predicted": classes[predicted[i]],
        "probability": float(proba[i, predicted[i]]),
        "uncertain": bool(uncertain[i]),
        **{f"p_{name}": float(p) for name, p in zip(classes, proba[i], strict=True)},
    }


def pick_explained(
    wrong: np.ndarray, right: np.ndarray, labels: np.ndarray, seed: int
) -> np.ndarray:
    """Indices of a few wrong crops, and of right ones drawn from each annotated label in turn."""
    rng = np.random.default_rng(seed)
    names = sorted(set(labels.tolist()), key=lambda name: (name == BACKGROUND, name))
    of_label = [rng.permutation(right[labels[right] == name]) for name in names]
    turns = [i for k in range(MOST_EXPLAINED) for of in of_label for i in of[k : k + 1]]
    return np.array([*wrong[:MOST_EXPLAINED], *turns[:MOST_EXPLAINED]], int)


def explain_crops(
    classifier: Judged, split: Split, answers: Answers, picked: np.ndarray, workers: int
) -> list[dict[str, Any]]:
    """Heat maps of the crops `picked`, and the lowest probability under cover."""
    shown = []
    for i in progress(picked, len(picked), "heat maps"):
        crop = split.X[i]
        fall, lowest = occlude(classifier, crop, answers.predicted[i], workers)
        pair = np.hstack([crop, paint_heat(crop, fall)])
        shown.append({"index": int(i), "picture": embed(pair, 92), "lowest": lowest})
    return shown


def show_fields(rows: Sequence[dict[str, Any]], fields: FieldSplit) -> dict[str, dict[str, Any]]:
    """Picture and size of the fields that `rows` come from, as the archive carries them."""
    wanted = list(dict.fromkeys(row["source"] for row in rows))[:MOST_FIELDS]
    shown: dict[str, dict[str, Any]] = {}
    for field in fields.read(()):
        if field.name in wanted:
            image = field.image()
            height, width = image.shape[:2]
            scale = min(1, FIELD_WIDTH / width)
            small = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
            shown[field.name] = {"picture": embed(small, 80), "width": width, "height": height}
    return {name: shown[name] for name in wanted}


def draw_worst_fields(
    metrics: dict[str, Any], judged: JudgedFields, fields: FieldSplit
) -> list[dict[str, Any]]:
    """The fields whose counts are farthest from the annotated ones: annotation and answer."""
    off = sum(
        np.abs(np.subtract(*np.array(row["by_field"]).reshape(-1, 2).T))
        for row in metrics["labels"].values()
    )
    files = list(fields.read(()))
    shown = []
    for i in np.argsort(-off, kind="stable")[:MOST_FIELDS_DRAWN]:
        image = files[i].image()
        pair = [
            draw_cells(image, cells, judged.labels)
            for cells in (judged.fields[i].truth, judged.fields[i].counted)
        ]
        scale = min(1, 760 / pair[0].shape[1])
        size = round(pair[0].shape[1] * scale), round(pair[0].shape[0] * scale)
        annotated, found = (cv2.resize(p, size, interpolation=cv2.INTER_AREA) for p in pair)
        shown.append(
            {
                "name": judged.fields[i].name,
                "off": int(off[i]),
                "annotated": annotated,
                "found": found,
                "width": size[0],
                "height": size[1],
            }
        )
    return shown


def embed(picture: np.ndarray | Path, quality: int = 90) -> str:
    """A PNG file, or an RGB array as JPEG of that quality (0 to 100), as a data URI."""
    if isinstance(picture, Path):
        kind, data = "png", picture.read_bytes()
    else:
        bgr = cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)
        encoded = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
        kind, data = "jpeg", encoded.tobytes()
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"


def format_interval(interval: Sequence[float] | None, digits: int | None = None) -> str:
    """ "low to high" with that many digits; None: in percent."""
    if interval is None:
        return "too few examples"
    if digits is None:
        low, high = map(format_percent, interval)
        return f"{low[:-2]} to {high}"  # the unit once
    return f"{interval[0]:.{digits}f} to {interval[1]:.{digits}f}"


def render_page(**content: Any) -> str:
    """Fill in the template; what comes from files is escaped, and nothing may be missing."""
    from jinja2 import Environment, StrictUndefined

    environment = Environment(autoescape=True, undefined=StrictUndefined)
    environment.filters |= {"percent": format_percent, "interval": format_interval}
    return environment.from_string(TEMPLATE.read_text("utf-8")).render(content)


def clean(value: Any) -> Any:
    """What JSON can hold: NaN becomes null, NumPy's numbers Python's, rounded to eight decimals."""
    if isinstance(value, dict):
        return {k: clean(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [clean(v) for v in value]
    if isinstance(value, float | np.floating):
        return round(float(value), 8) if np.isfinite(value) else None
    return value


class Shown(NamedTuple):
    """What of the test split the page shows."""

    wrong: np.ndarray  # indices of crops, the surest first
    doubtful: np.ndarray  # indices of the right ones closest to a mistake
    explained: list[dict[str, Any]]  # index, heat map, lowest probability under cover
    worst: list[dict[str, Any]]  # fields, see `draw_worst_fields`


def pick_shown(
    matched: Matched, answers: Answers, worst: list[dict[str, Any]], seed: int, workers: int
) -> Shown:
    """Choose the crops to show, and explain a few of them."""
    wrong, doubtful = pick_listed(matched.y, answers, matched.model.threshold)
    right = np.flatnonzero(answers.predicted == matched.y)
    picked = pick_explained(wrong, right, matched.split.label, seed)
    explained = explain_crops(matched.model, matched.split, answers, picked, workers)
    return Shown(wrong, doubtful, explained, worst)


def write_report(
    options: Any, metrics: dict[str, Any], card: Card, matched: Matched, answers: Answers,
    fields: FieldSplit, shown: Shown,
) -> None:  # fmt: skip
    """Write pictures, tables and the page into `options.output_dir`; `options` are
    evaluate_model.py's."""
    folder: Path = options.output_dir
    split, y = matched.split, matched.y
    folder.mkdir(parents=True, exist_ok=True)
    plots = plot_all(y, answers, metrics, folder)
    rows = [describe_crop(i, split, y, answers, metrics["classes"]) for i in range(len(y))]
    page = render_page(
        options=options,
        metrics=metrics,
        card={k: v for k, v in write_record(card).items() if k not in UNSHOWN},
        pictures={name: embed(path) for name, path in plots.items()},
        wrong=[rows[i] | {"picture": embed(split.X[i])} for i in shown.wrong],
        doubtful=[rows[i] | {"picture": embed(split.X[i])} for i in shown.doubtful],
        explained=[e | rows[e["index"]] for e in shown.explained],
        listed=(listed := [rows[i] for i in (*shown.wrong, *shown.doubtful)]),
        worst_fields=[
            row | {side: embed(row[side], 85) for side in ("annotated", "found")}
            for row in shown.worst
        ],
        fields=show_fields(listed, fields),
    )
    write_csv(folder / "predictions.csv", rows)
    write_text(folder / "report.html", page)
    for i, row in enumerate(shown.worst):
        pair = np.hstack([row["annotated"], row["found"]])
        write_drawing(folder / f"worst_field_{i + 1}.png", pair)
    # Last: where it is, the report is whole.
    write_text(folder / "metrics.json", json.dumps(metrics, indent=2) + "\n")
