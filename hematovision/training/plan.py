"""What the course of every network takes and gives: a plan, and what was learnt by it.

    plan = plan_crops(4, examples, model, common)      # in the course of each network
    learnt = learn_crops(network, examples, model, plan)

A network more is a folder beside `crops/` and `fields/` with a course of the same two functions.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from hematovision.program.console import say
from hematovision.training.checkpoint import Checkpoint

if TYPE_CHECKING:
    import keras

Row = dict[str, Any]  # of the history


@dataclass(frozen=True)
class Plan:
    """How one network is fitted."""

    seed: int
    checkpoint: Checkpoint
    folds: dict[str, int]  # field -> fold; empty: one training, judged by the validation split
    phase: str = ""  # the name under which it is kept and told
    epochs: int = 0
    shown: int = 0  # examples in each, of all workers
    rate: float = 0.0  # the highest of its steps

    def of(self, phase: str, epochs: int, shown: int, rate: float) -> Plan:
        """The same run's plan for one network."""
        return replace(self, phase=phase, epochs=epochs, shown=shown, rate=rate)

    def list_folds(self) -> list[int]:
        """The numbers of the folds, in order."""
        return sorted(set(self.folds.values()))

    def of_fold(self, fold: int, shown: int) -> Plan:
        """The same for the network that answers for one fold, which is shown fewer."""
        return replace(self, phase=f"{self.phase}_{fold}", folds={}, shown=shown)


@dataclass(frozen=True)
class Learnt:
    """What came of it."""

    network: keras.Model  # whole, as it is saved
    exported: bytes  # its .tflite
    card: Any  # what the model card says of it: a FieldCard, or the keywords of a Card
    history: list[Row]
    folds: list[bytes]  # the .tflite of each fold
    notices: list[str] = field(default_factory=list)  # what to warn of, on the screen and the card


def tell_plan(plan: Plan, what: str) -> str:
    """What a training is about to do, in words."""
    words = f"{plan.epochs} {'pass' if plan.epochs == 1 else 'passes'} over {plan.shown} {what}"
    if plan.folds:
        words = f"{len(plan.list_folds()) + 1} times (for each fold, then on all) " + words
    return words


def say_row(row: Row, plan: Plan, seconds: float | None = None) -> None:
    """One line of progress for a row of the history; with the `seconds` of an epoch, how long the
    rest may take."""
    words = f"{plan.phase}: before the first pass"
    if row["epoch"]:
        words = f"{plan.phase}: pass {row['epoch']} of {plan.epochs}"
    if "val_accuracy" in row:
        words += f", right on {100 * row['val_accuracy']:.1f} % of held-out cells"
    if "loss" in row:
        words += f", loss {row['loss']:.4f} (lower is better)"
    left = plan.epochs - row["epoch"]
    if seconds is not None and left:
        words += f"; about {format_duration(left * seconds)} to go"
    say(words)


def format_duration(seconds: float) -> str:
    """Seconds in words, as exact as a guess is."""
    if seconds < 90:
        return f"{max(10, round(seconds, -1)):.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
