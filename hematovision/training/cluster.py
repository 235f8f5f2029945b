"""The cluster in TF_CONFIG, as cluster managers set it: which of its processes this is, and who is
there beside it.

    cluster = read_cluster()        # {"cluster": {"chief": [...], "worker": [...]}, "task": ...}
    cluster.gather()                # until all are there; UserError where they don't come

TensorFlow waits for the others within its own code, where no signal reaches Python. So they meet
here first, at the address of the first of them, before it does.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import re
import socket
import threading
import time
from dataclasses import dataclass
from typing import Any

from hematovision.program.console import UserError, say
from hematovision.program.share import Share

MOST_DEVICES = 8  # of all workers together: so many views are in a batch of fields
WAIT = 1800.0  # seconds for which the others are waited for
AGAIN = 0.3  # seconds between tries
ADDRESS = re.compile(r"\S{1,255}:\d{1,5}")
EXAMPLE = (
    '{"cluster": {"worker": ["host:port", ...]}, "task": {"type": "worker", "index": 0}}, or '
    "nothing"
)


@dataclass(frozen=True)
class Cluster:
    """The processes of one training, the chief first, and which of them this is."""

    index: int
    addresses: list[str]

    @property
    def count(self) -> int:
        return len(self.addresses)

    def gather(self, seconds: float = WAIT) -> None:
        """Wait until all are there; UserError where some aren't after so many seconds."""
        name = f"worker {self.index} of {self.count}"
        say(
            f"{name}, at {self.addresses[self.index]}: waiting for the others, {seconds:.0f} s at "
            "most"
        )
        host, _, port = self.addresses[0].rpartition(":")
        end = time.monotonic() + seconds
        missing = self._receive(int(port), end) if self.index == 0 else self._call(host, port, end)
        if missing:
            raise UserError(
                f"TF_CONFIG: {name}: {missing} didn't come within {seconds:.0f} s; start all of "
                "the workers, each with the same addresses"
            )

    def _receive(self, port: int, end: float) -> str:
        """The first: hear from each of the others, then let all go on; who is missing."""
        here: dict[int, socket.socket] = {}
        with contextlib.ExitStack() as stack:
            try:
                server = stack.enter_context(socket.create_server(("", port)))
            except OSError as error:
                raise UserError(f"TF_CONFIG: port {port}: {error.strerror}") from None
            server.settimeout(AGAIN)
            while len(here) < self.count - 1 and time.monotonic() < end:
                with contextlib.suppress(OSError, ValueError):
                    caller, _ = server.accept()
                    stack.enter_context(caller)
                    caller.settimeout(5)
                    here[self._read_greeting(caller.recv(64))] = caller
                here = {index: caller for index, caller in here.items() if is_there(caller)}
            missing = [str(k) for k in range(1, self.count) if k not in here]
            if not missing:
                for caller in here.values():
                    with contextlib.suppress(OSError):
                        caller.sendall(b"go\n")
                        caller.recv(1)  # its end: the port is free again at once
        return f"worker {', '.join(missing)}" if missing else ""

    def _call(self, host: str, port: str, end: float) -> str:
        """Any other: tell the first that this one is there, until it lets all go on."""
        while time.monotonic() < end:
            with (
                contextlib.suppress(OSError),
                call(host.strip("[]"), int(port), end - time.monotonic()) as first,
            ):
                first.sendall(self._greet(self.index))
                first.settimeout(AGAIN)
                while time.monotonic() < end:
                    with contextlib.suppress(TimeoutError):
                        told = first.recv(8)
                        if told == b"go\n":
                            return ""
                        break  # it has ended, and may be started again
            time.sleep(AGAIN)
        return "worker 0, or those it waits for,"

    def _greet(self, index: int) -> bytes:
        return f"hematovision {index} {self.count}\n".encode()

    def _read_greeting(self, data: bytes) -> int:
        """Which worker has called; ValueError where it is none of this cluster."""
        for index in range(1, self.count):
            if data == self._greet(index):
                return index
        raise ValueError("none of ours")


def call(host: str, port: int, seconds: float) -> socket.socket:
    """A connection; OSError where there is none after so many seconds.

    A name is looked up, maybe for a minute, in the system's own code, where no signal reaches
    Python: in a thread of its own, while this one waits where it can be stopped.
    """
    found: queue.SimpleQueue[socket.socket | OSError] = queue.SimpleQueue()

    def connect() -> None:
        try:
            found.put(socket.create_connection((host, port), timeout=2))
        except OSError as error:
            found.put(error)

    threading.Thread(target=connect, daemon=True).start()
    try:
        made = found.get(timeout=max(seconds, 0))
    except queue.Empty:
        raise TimeoutError(f"{host} isn't found") from None
    if isinstance(made, OSError):
        raise made
    return made


def is_there(caller: socket.socket) -> bool:
    """Whether who has called still waits."""
    caller.setblocking(False)
    try:
        return caller.recv(1, socket.MSG_PEEK) != b""
    except BlockingIOError:
        return True
    except OSError:
        return False
    finally:
        caller.settimeout(5)


def read_cluster() -> Cluster:
    """The cluster in TF_CONFIG; of this process alone where there is none.

    Raises UserError where it describes none that can be trained on.
    """
    text = os.environ.get("TF_CONFIG", "").strip()
    if not text:
        return Cluster(0, [""])
    try:
        return parse_cluster(json.loads(text))
    except (ValueError, LookupError, TypeError, ArithmeticError, RecursionError) as error:
        told = f"{error!s:.100}".splitlines() or [type(error).__name__]
        raise UserError(f"TF_CONFIG: not understood ({told[0]}); wants {EXAMPLE}") from None


def parse_cluster(config: Any) -> Cluster:
    """The cluster of a TF_CONFIG: chief and workers; an evaluator beside them is no part of the
    training. ValueError, LookupError or TypeError where it is none."""
    roles = config.get("cluster") if isinstance(config, dict) else config
    if roles is None or roles == {}:
        return Cluster(0, [""])
    if not isinstance(roles, dict) or not all(isinstance(of, list) for of in roles.values()):
        raise ValueError("its cluster is no table of addresses")
    chiefs, workers = [*roles.get("master", []), *roles.get("chief", [])], roles.get("worker", [])
    addresses = [*chiefs, *workers]
    kind, index = config["task"]["type"], int(config["task"]["index"])
    if other := roles.keys() - {"chief", "master", "worker", "evaluator"}:
        raise ValueError(f"it has a {min(map(str, other))}, which this training knows nothing of")
    if kind == "evaluator":
        raise ValueError("its task is evaluator, which trains nothing: evaluate_model.py scores")
    if not all(isinstance(a, str) and ADDRESS.fullmatch(a) for a in addresses):
        raise ValueError("an address isn't host:port")
    if len(chiefs) > 1 or len(set(addresses)) < len(addresses):
        raise ValueError("it has several chiefs, or an address twice")
    group = {"chief": chiefs, "master": chiefs, "worker": workers}.get(kind, [])
    if not 0 <= index < len(group):
        raise ValueError("its task is none of its workers")
    if MOST_DEVICES % len(addresses):
        raise UserError(
            f"TF_CONFIG: {len(addresses)} workers can't share a batch of {MOST_DEVICES}; take 2, 4 "
            "or 8"
        )
    return Cluster(index + (len(chiefs) if kind == "worker" else 0), addresses)


def find_share() -> Share | None:
    """This process's share of the training data among the workers; None, where it is alone."""
    cluster = read_cluster()
    return Share(cluster.index + 1, cluster.count) if cluster.count > 1 else None
