"""Checkpoints: what training has reached after each epoch, so that a cut run can go on.

    reached = checkpoint.resume("crops", variables)    # sets the variables; epoch 0: start anew
    checkpoint.save("crops", epoch, variables, history)

All that training depends on is kept: weights, the optimizer's state, random states, and what a
caller adds, with a digest of it. Of another archive, other options or another version nothing is
taken, nor what is damaged or no number; a file of that name that is none of these is somebody's.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from hematovision.archive.schema import BROKEN, read_arrays
from hematovision.program.console import UserError, can_go_on, first_line, say
from hematovision.program.files import open_regular, written_whole
from hematovision.program.journal import digest_run
from hematovision.training.workers import find_workers

UNREADABLE = (UserError, *BROKEN)


class Reached(NamedTuple):
    """The last whole epoch of a phase."""

    epoch: int
    history: list[dict[str, Any]]
    extra: dict[str, np.ndarray]  # what the caller kept beside the variables


def digest_content(about: dict[str, Any], arrays: Mapping[str, np.ndarray]) -> str:
    """SHA-256 of what a checkpoint says of itself, and of its arrays, their names, types and
    shapes."""
    digest = hashlib.sha256(f"{json.dumps(about)}\n".encode())
    for name in sorted(arrays):
        array = np.asarray(arrays[name])
        digest.update(f"{name} {array.dtype} {array.shape}\n".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def is_zip(path: Path) -> bool:
    """Whether a file begins as a checkpoint does, whole or damaged."""
    try:
        with open_regular(path, "weights file") as file:
            return file.read(2) == b"PK"
    except UserError:
        return False


def read_about(path: Path) -> dict[str, Any] | None:
    """What a checkpoint says of itself; None where `path` is none."""
    try:
        with open_regular(path, "weights file") as file:
            about = json.loads(str(read_arrays(file, ["about"])["about"]))
        return about if len(about["run"]) == 64 else None
    except UNREADABLE:
        return None


def read_kept(path: Path, run: str) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """What a checkpoint of a run says of itself, and its arrays; ValueError where it is of another
    run or has changed, or any of UNREADABLE."""
    with open_regular(path, "weights file") as file:
        arrays = read_arrays(file)
    about = json.loads(str(arrays.pop("about")))
    if about["run"] != run:
        raise ValueError("of another archive or other options")
    if about.pop("content") != digest_content(about, arrays):
        raise ValueError("it isn't as it was written")
    if not all(np.isfinite(array).all() for array in arrays.values() if array.dtype.kind == "f"):
        raise ValueError("some of its weights are no numbers")
    return about, arrays


class Checkpoint:
    """The checkpoints of one run, beside its model; `resume`: whether those of before count."""

    def __init__(self, folder: Path, run: dict[str, Any], resume: bool) -> None:
        self._run = digest_run(run)
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
        keeps the variables, each its own `extra`. UserError where a file that is no checkpoint
        stands in the way."""
        index = find_workers().index
        if index and not extra:
            return
        arrays = {f"variable_{i}": v.numpy() for i, v in enumerate(() if index else variables)}
        arrays |= {f"extra_{name}": array for name, array in extra.items()}
        about = {"run": self._run, "epoch": epoch, "history": list(history)}
        about["content"] = digest_content(about, arrays)
        path = self._path(phase, index)
        if os.path.lexists(path) and not is_zip(path):
            raise UserError(f"{path}: is no checkpoint of ours; move it, or name another folder")
        with written_whole(path) as temporary, open(temporary, "wb") as file:
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
            about, arrays = read_kept(path, self._run)
            values = [arrays[f"variable_{i}"] for i in range(len(variables))]
            if any(tuple(v.shape) != w.shape for v, w in zip(variables, values, strict=True)):
                raise ValueError("of another network")
            if own != path:
                known = (read_about(own) or {}).get("run") == self._run
                arrays = read_kept(own, self._run)[1] if known else {}
        except UNREADABLE as error:
            say(f"warning: {path}: {first_line(error)}; starting {phase} anew")
            return None
        extra = {name[6:]: kept for name, kept in arrays.items() if name.startswith("extra_")}
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
            if read_about(path) is not None:
                path.unlink(missing_ok=True)
