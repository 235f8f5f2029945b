"""The report's plots, each a figure of what metrics.json holds."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from hematovision.cells.drawing import choose_colours
from hematovision.evaluation.measure import Answers
from hematovision.evaluation.scores import GRID, accumulate
from hematovision.program.figures import (
    BLUE,
    COLOURS,
    GREY,
    ORANGE,
    new_figure,
    plot_history,
    save_figure,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def plot_all(
    y: np.ndarray, answers: Answers, metrics: dict[str, Any], folder: Path
) -> dict[str, Path]:
    """Write the report's pictures into `folder`: name -> path."""
    classes = metrics["classes"]
    what = classes[1] if len(classes) == 2 else "the class given"
    figures = {
        "confusion_matrix": plot_confusion(
            np.array(metrics["confusion_matrix"]), classes, metrics["fields"]
        ),
        "roc_curve": plot_curves(y, answers, metrics, "roc"),
        "precision_recall_curve": plot_curves(y, answers, metrics, "pr"),
        "reliability": plot_reliability(metrics, what),
        "scores": plot_scores(metrics),
        "accuracy_by_group": plot_groups(metrics),
        "accuracy_by_field": plot_fields(metrics),
    }
    if metrics["whole_fields"]:
        figures["field_precision_recall"] = plot_boxes(metrics["whole_fields"])
        figures["field_counts"] = plot_counts(metrics["whole_fields"])
    if metrics["history"]:
        figures["training_curves"] = plot_history(metrics["history"])
    for name, figure in figures.items():
        save_figure(figure, folder / f"{name}.png")
    return {name: folder / f"{name}.png" for name in figures}


def plot_confusion(matrix: np.ndarray, classes: Sequence[str], fields: int) -> Figure:
    """Rows are the truth, columns the answer; shade and percentage are shares of the row."""
    figure = new_figure(1.4 * len(classes) + 2.6, 1.2 * len(classes) + 1.8)
    axes = figure.subplots()
    share = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
    for (i, j), n in np.ndenumerate(matrix):
        colour = "white" if share[i, j] > 0.5 else "black"
        text = f"{n}\n{format_percent(share[i, j])}"
        axes.text(j, i, text, ha="center", va="center", color=colour)
    axes.set_xticks(range(len(classes)), classes)
    axes.set_yticks(range(len(classes)), classes)
    axes.set(xlabel="predicted", ylabel="annotated")
    axes.set_title(f"{matrix.sum()} test crops of {fields} fields", fontsize=12)
    return figure


def plot_curves(y: np.ndarray, answers: Answers, metrics: dict[str, Any], kind: str) -> Figure:
    """ROC ("roc") or precision-recall ("pr") curves, RBC's or each class's against the rest, with
    95 % bands and the point where the model decides; the corner that matters also enlarged."""
    figure = new_figure(6.4, 6)
    axes = figure.subplots()
    panels = [axes]
    area = "roc_auc" if kind == "roc" else "average_precision"
    curves = metrics["curves"][kind]
    if curves and min(metrics["per_class"][name][area] for name in curves) > 0.97:
        panels.append(axes.inset_axes((0.34, 0.12, 0.62, 0.62)))  # else the curves need the room
        panels[1].set_title("the corner, ten times as large", fontsize=12)
    for colour, (name, curve) in zip(COLOURS * 9, curves.items(), strict=False):
        c = metrics["classes"].index(name)
        truth, answer = y == c, answers.predicted == c
        hits, false = (v[0] for v in accumulate(truth, answers.proba[:, c], np.ones((1, len(y)))))
        recall, alarm = hits / hits[-1], false / false[-1]
        hit, wrong = (answer & truth).sum(), (answer & ~truth).sum()
        step: Literal["pre", "post"] = "post" if kind == "roc" else "pre"
        if kind == "roc":
            x, height = alarm, recall
            dot = wrong / (~truth).sum(), hit / truth.sum()
        else:
            x, height = recall, hits / np.maximum(hits + false, 1)
            height[0] = height[1]
            dot = hit / truth.sum(), hit / max(hit + wrong, 1)
        lowest, highest = (np.array(curve[side], float) for side in ("low", "high"))
        label = f"{name} ({truth.sum()} against {(~truth).sum()} crops)"
        for panel in panels:
            panel.step(x, height, where=step, color=colour, label=label)
            panel.fill_between(
                GRID, lowest, highest, step=step, color=colour, alpha=0.2, linewidth=0
            )
            panel.plot(*dot, "o", color=colour, markersize=9, markeredgecolor="white")
    axes.plot([], [], "o", color=GREY, label="where the model decides")
    whole, corner = (-0.02, 1.02), (0.9, 1.002)
    of_x = (-0.002, 0.1) if kind == "roc" else corner
    for panel, wide, high in zip(panels, (whole, of_x), (whole, corner), strict=False):
        panel.set(xlim=wide, ylim=high)
    names = ("false positive rate", "recall") if kind == "roc" else ("recall", "precision")
    axes.set(xlabel=names[0], ylabel=names[1])
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", frameon=False)
    axes.set_title(f"{len(y)} test crops of {metrics['fields']} fields, 95 % bands", fontsize=12)
    return figure


