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

from hematovision.console import UserError
from hematovision.training.crop_steps import share_out
from hematovision.training.workers import ALONE, Workers, here

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
    """In both networks, to floating-point noise, however the last batch is filled."""
    alone = start(1, [WORKER])
    both = start(2, [WORKER], [WORKER])
    told = []
    for process in (*alone, *both):
        out, err = process.communicate(timeout=200)
        assert process.returncode == 0, err
        told.append(json.loads(out))
    assert told[1] == told[2]
    assert np.allclose(told[0], told[1], rtol=1e-5, atol=1e-6), np.subtract(told[0], told[1])


def test_a_worker_that_dies_ends_the_others_with_one_line() -> None:
    both = start(2, [WORKER], [WORKER, 2])
    out, err = both[0].communicate(timeout=200)
    both[1].communicate(timeout=20)
    assert (both[1].returncode, both[0].returncode, out) == (9, 2, "")
    waiting, error = err.splitlines()
    assert "waiting for the others" in waiting
    assert error.startswith("error: worker 0 of 2: another worker is gone")
    assert "--resume" in error


@pytest.mark.parametrize("count", [1, 2, 4])
def test_the_shares_of_all_workers_are_the_batches(count: int) -> None:
    of_each = [share_out(75, 16, Workers(None, k, count), [3]) for k in range(count)]
    alone = share_out(75, 16, ALONE, [3])
    seen: list[int] = []
    for step in range(5):
        weights = np.concatenate([s.weight[step] for s in of_each])
        rows = np.concatenate([s.rows[step] for s in of_each])[weights > 0]
        assert sorted(rows) == sorted(alone.rows[step][alone.weight[step] > 0])
        assert weights.mean() == pytest.approx(1)
        seen += rows.tolist()
    assert sorted(seen) == list(range(75))


@pytest.mark.parametrize(
    "text",
    [
        "{", "[]", '{"cluster": {"worker": ["a:1", "b:2"]}}',
        '{"cluster": {"worker": ["a:1", "b:2"]}, "task": {"type": "worker", "index": 2}}',
        '{"cluster": {"worker": ["a:1"], "ps": ["b:2"]}, "task": {"type": "ps", "index": 0}}',
        '{"cluster": {"worker": ["a:1", "b:2", "c:3"]}, "task": {"type": "worker", "index": 0}}',
    ],
)  # fmt: skip
def test_a_cluster_that_makes_no_sense_is_refused(
    text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TF_CONFIG", text)
    here.cache_clear()
    with pytest.raises(UserError, match="TF_CONFIG"):
        here()
    here.cache_clear()


def test_a_cluster_of_one_is_no_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    one = {"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": 0}}
    for text in ("", json.dumps(one)):
        monkeypatch.setenv("TF_CONFIG", text)
        here.cache_clear()
        assert here() is ALONE
    assert (ALONE.total(np.arange(3)) == [0, 1, 2]).all()
    assert list(ALONE.share(range(8))) == list(range(8))
