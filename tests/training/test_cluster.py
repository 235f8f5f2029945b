"""What TF_CONFIG says is understood or refused in a line; who waits for others can be stopped."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from typing import Any

import pytest
from conftest import ROOT

from hematovision.program.console import UserError
from hematovision.training.cluster import Cluster, find_share, read_cluster

ALONE = Cluster(0, [""])
TWO = ["a:1", "b:2"]


def task(kind: str, index: Any = 0) -> dict[str, Any]:
    return {"type": kind, "index": index}


@pytest.mark.parametrize(
    ("config", "cluster"),
    [
        ("", ALONE),
        ("  ", ALONE),
        ({}, ALONE),
        ({"environment": "cloud"}, ALONE),
        ({"cluster": {}, "task": task("worker")}, ALONE),
        ({"cluster": {"worker": ["a:1"]}, "task": task("worker")}, Cluster(0, ["a:1"])),
        ({"cluster": {"chief": ["a:1"]}, "task": task("chief")}, Cluster(0, ["a:1"])),
        ({"cluster": {"chief": ["a:1"], "worker": ["b:2"]}, "task": task("chief")},
         Cluster(0, TWO)),
        ({"cluster": {"chief": ["a:1"], "worker": ["b:2"]}, "task": task("worker")},
         Cluster(1, TWO)),
        ({"cluster": {"master": ["a:1"], "worker": ["b:2"]}, "task": task("worker", "0")},
         Cluster(1, TWO)),
        ({"cluster": {"worker": TWO, "evaluator": ["c:3"]}, "task": task("worker", 1)},
         Cluster(1, TWO)),
        ({"cluster": {"worker": ["[::1]:7", "b.example.org:2"]}, "task": task("worker", 1)},
         Cluster(1, ["[::1]:7", "b.example.org:2"])),
    ],
)  # fmt: skip
def test_what_cluster_managers_write_is_understood(
    config: Any, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TF_CONFIG", config if isinstance(config, str) else json.dumps(config))
    assert read_cluster() == cluster
    share = find_share()
    assert (share is None) == (cluster.count == 1)
    assert share is None or (share.number, share.count) == (cluster.index + 1, cluster.count)


@pytest.mark.parametrize(
    "text",
    [
        "{", "[]", "7", '"worker"', "[" * 100_000, '{"cluster": {"worker": ["a:1", "b:2"]}}',
        *(
            json.dumps(config)
            for config in (
                {"cluster": {"worker": TWO}, "task": task("worker", 2)},
                {"cluster": {"worker": TWO}, "task": task("worker", -1)},
                {"cluster": {"worker": TWO}, "task": task("worker", float("inf"))},
                {"cluster": {"worker": TWO}, "task": task("worker", float("nan"))},
                {"cluster": {"worker": TWO}, "task": task("worker", "one\ntwo")},
                {"cluster": {"worker": TWO}, "task": task("worker", [0])},
                {"cluster": {"worker": TWO}, "task": task("evaluator")},
                {"cluster": {"worker": TWO}, "task": task("chief")},
                {"cluster": {"worker": TWO}, "task": 3},
                {"cluster": {"worker": "ab"}, "task": task("worker")},
                {"cluster": {"worker": [1, 2]}, "task": task("worker")},
                {"cluster": {"worker": ["a", "b"]}, "task": task("worker")},
                {"cluster": {"worker": ["a:1", "a:1"]}, "task": task("worker")},
                {"cluster": {"worker": ["a:1", "b\nc:2"]}, "task": task("worker")},
                {"cluster": {"worker": ["a:1", "b:2", "c:3"]}, "task": task("worker")},
                {"cluster": {"worker": TWO, "ps": ["c:3"]}, "task": task("ps")},
                {"cluster": {"chief": TWO}, "task": task("chief")},
                {"cluster": [TWO], "task": task("worker")},
            )
        ),
    ],
    ids=lambda text: text[:90],
)  # fmt: skip
def test_a_cluster_that_makes_no_sense_is_refused_in_a_line(
    text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TF_CONFIG", text)
    with pytest.raises(UserError, match=r"^TF_CONFIG: [^\n]{10,300}$"):
        read_cluster()


# --- meeting -------------------------------------------------------------------------------------


def free_address() -> str:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{one.getsockname()[1]}"


def connect_soon(address: str) -> socket.socket:
    """A connection, as soon as the thread that is to listen there does."""
    host, _, port = address.rpartition(":")
    for _ in range(100):
        with contextlib.suppress(ConnectionRefusedError):
            return socket.create_connection((host, int(port)), timeout=5)
        time.sleep(0.1)
    raise AssertionError(f"nobody listens at {address}")


def meet(cluster: Cluster, seconds: float, told: dict[int, str]) -> threading.Thread:
    def gather() -> None:
        try:
            cluster.gather(seconds)
            told[cluster.index] = "all there"
        except UserError as error:
            told[cluster.index] = str(error)

    thread = threading.Thread(target=gather, daemon=True)
    thread.start()
    return thread


def test_they_go_on_when_all_are_there_and_not_before() -> None:
    addresses, told = [free_address(), "b:2", "c:3", "d:4"], {}
    threads = [meet(Cluster(k, addresses), 30, told) for k in (1, 0, 2)]
    with connect_soon(addresses[0]) as stranger:
        stranger.sendall(b"GET / HTTP/1.1\r\n\r\n")
        time.sleep(1)
        assert not told
        threads.append(meet(Cluster(3, addresses), 30, told))
        for thread in threads:
            thread.join(20)
    assert told == dict.fromkeys(range(4), "all there")


@pytest.mark.parametrize("index", [0, 1])
def test_who_waits_in_vain_says_for_whom_and_ends(index: int) -> None:
    told: dict[int, str] = {}
    start = time.monotonic()
    meet(Cluster(index, [free_address(), "b:2"]), 1.5, told).join(10)
    assert time.monotonic() - start < 8
    assert f"worker {1 - index}" in told[index] and "start all of the workers" in told[index]


WAIT = """
import sys
from hematovision.program.console import command
from hematovision.training.cluster import Cluster
@command
def main(argv=None):
    Cluster(int(sys.argv[1]), [sys.argv[2], "127.0.0.1:9"]).gather()
    return 0