def plot_reliability(metrics: dict[str, Any], what: str) -> Figure:
    """Observed share against stated probability, over the number of crops by probability."""
    figure = new_figure(6.4, 7)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    bins = metrics["reliability"]
    upper.plot([0, 1], [0, 1], "--", color=GREY, label="perfectly calibrated")
    for sure, fill, text in (
        (True, BLUE, "observed, 95 % interval"),
        (False, "white", "too few crops for an interval"),
    ):
        chosen = [b for b in bins if b["crops"] and sure == (b["ci95"] is not None)]
        x, height = ([b[key] for b in chosen] for key in ("claimed", "happened"))
        upper.plot(x, height, "o", color=BLUE, markerfacecolor=fill, markersize=8, label=text)
        if sure and chosen:
            upper.vlines(
                x, *zip(*(b["ci95"] for b in chosen), strict=True), color=BLUE, linewidth=2
            )
    lower.bar((np.arange(10) + 0.5) / 10, [b["crops"] for b in bins], width=0.09, color=BLUE)
    lower.set(
        yscale="log", ylim=(0.7, None), xlabel=f"probability of {what}, as stated", ylabel="crops"
    )
    upper.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), ylabel=f"share that is {what}")
    figure.legend(*upper.get_legend_handles_labels(), loc="outside lower center", frameon=False)
    upper.set_title(f"{metrics['crops']} test crops of {metrics['fields']} fields", fontsize=12)
    return figure


def plot_scores(metrics: dict[str, Any]) -> Figure:
    """How many crops got which probability, by whether they are of the class."""
    histograms = metrics["score_histograms"]
    figure = new_figure(6.4, 1.2 + 2.6 * len(histograms))
    edges = np.linspace(0, 1, 21)
    for axes, (name, counts) in zip(
        figure.subplots(len(histograms), 1, squeeze=False).flat, histograms.items(), strict=True
    ):
        for (who, n), colour, style in zip(counts.items(), (BLUE, ORANGE), "-:", strict=True):
            axes.stairs(n, edges, color=colour, fill=True, alpha=0.25)
            axes.stairs(n, edges, color=colour, linewidth=2, linestyle=style,
                        label=f"{who} ({sum(n)} crops)")  # fmt: skip
        if (threshold := metrics["threshold"]) is not None:
            axes.axvline(threshold, color=GREY, linestyle="--", label=f"threshold {threshold:.3g}")
        axes.set(yscale="log", ylim=(0.7, None), ylabel="crops", xlabel=f"probability of {name}")
        axes.legend(framealpha=1, edgecolor="none", loc="upper center")
    return figure


def plot_groups(metrics: dict[str, Any]) -> Figure:
    """Accuracy with its interval of each class, annotated label and cell size."""
    lines: list[tuple[str, dict[str, Any] | None]] = []
    for kind, rows in metrics["accuracy_by"].items():
        lines += [(f"by {kind}", None), *((f"{row['name']} ({row['crops']})", row) for row in rows)]
    figure = new_figure(6.4, 1.2 + 0.4 * len(lines))
    axes = figure.subplots()
    drawn = [(place, row) for place, (_, row) in enumerate(lines) if row and row["crops"]]
    for place, row in drawn:
        if row["ci95"]:
            axes.hlines(place, *row["ci95"], color=BLUE, linewidth=2)
        fill = BLUE if row["ci95"] else "white"
        axes.plot(row["accuracy"], place, "o", color=BLUE, markersize=8, markerfacecolor=fill)
    axes.axvline(metrics["accuracy"], color=GREY, linestyle="--")
    axes.set_yticks(range(len(lines)), [text for text, _ in lines])
    for text, (_, of_line) in zip(axes.get_yticklabels(), lines, strict=True):
        text.set_fontweight("normal" if of_line else "bold")
    axes.tick_params(axis="y", length=0)
    axes.invert_yaxis()
    show_percent(axes, [row for _, row in drawn])
    axes.set_xlabel("crops right, 95 % interval")
    return figure


