"""Workers: one training on several machines or GPUs, each of which takes its share of every batch.

    workers = find_workers()            # this process: alone, or a worker of TF_CONFIG's cluster
    step = workers.compile(local)       # local(...) on each device; in it, `add` sums over all
    workers.total(array)                # a NumPy array summed over all workers

A worker is a process; with several GPUs it has several devices, each with an equal part of its
rows. TensorFlow's MirroredStrategy and MultiWorkerMirroredStrategy carry the sums. Each worker
holds the whole network and takes the same step, so that all stay alike to the bit, and the chief
alone writes.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hematovision.program.console import UserError, quiet_stderr
from hematovision.training.cluster import MOST_DEVICES, read_cluster


@dataclass(frozen=True)
class Workers:
    """Who takes part in a training, and which of them this process is."""

    strategy: Any  # tf.distribute's, or None where there is but one device
    index: int
    count: int
    devices: int = 1  # of this worker, and of each other

    @property
    def is_chief(self) -> bool:
        return self.index == 0

    @property
    def mark(self) -> list[int]:
        """What makes a seed this worker's own; nothing, where there is but one."""
        return [self.index] if self.count > 1 else []

    def cut(self, total: int) -> int:
        """How many of `total` each worker takes, so that all take as many steps."""
        return -(-total // self.count)

    @property
    def replicas(self) -> int:
        """Devices of all workers together."""
        return self.count * self.devices

    def add(self, values: Any) -> Any:
        """Tensors summed over all devices; within what `compile` was given."""
        if self.strategy is None:
            return values
        import tensorflow as tf

        values = tf.nest.map_structure(tf.identity, values)  # what comes from outside has no device
        return tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, values)

    def compile(self, local: Callable[..., Any]) -> Callable[..., Any]:
        """A graph of `local`, which all devices go through together, each with its part of the rows
        of this worker's values; what comes of it must be the same on all.

        Calling it raises UserError where another worker is gone.
        """
        import tensorflow as tf

        if self.strategy is None:
            return tf.function(local, autograph=False)

        @tf.function(autograph=False)
        def together(*values: Any) -> Any:
            return self.strategy.run(local, values)

        def deal(rows: Any) -> Any:
            size = len(rows) // self.devices
            first = self.index * self.devices

            def part(context: Any) -> Any:
                at = context.replica_id_in_sync_group - first
                return tf.constant(rows[at * size : (at + 1) * size])

            return self.strategy.experimental_distribute_values_from_function(part)

        def first_of(value: Any) -> Any:
            return self.strategy.experimental_local_results(value)[0]

        @functools.wraps(local)
        def guarded(*values: Any) -> Any:
            try:
                if self.devices == 1:
                    return together(*values)
                found = together(*tf.nest.map_structure(deal, values))
                return tf.nest.map_structure(first_of, found)
            except tf.errors.OpError as error:
                if self.count == 1:
                    raise
                raise UserError(
                    f"worker {self.index} of {self.count}: another worker is gone "
                    f"({type(error).__name__}); start all of them again with --resume"
                ) from None

        return guarded

    def total(self, array: np.ndarray) -> np.ndarray:
        """An array (...) of numbers summed over all workers, float64."""
        if self.count == 1:
            return np.asarray(array, np.float64)
        import tensorflow as tf

        # Each device adds a row; only the first of a worker's has something in it.
        rows = np.zeros((self.devices, *np.shape(array)))
        rows[0] = array

        def add_row(row: Any) -> Any:
            return self.add(row[0])

        return self.compile(add_row)(tf.constant(rows)).numpy()

    def take_chiefs(self, array: np.ndarray) -> np.ndarray:
        """The chief's numbers (...), float64, in place of this worker's."""
        return self.total(array if self.is_chief else np.zeros_like(array))

    def follow_chief(self, variables: Sequence[Any]) -> None:
        """Set float variables to the chief's values: machines may differ in their last bits."""
        if self.count == 1:
            return
        values = [variable.numpy() for variable in variables]
        flat = np.concatenate([value.astype(np.float64).ravel() for value in values])
        flat = self.take_chiefs(flat)
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


def mirror() -> Workers:
    """This process alone, on as many of its GPUs (without any: of the CPUs that TensorFlow was told
    to see) as can share a batch."""
    import tensorflow as tf

    devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
    used = max(n for n in (1, 2, 4, 8) if n <= min(len(devices), MOST_DEVICES))
    if used == 1:
        return ALONE
    with quiet_stderr():
        strategy = tf.distribute.MirroredStrategy([device.name for device in devices[:used]])
    return Workers(strategy, 0, 1, used)


@functools.cache
def find_workers() -> Workers:
    """This process among the workers; to be called first when TensorFlow has just started.

    Raises UserError where TF_CONFIG describes no cluster that can be trained on.
    """
    cluster = read_cluster()
    index, count = cluster.index, cluster.count
    if count == 1:
        os.environ.pop("TF_CONFIG", None)  # empty, or of one: not to be understood otherwise
        return mirror()
    import tensorflow as tf

    cluster.gather()
    try:
        strategy = tf.distribute.MultiWorkerMirroredStrategy()
    except (tf.errors.OpError, RuntimeError, ValueError) as error:
        why = str(error).splitlines()[0][:200]
        raise UserError(f"TF_CONFIG: the workers don't come together ({why})") from None
    replicas = strategy.num_replicas_in_sync
    if MOST_DEVICES % replicas:
        raise UserError(
            f"TF_CONFIG: {replicas} GPUs of {count} workers can't share a batch of "
            f"{MOST_DEVICES}; let CUDA_VISIBLE_DEVICES show fewer"
        )
    return Workers(strategy, index, count, replicas // count)
