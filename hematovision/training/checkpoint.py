"""Checkpoints: what training has reached after each epoch, so that a cut run can go on.

    reached = checkpoint.resume("crops", variables)    # sets the variables; epoch 0: start anew
    checkpoint.save("crops", epoch, variables, history)

All that training depends on is kept: weights, the optimizer's state, random states, and what a
caller adds. Of another archive, other options or another version nothing is taken.
"""

from __future__ import annotations

import hashlib
import json
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from hematovision.program.console import can_go_on, say
from hematovision.program.files import written_whole
from hematovision.training.workers import find_workers

UNREADABLE = (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile, zlib.error)


class Reached(NamedTuple):
    """The last whole epoch of a phase."""

    epoch: int
    history: list[dict[str, Any]]
    extra: dict[str, np.ndarray]  # what the caller kept beside the variables


def read_extra(file: Mapping[str, np.ndarray], run: str) -> dict[str, np.ndarray]:
    """What a caller kept beside the variables; nothing, where it is of another run."""
    if json.loads(str(file["about"]))["run"] != run:
        return {}
    return {k[6:]: file[k] for k in file if k.startswith("extra_")}


class Checkpoint:
    """The checkpoints of one run, beside its model; `resume`: whether those of before count."""

    def __init__(self, folder: Path, run: dict[str, Any], resume: bool) -> None:
        told = json.dumps(run, sort_keys=True, default=str)
        self._run = hashlib.sha256(told.encode()).hexdigest()
        self._folder, self._resume = folder, resume

    def _path(self, phase: str, index: int = 0) -> Path:
        """Where a phase is kept; by a worker that isn't the chief, only what it has of its own."""
        ending = f"_worker_{index}" if index else ""
        return self._folder / f"unfinished_{phase}{ending}.npz"

    def save(
        self,
        phase: str,
        epoch: int,
        variables: Sequence[Any],
        history: Sequence[dict[str, Any]],
        **extra: np.ndarray,
    ) -> None:
        """Keep what a phase has reached, whole or as it was before; of several workers the chief
        keeps the variables, each its own `extra`."""
        index = find_workers().index
        if index and not extra:
            return
        arrays = {f"variable_{i}": v.numpy() for i, v in enumerate(() if index else variables)}
        arrays |= {f"extra_{name}": array for name, array in extra.items()}
        about = {"run": self._run, "epoch": epoch, "history": list(history)}
        with written_whole(self._path(phase, index)) as temporary, open(temporary, "wb") as file:
            np.savez(file, about=np.array(json.dumps(about)), **arrays)
        can_go_on()

    def load(self, phase: str, variables: Sequence[Any]) -> Reached | None:
        """Set the variables to what a phase had reached; None where there is nothing to go on
        from."""
        path = self._path(phase)
        if not self._resume or not path.is_file():
            return None
        own = self._path(phase, find_workers().index)
        try:
            with np.load(path, allow_pickle=False) as file:
                about = json.loads(str(file["about"]))
                values = [file[f"variable_{i}"] for i in range(len(variables))]
            extra = {}
            if own.is_file():
                with np.load(own, allow_pickle=False) as file:
                    extra = read_extra(file, self._run)
            same = about["run"] == self._run and all(
                tuple(v.shape) == value.shape for v, value in zip(variables, values, strict=True)
            )
        except UNREADABLE:
            same = False
        if not same:
            say(f"warning: {path}: of another archive or other options; starting {phase} anew")
            return None
        for variable, value in zip(variables, values, strict=True):
            variable.assign(value)
        say(f"{phase}: going on after epoch {about['epoch']}")
        return Reached(about["epoch"], about["history"], extra)

    def resume(self, phase: str, variables: Sequence[Any]) -> Reached:
        """Set the variables to what a phase had reached, of all workers to the chief's; epoch 0
        where it starts anew. UserError where the workers don't go on from the same."""
        reached = self.load(phase, variables) or Reached(0, [], {})
        workers = find_workers()
        workers.check_same(reached.epoch, "epochs gone on from")
        workers.follow_chief(variables)
        return reached

    def clear(self) -> None:
        """The model stands: what led there can go."""
        if not find_workers().is_chief:
            return
        for path in self._folder.glob("unfinished_*.npz"):
            path.unlink(missing_ok=True)