def plot_fields(metrics: dict[str, Any]) -> Figure:
    """Accuracy of every field, the worst first, and their mean."""
    by_field = metrics["accuracy_by_field"]
    shares = np.sort([f["right"] / f["crops"] for f in by_field["fields"].values()])
    figure = new_figure(6.4, 4.2)
    axes = figure.subplots()
    axes.plot(np.arange(len(shares)) + 1, shares, "o", color=BLUE, markersize=5, label="one field")
    axes.axhline(by_field["mean"], color=ORANGE, label="mean of the fields")
    if by_field["ci95"]:
        axes.axhspan(*by_field["ci95"], color=ORANGE, alpha=0.2, linewidth=0, label="95 % interval")
    show_percent(axes, [{"accuracy": shares[0], "ci95": by_field["ci95"]}], "y")
    axes.set(xlabel=f"field, the worst first (n = {len(shares)})", ylabel="crops right")
    axes.legend(frameon=False, loc="lower right")
    return figure


def show_percent(axes: Axes, rows: Sequence[dict[str, Any]], which: str = "x") -> None:
    """Let an axis run in percent from a little below the lowest of `rows` to 100."""
    from matplotlib.ticker import PercentFormatter

    low = min(min([row["accuracy"], *(row["ci95"] or ())]) for row in rows)
    margin = max(1 - low, 0.02) * 0.08
    axes.set(**{f"{which}lim": (max(min(low, 0.98) - margin, -0.02), 1 + margin)})
    getattr(axes, f"{which}axis").set_major_formatter(PercentFormatter(1, symbol=" %"))


def plot_boxes(metrics: dict[str, Any]) -> Figure:
    """Precision against recall of each label at IoU 0.5."""
    figure = new_figure(6.4, 5.6)
    axes = figure.subplots()
    colours = choose_colours(list(metrics["labels"]))
    for label, row in metrics["labels"].items():
        if row["annotated"]:
            colour = np.divide(colours[label], 255)
            text = f"{label}: AP50 {row['ap50']:.3f} ({row['annotated']} boxes)"
            axes.plot(np.linspace(0, 1, 101), row["precision_at_recall"], color=colour, label=text)
            axes.plot(row["recall"], row["precision"], "o", color=colour, markersize=9,
                      markeredgecolor="white")  # fmt: skip
    axes.plot([], [], "o", color=GREY, label="where the model counts")
    axes.set(xlabel="recall", ylabel="precision", xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", frameon=False)
    axes.set_title(f"cells of {len(metrics['fields'])} test fields, IoU 0.5", fontsize=12)
    return figure


def plot_counts(metrics: dict[str, Any]) -> Figure:
    """Cells counted against cells annotated, a dot for each field and label."""
    figure = new_figure(6.4, 5.6)
    axes = figure.subplots()
    most = 1
    colours = choose_colours(list(metrics["labels"]))
    for mark, (label, row) in zip("osD^vP*X<" * 6, metrics["labels"].items(), strict=False):
        true, counted = np.array(row["by_field"]).reshape(-1, 2).T
        most = max(most, true.max(initial=0), counted.max(initial=0))
        axes.plot(true, counted, mark, color=np.divide(colours[label], 255), alpha=0.5, label=label)
    axes.plot([0, most], [0, most], "--", color=GREY, label="as annotated")
    axes.set(xlabel="annotated in the field", ylabel="counted in the field")
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", frameon=False,
                  ncols=2)  # fmt: skip
    axes.set_title(f"{len(metrics['fields'])} test fields", fontsize=12)
    return figure


def format_percent(share: float | None) -> str:
    """A share as a percentage; "100 %" and "0 %" are said of nothing less and nothing more."""
    if share is None:
        return "-"
    sign = "<" if 0 < share < 0.0001 else ">" if 0.9999 < share < 1 else ""
    digits = 0 if share in (0, 1) else 1 if 0.001 <= share <= 0.999 else 2
    shown = share if digits == 0 else min(max(share, 0.0001), 0.9999)
    return f"{sign}{shown:.{digits}%}".replace("%", "\N{NO-BREAK SPACE}%")