sys.exit(main())
"""


@pytest.mark.skipif(os.name == "nt", reason="Windows has other signals")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("index", [0, 1])
def test_who_waits_ends_at_a_signal(index: int, number: signal.Signals) -> None:
    waiting = subprocess.Popen(
        [sys.executable, "-c", WAIT, str(index), free_address()], cwd=ROOT, text=True,
        stderr=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(number, signal.SIG_DFL),
    )  # fmt: skip
    assert waiting.stderr is not None and "waiting for the others" in waiting.stderr.readline()
    time.sleep(0.5)
    start = time.monotonic()
    waiting.send_signal(number)
    _, err = waiting.communicate(timeout=20)
    assert waiting.returncode == 128 + number and "Traceback" not in err
    assert time.monotonic() - start < 2


@pytest.mark.skipif(os.name == "nt", reason="Windows has other signals")
def test_a_name_that_is_long_looked_up_keeps_nobody_from_ending() -> None:
    """The system's lookup lets no signal through: as one that sleeps on, whatever comes."""
    slow = (
        "import time, socket\n"
        "def look_up(*given, **more):\n"
        "    end = time.monotonic() + 30\n"
        "    while (left := end - time.monotonic()) > 0:\n"
        "        try:\n"
        "            time.sleep(left)\n"
        "        except BaseException:\n"
        "            pass\n"
        "socket.getaddrinfo = look_up\n"
    )
    waiting = subprocess.Popen(
        [sys.executable, "-c", slow + WAIT, "1", "no.such.host:7"], cwd=ROOT, text=True,
        stderr=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(signal.SIGTERM, signal.SIG_DFL),
    )  # fmt: skip
    assert waiting.stderr is not None and "waiting for the others" in waiting.stderr.readline()
    time.sleep(0.5)
    start = time.monotonic()
    waiting.send_signal(signal.SIGTERM)
    _, err = waiting.communicate(timeout=20)
    assert waiting.returncode == 143 and "Traceback" not in err
    assert time.monotonic() - start < 2
