"""Workers: one training on several machines, each of which learns from its share of every batch.

    here()                      # this process: alone, or a worker of the cluster in TF_CONFIG
    step = here().compile(local)        # local(...) on each worker; in it, `add` sums over all
    here().total(array)                 # a NumPy array summed over all workers

TensorFlow's MultiWorkerMirroredStrategy carries the sums. Each worker holds the whole network and
takes the same step, so that all stay alike to the bit, and the chief alone writes. TF_CONFIG is
what every cluster manager sets: {"cluster": {"worker": ["host:port", ...]}, "task": {"type":
"worker", "index": 0}}.
"""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from hematovision.console import UserError, say

MOST = 8  # workers: so many views are in a batch of fields


class Workers(NamedTuple):
    """Who takes part in a training, and which of them this process is."""

    strategy: Any  # tf.distribute's, or None where there is but one worker
    index: int
    count: int

    @property
    def is_chief(self) -> bool:
        return self.index == 0

    def share(self, rows: Sequence[Any]) -> Sequence[Any]:
        """This worker's rows of a batch, which `count` divides."""
        size = len(rows) // self.count
        return rows[self.index * size : (self.index + 1) * size]

    def add(self, values: Any) -> Any:
        """Tensors summed over all workers; within what `compile` was given."""
        if self.strategy is None:
            return values
        import tensorflow as tf

        values = tf.nest.map_structure(tf.identity, values)  # what comes from outside has no device
        return tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, values)

    def compile(self, local: Callable[..., Any]) -> Callable[..., Any]:
        """A graph of `local`, which all workers go through together.

        Calling it raises UserError where another worker is gone.
        """
        import tensorflow as tf

        if self.strategy is None:
            return tf.function(local, autograph=False)

        @tf.function(autograph=False)
        def together(*values: Any) -> Any:
            return self.strategy.run(local, values)

        @functools.wraps(local)
        def guarded(*values: Any) -> Any:
            try:
                return together(*values)
            except tf.errors.OpError as error:
                raise UserError(
                    f"worker {self.index} of {self.count}: another worker is gone "
                    f"({type(error).__name__}); start all of them again with --resume"
                ) from None

        return guarded

    def total(self, array: np.ndarray) -> np.ndarray:
        """An array (...) of numbers summed over all workers, float64."""
        if self.strategy is None:
            return np.asarray(array, np.float64)
        import tensorflow as tf

        return self.compile(self.add)(tf.constant(array, tf.float64)).numpy()

    def follow_chief(self, variables: Sequence[Any]) -> None:
        """Set float variables to the chief's values: machines may differ in their last bits."""
        if self.count == 1:
            return
        values = [variable.numpy() for variable in variables]
        flat = np.concatenate([value.astype(np.float64).ravel() for value in values])
        flat = self.total(flat if self.is_chief else np.zeros_like(flat))
        ends = np.cumsum([value.size for value in values])
        for variable, value, new in zip(variables, values, np.split(flat, ends[:-1]), strict=True):
            variable.assign(new.reshape(value.shape).astype(value.dtype))

    def check_same(self, number: int, what: str) -> None:
        """UserError where the workers don't agree on a number."""
        if self.count == 1:
            return
        each = np.zeros(self.count)
        each[self.index] = number
        told = self.total(each)
        if (told != number).any():
            raise UserError(
                f"{what} differ between the workers ({', '.join(f'{k:.0f}' for k in told)}); all "
                "of them need the same --output-dir, in a folder that they share"
            )


ALONE = Workers(None, 0, 1)


@functools.cache
def here() -> Workers:
    """This process among the workers; to be called first when TensorFlow has just started.

    Raises UserError where TF_CONFIG describes no cluster that can be trained on.
    """
    text = os.environ.get("TF_CONFIG")
    if not text:
        return ALONE
    try:
        config = json.loads(text)
        addresses, task = config["cluster"]["worker"], config["task"]
        count, index = len(addresses), int(task["index"])
        if task["type"] != "worker" or not 0 <= index < count or len(config["cluster"]) > 1:
            raise ValueError("its task is none of its workers")
    except (ValueError, LookupError, TypeError) as error:
        raise UserError(
            f'TF_CONFIG: not understood ({error}); wants {{"cluster": {{"worker": '
            '["host:port", ...]}, "task": {"type": "worker", "index": 0}}, or nothing'
        ) from None
    if count == 1:
        return ALONE
    if MOST % count:
        raise UserError(f"TF_CONFIG: {count} workers can't share a batch of {MOST}; take 2, 4 or 8")
    import tensorflow as tf

    say(f"worker {index} of {count}, at {addresses[index]}: waiting for the others")
    try:
        strategy = tf.distribute.MultiWorkerMirroredStrategy()
    except (tf.errors.OpError, RuntimeError, ValueError) as error:
        why = str(error).splitlines()[0][:200]
        raise UserError(f"TF_CONFIG: the workers don't come together ({why})") from None
    return Workers(strategy, index, count)
