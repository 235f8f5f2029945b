"""What a report says on the screen: its figures as a table."""

from __future__ import annotations

from typing import Any

from hematovision.evaluation.report import format_interval
from hematovision.evaluation.scores import HEADLINE

OF_RBC = ("ap50", "counting_accuracy")  # told of each laboratory's red cells


def show(number: float | None) -> str:
    return "-" if number is None else f"{number:.4f}"


def format_table(metrics: dict[str, Any]) -> list[str]:
    """Metric, value and interval, a line each; with a second model, its value and the change."""
    other = metrics["comparison"]

    head = f"{'metric':<20}{'value':>8}   {'95 % interval':<18}"
    lines = [head + f"{'second':>8}   95 % interval of the change" if other else head.rstrip()]
    for name in HEADLINE:
        span = format_interval(metrics["ci95"][name], 4)
        line = f"{name:<20}{show(metrics[name]):>8}   {span}"
        if other:
            change = format_interval(other["difference_ci95"][name], 4)
            line = f"{line:<49}{show(other[name]):>8}   {change}"
        lines.append(line)
    if other:
        test = other["mcnemar"]
        lines.append(
            f"only the first right: {test['only_first_right']}, only the second: "
            f"{test['only_second_right']}, exact McNemar test p = {test['p']:.3g}"
        )
    lines += format_laboratories(metrics)
    if metrics["types"]:
        found = metrics["types"]
        lines.append(
            f"types of white cells: balanced accuracy {found['balanced_accuracy']:.4f} on "
            f"{found['crops']} crops, {100 * found['untyped_share']:.1f} % left without a type"
        )
    lines += format_fields(metrics)
    return [*lines, "brier, ece: how far probabilities are from what happens, 0 at best; else 1"]


def format_fields(metrics: dict[str, Any]) -> list[str]:
    """How each label is found and counted in whole fields, a line each; nothing without these."""
    if not metrics["whole_fields"]:
        return []
    beside = ((metrics["comparison"] or {}).get("whole_fields") or {}).get("labels", {})
    head = (
        f"{'whole fields':<14}{'AP50':>8}{'AP50:95':>9}{'counted':>9}{'annotated':>11}{'fields':>8}"
    )
    lines = [head + (f"{'second: AP50':>15}{'counted':>9}" if beside else "")]
    for label, row in metrics["whole_fields"]["labels"].items():
        line = (
            f"{label:<14}{show(row['ap50']):>8}{show(row['ap50_95']):>9}"
            f"{row['counted']:>9}{row['annotated']:>11}{row['fields']:>8}"
        )
        if label in beside:
            line += f"{show(beside[label]['ap50']):>15}{beside[label]['counted']:>9}"
        lines.append(line + ("" if row["found"] else "   not found to speak of"))
    return [
        *lines,
        "AP50: 1 where every cell is found and nothing else, by boxes that overlap by half; "
        "AP50:95: by ever closer ones",
    ]


def format_laboratories(metrics: dict[str, Any]) -> list[str]:
    """A line for each laboratory where there are several: its crops, and what of its whole fields
    is boxed completely."""
    if len(metrics["laboratories"]) < 2:
        return []

    def value(number: float | None) -> str:
        return f"{'-':>13}" if number is None else f"{number:>13.4f}"

    of_fields = (metrics["whole_fields"] or {}).get("laboratories", {})
    lines = [
        f"{'laboratory':<20}{'RBC or not':>13}{'uncertain':>13}{'RBC AP50':>13}{'counting':>13}"
    ]
    for lab, row in metrics["laboratories"].items():
        rbc = of_fields.get(lab, {}).get("labels", {}).get("RBC", {})
        shown = [rbc.get(key) if rbc.get("boxed_completely") else None for key in OF_RBC]
        figures = [row["rbc_balanced_accuracy"], row["cells_uncertain"], *shown]
        lines.append(f"{lab:<20}" + "".join(map(value, figures)))
    return lines
