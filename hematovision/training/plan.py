"""What the course of every network takes and gives: a plan, and what was learnt by it.

    plan = plan_crops(4, examples, model, common)      # in the course of each network
    learnt = learn_crops(network, examples, model, plan)

A network more is a folder beside `crops/` and `fields/` with a course of the same two functions.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
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


def say_row(row: Row) -> None:
    """One line of progress for a row of the history."""
    figures = [f"{k} {row[k]:.4f}" for k in ("loss", "val_loss", "val_accuracy") if k in row]
    say(f"{row['phase']} {row['epoch']}: " + ", ".join(figures))
