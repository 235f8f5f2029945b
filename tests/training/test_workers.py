"""Processes that train one network as one would; what becomes of them if one of them dies."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from hematovision.training.crops.epoch import share_out
from hematovision.training.workers import ALONE, find_workers

WORKER = Path(__file__).with_name("worker.py")


def free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def start(
    count: int, *commands: list[object], cwd: Path | None = None
) -> list[subprocess.Popen[str]]:
    """Workers of one cluster, each with a command of its own; one alone has no cluster."""
    addresses = [f"127.0.0.1:{port}" for port in free_ports(count)]
    processes = []
    for index in range(count):
        config = {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}}
        environment = {**os.environ, "TF_CONFIG": json.dumps(config) if count > 1 else ""}
        processes.append(
            subprocess.Popen(
                [sys.executable, *map(str, commands[index])],
                env=environment, cwd=cwd, text=True,
                stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            )
        )  # fmt: skip
    return processes


def test_two_workers_lose_what_one_process_loses() -> None:
    """In both networks, of the same batches, to floating-point noise, however the last batch is
    filled; and so do two devices of one process."""
    alone = start(1, [WORKER])
    both = start(2, [WORKER], [WORKER])
    devices = start(1, [WORKER, "--devices"])
    told = []
    for process in (*alone, *both, *devices):
        out, err = process.communicate(timeout=200)
        assert process.returncode == 0, err
        told.append(json.loads(out))
    assert told[1] == told[2]
    for several in (told[1], told[3]):
        assert np.allclose(told[0], several, rtol=1e-5, atol=1e-6), np.subtract(told[0], several)
        assert told[0] != several  # they did add up otherwise


def test_a_worker_that_dies_ends_the_others_with_one_line() -> None:
    both = start(2, [WORKER], [WORKER, 2])
    out, err = both[0].communicate(timeout=200)
    both[1].communicate(timeout=20)
    assert (both[1].returncode, both[0].returncode, out) == (9, 2, "")
    waiting, error = err.splitlines()
    assert "waiting for the others" in waiting
    assert error.startswith("error: worker 0 of 2: another worker is gone")
    assert "--resume" in error


def test_a_share_is_all_of_its_rows_each_counted_once() -> None:
    shares = share_out(75, 16, [3])
    assert shares.rows.shape == shares.weight.shape == (5, 16)
    counted = shares.rows[shares.weight > 0]
    assert sorted(counted) == list(range(75))
    assert counted.tolist() != list(range(75))
    assert shares.weight.mean(axis=1) == pytest.approx(1)


def test_a_cluster_of_one_is_no_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    one = {"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": 0}}
    for text in ("", json.dumps(one)):
        monkeypatch.setenv("TF_CONFIG", text)
        find_workers.cache_clear()
        assert find_workers() is ALONE
    assert (ALONE.total(np.arange(3)) == [0, 1, 2]).all()
    assert (ALONE.replicas, ALONE.cut(9), ALONE.mark) == (1, 9, [])
